"""Reads and validates board files: the shipped ones by name, a user's own by path."""

from __future__ import annotations

import datetime
import difflib
import json
import os
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text
from shiftforge.jsontext import check_depth

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["SOURCED_FIELDS", "list_boards", "load_board", "parse_board"]

SOURCED_FIELDS = (
    "device",
    "alm",
    "dsp",
    "ram_blocks",
    "ram_block_bits",
    "ram_block_max_width",
    "clock_mhz_assumed",
    "memory.kind",
    "memory.banks",
    "memory.size_gb",
    "memory.bandwidth_gb_s",
    "sdk.edition",
    "sdk.version",
    "sdk.bsp",
    "limits.alm",
    "limits.ram",
)
"""Fields whose origin every board file states in its ``sources`` table.

Those of its ``latencies`` come on top, where it has any.
"""

MOST_BYTES = 64 << 10
"""A board file has three or four thousand."""
_DEEPEST, _LONGEST, _LARGEST = 3, 2000, 1 << 63
_GIVE = "give the path of a board TOML file, or a name from `shiftforge boards`"
_MEND = "mend the syntax; CONTRIBUTING.md has the recipe of a board file"


def list_boards() -> tuple[str, ...]:
    """Names of the boards that come with the package, sorted."""
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in files("shiftforge.boards").iterdir()
               if f.name.endswith(".toml"))
    )  # fmt: skip


def load_board(name_or_path: str | Path) -> Board:
    """A shipped board by name, or any board from the TOML file at a path.

    A text is taken as a path when it ends in ``.toml`` or holds a path separator. Raises InputError
    for an unknown name (listing the known ones) and for a file with any problem (listing all).
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text:
        # Editors of Windows begin a file with a mark; it says nothing.
        content = read_text(text, most=MOST_BYTES, remedy=_GIVE, encoding="utf-8-sig")
        return parse_board(content, text)
    return _shipped(text)


@cache
def _shipped(name: str) -> Board:
    names = list_boards()
    if name not in names:
        close = difflib.get_close_matches(name.lower(), names, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        if os.path.isfile(f"{name}.toml"):
            meant = f"did you mean the file {name}.toml? "
        raise InputError(
            Problem(
                f"unknown board {_shown(name)}",
                f"{meant}known boards: {', '.join(names)}; or give the path of your own .toml file",
            )
        )
    file = files("shiftforge.boards").joinpath(f"{name}.toml")
    return parse_board(file.read_text(encoding="utf-8"), f"{name}.toml")


def parse_board(text: str, where: str) -> Board:
    """The board that TOML text describes; where names the text in problems.

    Raises InputError with every problem: TOML syntax, unknown, missing or ill-typed fields, texts
    that are not spelled as their field is, figures out of range or contradicting each other, and
    figures without a source.
    """
    problems: list[Problem] = []
    raw = _cleaned(_parse(text, where), "", where, problems)
    problems += _source_problems(raw, where)
    board: Board | None = None
    from pydantic import ValidationError

    try:
        # Through JSON, because strict validation of Python objects wants tuples and instances.
        board = _adapter().validate_json(json.dumps(raw))
    except ValidationError as error:
        problems += [
            _field_problem(
                _path(".".join(str(part) for part in e["loc"])),
                e["type"],
                e["msg"],
                e["input"],
                where,
            )
            for e in error.errors(include_url=False)
        ]
    if board is not None:
        problems += _contradictions(board, where)
    if problems or board is None:
        raise InputError(problems)
    return board


def _parse(text: str, where: str) -> dict[str, Any]:
    """TOML text as tables. Raises InputError."""
    # A key of thousands of parts would take the reader minutes; a key is on one line.
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONGEST:
            what = f"line {number} has {len(line):,} characters; at most {_LONGEST:,} are read"
            raise InputError(Problem(what, "break the line, or shorten its text", where))
    try:
        raw = tomllib.loads(text)
        check_depth(raw, _DEEPEST)
    except RecursionError as error:
        raise InputError(Problem("not a board: nested too deep", _MEND, where)) from error
    except ValueError as error:  # TOML's own, and Python's for numbers of thousands of digits
        raise InputError(Problem(f"not valid TOML: {error}", _MEND, where)) from error
    return raw


def _cleaned(value: object, path: str, where: str, problems: list[Problem]) -> Any:
    """The value in JSON's types; what is of no field's is a problem, and something harmless."""
    if isinstance(value, datetime.date | datetime.time):
        what = f"{_path(path)}: is a date or a time"
        problems.append(Problem(what, "write a text in quotes, or a number", where))
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _LARGEST:
        problems.append(Problem(f"{_path(path)}: is beyond 64 bits", "correct the value", where))
        return 1
    if isinstance(value, list):
        return [_cleaned(item, f"{path}.{i}", where, problems) for i, item in enumerate(value)]
    if isinstance(value, dict):
        begin = f"{path}." if path else ""
        return {name: _cleaned(v, begin + name, where, problems) for name, v in value.items()}
    return value


def _shown(value: object) -> str:
    """A value of a file, cut to what a line of a message has room for."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text):,} characters)"


