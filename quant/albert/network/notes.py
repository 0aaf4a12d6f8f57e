"""The notes in a classifier's folder (classifier.json): what it was trained on, and how.

They are written first, as those of an unfinished classifier, and last, whole: a folder whose
writing was cut short says so, and the same training finishes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.jsontext import read_json

__all__ = ["NOTES", "UNFINISHED", "begin_notes", "is_notes", "is_unfinished", "load_notes",
           "mark_unfinished"]  # fmt: skip

NOTES = "classifier.json"
UNFINISHED = "unfinished"
"""The only entry of the notes of a folder that is being written."""
_KINDS: dict[str, type] = {
    "corpus": str, "fold": int, "split": int, "weights": str, "recipe": dict, "table": dict,
    "classes": list, "spans": dict, "seed": int, "shape": dict, "accuracy": list,
    "validation": list, "tfidf": float,
}  # fmt: skip
_MOST = 1 << 32
_MOST_CLASSES = 4096


def mark_unfinished(path: Path) -> None:
    """Make the folder of a notes' file, and write that it is not whole yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps({UNFINISHED: True}) + "\n")


def begin_notes(folder: Path) -> None:
    """Make a classifier's folder; until its notes are written it is an unfinished one."""
    mark_unfinished(folder / NOTES)


def is_notes(path: Path, *names: str) -> bool:
    """Whether a file is ours: an object with all these names, or that of an unfinished folder."""
    try:
        held = read_json(path)
    except InputError:
        return False
    return isinstance(held, dict) and (held == {UNFINISHED: True} or set(names) <= set(held))


def is_unfinished(path: Path) -> bool:
    """Whether a file is the notes of a folder whose writing was broken off."""
    try:
        return bool(read_json(path) == {UNFINISHED: True})
    except InputError:
        return False


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _MOST and math.isfinite(value)


def _fits(name: str, value: Any) -> bool:
    kind = _KINDS[name]
    if kind is int:
        return type(value) is int and 0 <= value < _MOST
    if kind is float:
        return _number(value)
    if not isinstance(value, kind):
        return False
    if not isinstance(value, list):
        return True
    if name == "classes":
        return 2 <= len(value) <= _MOST_CLASSES and all(isinstance(own, str) for own in value)
    return all(_number(own) for own in value)


def load_notes(folder: Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """The notes of a folder. needed: names that they must have.

    Raises InputError where there are none, where the folder is unfinished, and for every value that
    is missing, of another type or out of range.
    """
    path = folder / NOTES
    remedy = "train the classifier again"
    try:
        notes = read_json(path, remedy=remedy)
    except InputError as error:
        what = f"no classifier: {NOTES} cannot be read: {error.problems[0].what}"
        raise InputError(Problem(what, remedy, str(folder))) from error
    if not isinstance(notes, dict):
        raise InputError(Problem("no classifier: the notes are no object", remedy, str(path)))
    if UNFINISHED in notes:
        what = "no classifier: the training that wrote this folder was broken off"
        raise InputError(Problem(what, "run the same training again", str(folder)))
    problems = [
        Problem(f"no {name} in the notes", remedy, str(path))
        for name in needed
        if name not in notes
    ]
    for name in _KINDS:
        value = notes.get(name)
        if value is not None and not _fits(name, value):
            problems.append(Problem(f"{name} {value!r:.60} in the notes", remedy, str(path)))
    for name, part, low in (("table", "bias", -64), ("spans", "ramp", 1)):
        own = notes.get(name)
        number = own.get(part) if isinstance(own, dict) else None
        if isinstance(own, dict) and (type(number) is not int or not low <= number < 1 << 16):
            kind = "word table has the exponent bias" if name == "table" else "spans have the ramp"
            what = f"the notes' {kind} {number!r:.40}"
            problems.append(Problem(what, remedy, str(path)))
    if problems:
        raise InputError(problems)
    return notes
