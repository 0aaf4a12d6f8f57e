"""Reads and validates board files: the shipped ones by name, a user's own by path."""

from __future__ import annotations

import difflib
import json
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem

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
"""Fields whose origin every board file states in its ``sources`` table."""


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
        path = Path(name_or_path)
        try:
            return parse_board(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            remedy = "give the path of a board TOML file, or a name from `shiftforge boards`"
            raise InputError(
                Problem(f"cannot be read ({error.strerror})", remedy, str(path))
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(
                Problem("is not UTF-8 text", "give a board TOML file", str(path))
            ) from error
    return _shipped(text)


@cache
def _shipped(name: str) -> Board:
    names = list_boards()
    if name not in names:
        close = difflib.get_close_matches(name.lower(), names, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(
            Problem(
                f"unknown board {name!r}",
                f"{meant}known boards: {', '.join(names)}; or give the path of your own .toml file",
            )
        )
    file = files("shiftforge.boards").joinpath(f"{name}.toml")
    return parse_board(file.read_text(encoding="utf-8"), f"{name}.toml")


def parse_board(text: str, where: str) -> Board:
    """The board that TOML text describes; where names the text in problems.

    Raises InputError with every problem: TOML syntax, unknown, missing or ill-typed fields, figures
    out of range or contradicting each other, and figures without a source.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(Problem(f"not valid TOML: {error}", "mend the syntax", where)) from error
    problems = [*_source_problems(raw, where)]
    board: Board | None = None
    from pydantic import ValidationError

    try:
        # Through JSON, because strict validation of Python objects wants tuples and instances.
        board = _adapter().validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        problems += [
            Problem(
                f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}"
                + ("" if e["type"] in ("missing", "unexpected_keyword_argument")
                   else f", got {e['input']!r}"),
                _remedy(e["type"]),
                where,
            )
            for e in error.errors(include_url=False)
        ]  # fmt: skip
    if board is not None:
        problems += _contradictions(board, where)
    if problems or board is None:
        raise InputError(problems)
    return board


def _remedy(kind: str) -> str:
    if kind == "missing":
        return "add the field"
    if kind == "unexpected_keyword_argument":
        return "remove the field, or mend its spelling"
    return "correct the value"


@cache
def _adapter() -> TypeAdapter[Board]:
    """Validator of Board; pydantic is imported only when a board is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(Board)


def _source_problems(raw: dict[str, Any], where: str) -> list[Problem]:
    sources = raw.get("sources")
    if not isinstance(sources, dict):
        return []  # reported by the validator as missing or ill-typed
    lacking = [field for field in SOURCED_FIELDS if field not in sources]
    surplus = [field for field in sources if field not in SOURCED_FIELDS]
    return [
        *(
            Problem(
                f"sources has no entry for {field}",
                f'add "{field}" = "<document>" or "assumption: <reason>"',
                where,
            )
            for field in lacking
        ),
        *(
            Problem(f"sources names {field!r}, which is no figure of a board", "remove it", where)
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
