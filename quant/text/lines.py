"""Texts of a file or of standard input, one a line, each with the number of its line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text, system_problem

__all__ = ["LONGEST", "MOST", "Line", "Lines", "cut_note", "read_lines"]

MOST = 64 << 20
"""Bytes of an input."""
LONGEST = 1_000_000
"""Characters of a text."""
_REMEDY = "give a UTF-8 text, a sentence a line"
_LISTED = 8


@dataclass(frozen=True)
class Line:
    """number: of the line, from 1. text: without white space around it."""

    number: int
    text: str


@dataclass(frozen=True)
class Lines:
    """found: the lines that hold text. blank: the numbers of those that do not."""

    found: tuple[Line, ...]
    blank: tuple[int, ...]

    def note(self) -> str:
        """What is said of blank lines; empty where there are none."""
        if not self.blank:
            return ""
        listed = ", ".join(map(str, self.blank[:_LISTED]))
        more = f" and {len(self.blank) - _LISTED} more" if len(self.blank) > _LISTED else ""
        one = len(self.blank) == 1
        return f"line{'' if one else 's'} {listed}{more} {'is' if one else 'are'} blank: left out"


def read_lines(source: str) -> Lines:
    """The lines of a file, or of standard input for "-".

    Lines end with a line feed, a carriage return or both; nothing else divides a text. Raises
    InputError for what is no UTF-8 text of at most MOST bytes, for lines of more than LONGEST
    characters, and where no line holds text.
    """
    where = "standard input" if source == "-" else source
    whole = _standard_input() if source == "-" else _file(source)
    lines = whole.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()  # behind the last line's end
    numbered = [Line(i, text.strip()) for i, text in enumerate(lines, start=1)]
    problems = [
        Problem(
            f"a text of {len(line.text):,} characters",
            f"give at most {LONGEST:,}, a sentence a line",
            f"{where}: line {line.number}",
        )
        for line in numbered
        if len(line.text) > LONGEST
    ]
    if problems:
        raise InputError(problems)
    found = tuple(line for line in numbered if line.text)
    if not found:
        raise InputError(Problem("no sentences", "give one a line", where))
    return Lines(found, tuple(line.number for line in numbered if not line.text))


def _file(source: str) -> str:
    return read_text(source, most=MOST, remedy=_REMEDY, encoding="utf-8-sig")


def _standard_input() -> str:
    where = "standard input"
    if sys.stdin is None or sys.stdin.closed:
        raise InputError(Problem("is closed", "give a text file, or texts by a pipe", where))
    stream = getattr(sys.stdin, "buffer", None)
    try:
        data = sys.stdin.read(MOST + 1) if stream is None else stream.read(MOST + 1)
        if len(data) > MOST:
            raise InputError(Problem(f"is longer than {MOST:,} bytes", _REMEDY, where))
        return data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"is not UTF-8 text: {error.reason}", _REMEDY, where)) from error
    except OSError as error:
        raise InputError(system_problem(error, where)) from error


def cut_note(whole: Sequence[NDArray[np.int64]], length: int) -> str:
    """What is said of texts of more than ``length`` tokens; empty where there are none.

    whole: token identities of whole texts, with the tokeniser's first and last token.
    """
    longer = [len(own) for own in whole if len(own) > length]
    if not longer:
        return ""
    return (
        f"{len(longer)} of {len(whole)} texts are longer than {length} tokens: of them the first "
        f"{length - 1} tokens and the last, [SEP], are taken (the longest has {max(longer):,})"
    )
