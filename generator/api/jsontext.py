"""JSON from outside: of bounded size and depth, without infinities, no name twice."""

from __future__ import annotations

import json
import os
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text

__all__ = ["MOST_JSON", "check_depth", "parse_json", "read_json"]

MOST_JSON = 64 << 20
_DEEPEST = 200


def read_json(
    path: str | os.PathLike[str], *, most: int = MOST_JSON, remedy: str = "mend the file"
) -> Any:
    """The value of a JSON file, as ``parse_json`` takes it. Raises InputError."""
    return parse_json(read_text(path, most=most, remedy=remedy), os.fspath(path), remedy)


def parse_json(text: str, where: str, remedy: str = "mend the file") -> Any:
    """The value of JSON text: no infinities, at most 200 levels deep, no name twice.

    Raises InputError, which names the place.
    """
    try:
        value = json.loads(text, parse_constant=_constant, object_pairs_hook=_unique)
        check_depth(value, _DEEPEST)
    except RecursionError as error:
        what = f"is nested more than {_DEEPEST} levels deep"
        raise InputError(Problem(what, remedy, where)) from error
    except ValueError as error:  # json's own, and Python's for numbers of thousands of digits
        raise InputError(Problem(f"is not valid JSON: {error}", remedy, where)) from error
    return value


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(twice)} stands twice in one object")
    return found


def check_depth(value: Any, deepest: int) -> None:
    """Raise RecursionError for an object or list inside more than ``deepest`` others.

    Code that walks the value can rely on it.
    """
    level = [value]
    for _ in range(deepest + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise RecursionError
