"""Texts of strangers as text of a language: names and titles come from files of other people.

One function a place of a language. Each is a filter of the templates under its own name, and
``render`` refuses text that went through none and could end what it stands in.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable

from shiftforge.errors import InputError, Problem

__all__ = [
    "Escaped",
    "c_comment",
    "guard",
    "html_line",
    "indented_code",
    "make_comment",
    "make_word",
    "make_words",
    "markdown",
    "markdown_code",
    "printable",
    "python_doc",
    "python_value",
    "verbatim",
    "yaml_text",
]

_LONGEST = 200
# What begins or ends something in one of the languages that the templates are written in.
_DANGEROUS = re.compile(r'[`\\]|\$(?!(un)?signed\()|\*/|/\*|"""')
_MARKUP = frozenset("\\`*{}[]<>#|~!&$@^=\"'")


class Escaped(str):
    """Text that may stand where its function says."""

    __slots__ = ()


def guard(value: object) -> object:
    """A value on its way into a template. Raises ValueError for text that nobody has escaped."""
    if not isinstance(value, str) or isinstance(value, Escaped):
        return value
    if not value.isprintable() or _DANGEROUS.search(value):
        raise ValueError(f"unescaped text in a template: {value[:80]!r}")
    return value


def html_line(value: object) -> object:
    """A value on its way into HTML, where text is escaped later: without control characters."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return printable(value)


def verbatim(text: str) -> Escaped:
    """The project's own text, several lines perhaps; never anything out of a file of a user."""
    return Escaped(text)


def _plain(text: str) -> str:
    """Letters, digits and what can end nothing; the rest becomes "_"."""
    kept = "".join(c if c.isalnum() or c in "._-/ ():" else "_" for c in text)
    return _cut(kept)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def printable(text: str) -> str:
    """Without control characters and halves of characters, which become "_"."""
    return "".join(c if c.isprintable() else "_" for c in text)


def c_comment(text: str) -> Escaped:
    """A text inside a comment of C, OpenCL or SystemVerilog, with a space before it."""
    return Escaped(_plain(text))


def python_doc(text: str) -> Escaped:
    """A text inside a docstring or a comment of Python."""
    return Escaped(_plain(text))


def python_value(value: object) -> Escaped:
    """A value of Python's own types as Python writes it."""
    return Escaped(repr(value))


def make_comment(text: str) -> Escaped:
    """A text inside a comment of a Makefile, which a backslash at the end would continue."""
    return Escaped(_cut(printable(text).replace("\\", "_")))


def make_word(text: str) -> Escaped:
    """A text as part of the value of a Makefile's variable, one word of the commands that use it.

    Raises InputError for control characters, which no such value can hold.
    """
    if not text.isprintable():
        remedy = "write a text of one line without control characters"
        raise InputError(Problem(f"{text[:80]!r} cannot stand in a Makefile", remedy))
    quoted = shlex.quote(text).replace("$", "$$")
    # Make takes a "#" for a comment unless a backslash stands before it, and halves those before.
    return Escaped(re.sub(r"(\\*)#", r"\1\1\\#", quoted))


def make_words(texts: Iterable[str]) -> Escaped:
    """Texts as the value of a Makefile's variable, a word each."""
    return Escaped(" ".join(make_word(text) for text in texts))


def markdown(text: str) -> Escaped:
    """A text inside a line or a cell of Markdown: no markup, no link, no HTML."""
    return Escaped("".join(_marked(*three) for three in _with_neighbours(_cut(printable(text)))))


def _with_neighbours(text: str) -> Iterable[tuple[str, str, str]]:
    return zip(" " + text, text, text[1:] + " ", strict=False)


def _marked(before: str, character: str, after: str) -> str:
    # Inside a word an underscore is one; ":/" and "www." begin links.
    inside = before.isalnum() and after.isalnum()
    link = (character, after) == (":", "/") or (before, character) in (("w", "."), ("W", "."))
    if character in _MARKUP or (character == "_" and not inside) or link:
        return f"\\{character}"
    return character


def markdown_code(text: str) -> Escaped:
    """A text inside a span of code of Markdown, also in a table: what could end it becomes "_"."""
    return Escaped(_cut("".join("_" if c in "`|\\" else c for c in printable(text))))


def indented_code(text: str) -> Escaped:
    """A line of an indented block of code of Markdown, where nothing is markup."""
    return Escaped(printable(text))


def yaml_text(text: str) -> Escaped:
    """A text as a value of YAML, in double quotes. Raises InputError for control characters."""
    if not text.isprintable():
        remedy = "write a text of one line without control characters"
        raise InputError(Problem(f"{text[:80]!r} cannot stand in a YAML file", remedy))
    return Escaped(json.dumps(text, ensure_ascii=False))
