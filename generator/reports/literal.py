"""A JavaScript file of data, read as data: nothing in it is ever evaluated.

``report_data.js`` is a row of assignments, ``var loopsJSON={...};`` (16.x, and 20.x on) or ``var
loopsJSON='{...}';`` (17.0 to 19.4, JSON inside a string). Anything else in the file is refused. The
parts that nobody asked for are passed over without being read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import parse_json

__all__ = ["REMEDY", "Assignment", "read_assignments"]

REMEDY = "give the file reports/lib/report_data.js that aoc wrote"

_HEAD = re.compile(r"[\s;\ufeff]*(?:(?:var|let|const)\s+)?([A-Za-z_$][\w$]{0,99})\s*=\s*")
# Strings are possessive (no way back into one), so that a hostile file costs one pass.
_STRING = r"""'(?:[^'\\\n]++|\\[\s\S])*+'|"(?:[^"\\\n]++|\\[\s\S])*+\""""
_TOKEN = re.compile(rf"""{_STRING}|[\[\]{{}};'"`]|//|/\*""")
_QUOTED = re.compile(_STRING)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|[\s\S]))")
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_ENDS_OF_LINES = ("\n", "\r", "\r\n", "\u2028", "\u2029")
# Each takes some hundred bytes of memory; the largest of 110 published reports has 19,000.
_MOST, _DEEPEST = 2_000_000, 200
_CLOSES = {"]": "[", "}": "{"}


class Assignment:
    """The values of a file by name, and how they stand there.

    in_strings: JSON inside JavaScript's strings, as compilers 17.0 to 19.4 write it.
    """

    def __init__(self, values: dict[str, Any], in_strings: bool) -> None:
        self.values, self.in_strings = values, in_strings


def read_assignments(text: str, wanted: Collection[str], where: str) -> Assignment:
    """The values of the wanted names, as JSON's own types.

    Raises InputError for text that is no row of assignments of data, with the line; for a name that
    is assigned twice; and for every wanted value that is no JSON.
    """
    found: dict[str, Any] = {}
    seen: set[str] = set()
    problems = Problems()
    in_strings, position = False, 0
    while head := _HEAD.match(text, position):
        name, start = head[1], head.end()
        end = problems.check(_end, text, start, where)
        if end is None:
            problems.stop()
        position = end or len(text)
        if name in wanted:
            if name in seen:
                problems.append(Problem(f"{name} is assigned twice", REMEDY, where))
            seen.add(name)
            value = text[start:position]
            in_strings |= value[:1] in ("'", '"')
            found[name] = problems.check(_read, value, f"{where}: {name}")
    rest = text[position:].lstrip(" \t\r\n;\ufeff")
    if rest:
        what = "is no assignment of data"
        problems.append(_wrong(text, len(text) - len(rest), where, what))
    problems.stop()
    return Assignment(found, in_strings)


def _end(text: str, start: int, where: str) -> int:
    """Where the value that begins at ``start`` ends."""
    opened: list[str] = []
    position = start
    while True:
        token = _TOKEN.search(text, position)
        if token is None:
            if opened:
                raise InputError(_wrong(text, start, where, "begins a value that has no end"))
            return len(text)
        symbol = token[0]
        if symbol in ("'", '"', "`", "//", "/*"):
            what = "has a quotation mark without its end, or a comment"
            raise InputError(_wrong(text, token.start(), where, what))
        if symbol == ";" and not opened:
            return token.start()
        position = token.end()
        if symbol in ("[", "{"):
            opened.append(symbol)
            if len(opened) > _DEEPEST:
                what = f"begins a value nested more than {_DEEPEST} levels deep"
                raise InputError(_wrong(text, start, where, what))
        elif symbol in _CLOSES and (not opened or opened.pop() != _CLOSES[symbol]):
            raise InputError(_wrong(text, token.start(), where, f"has a {symbol} too many"))
        if not opened and symbol != ";":
            return position


def _wrong(text: str, position: int, where: str, what: str) -> Problem:
    line = text.count("\n", 0, position) + 1
    return Problem(f"line {line:,} {what}", REMEDY, where)


def _read(value: str, where: str) -> Any:
    text = _as_json(value)
    many = text.count("[") + text.count("{")
    if many > _MOST:
        what = f"holds {many:,} lists and objects; at most {_MOST:,} are read"
        raise InputError(Problem(what, REMEDY, where))
    return parse_json(text, where, REMEDY)


def _as_json(value: str) -> str:
    """The JSON text of a JavaScript value: that in a string, or the literal with JSON's strings."""
    if value[:1] in ("'", '"'):
        return _decoded(value)
    if "\\" not in value and "'" not in value:
        return value
    return _QUOTED.sub(lambda quoted: json.dumps(_decoded(quoted[0])), value)


def _decoded(quoted: str) -> str:
    """The text of a JavaScript string literal."""
    return _ESCAPE.sub(_character, quoted[1:-1])


def _character(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2]
    if digits is not None:
        return chr(int(digits, 16))
    if escape[3] in _ENDS_OF_LINES:
        return ""
    return _NAMED.get(escape[3], escape[3])