def _place(parts: tuple[int | str, ...]) -> str:
    return _path(".".join(str(part) for part in parts))


def _path(text: str) -> str:
    """The place of a field; a name that no field has is shown with what does not print escaped."""
    return text if text.isprintable() and len(text) <= 80 else _shown(text)


def _field_problem(field: str, kind: str, told: str, value: object, where: str) -> Problem:
    """What the validator says of a field. kind, told: its kind of error and its message."""
    if kind == "missing":
        return Problem(f"{field}: {told}", "add the field", where)
    if kind == "unexpected_keyword_argument":
        return Problem(f"{field}: {told}", "remove the field, or mend its spelling", where)
    if kind == "value_error":  # a spelling's own words
        what = f"{field}: {_shown(value)} holds what this field cannot"
        return Problem(what, told.removeprefix("Value error, "), where)
    return Problem(f"{field}: {told}, got {_shown(value)}", "correct the value", where)


@cache
def _adapter() -> TypeAdapter[Board]:
    """Validator of Board; pydantic is imported only when a board is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(Board)


def _source_problems(raw: dict[str, Any], where: str) -> list[Problem]:
    sources = raw.get("sources")
    if not isinstance(sources, dict):
        return []  # reported by the validator as missing or ill-typed
    own = raw.get("latencies")
    latencies = tuple(f"latencies.{name}" for name in own) if isinstance(own, dict) else ()
    wanted = (*SOURCED_FIELDS, *latencies)
    lacking = [field for field in wanted if field not in sources]
    surplus = [field for field in sources if field not in wanted]
    return [
        *(
            Problem(
                f"sources has no entry for {_path(field)}",
                f'add "{_path(field)}" = "<document>" or "assumption: <reason>"',
                where,
            )
            for field in lacking
        ),
        *(
            Problem(
                f"sources names {_shown(field)}, which is no figure of a board", "remove it", where
            )
            for field in surplus
        ),
    ]


def _contradictions(board: Board, where: str) -> list[Problem]:
    found = []
    bits = {"M20K": 20480, "M10K": 10240}[board.ram_block_kind]
    if board.ram_block_bits != bits:
        found.append(
            Problem(
                f"ram_block_bits is {board.ram_block_bits}, but an {board.ram_block_kind} "
                f"holds {bits}",
                "correct ram_block_kind or ram_block_bits",
                where,
            )
        )
    if (board.ram_block_kind == "M10K") != (board.family == "Cyclone V"):
        found.append(
            Problem(
                f"{board.family} has no {board.ram_block_kind} blocks",
                "correct family or ram_block_kind",
                where,
            )
        )
    edition = "standard" if board.family == "Cyclone V" else "pro"
    if board.sdk.edition != edition:
        found.append(
            Problem(
                f"the {board.sdk.edition} edition of the SDK does not compile for {board.family}",
                f'set sdk.edition = "{edition}"',
                where,
            )
        )
    if board.dialect != f"intel-fpga-{board.sdk.edition}":
        found.append(
            Problem(
                f"dialect {board.dialect} does not belong to the {board.sdk.edition} edition",
                f'set dialect = "intel-fpga-{board.sdk.edition}"',
                where,
            )
        )
    return found
