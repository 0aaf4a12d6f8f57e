"""The notes in a classifier's folder (classifier.json): what it was trained on, and how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem

__all__ = ["NOTES", "load_notes"]

NOTES = "classifier.json"
_KINDS: dict[str, type] = {
    "corpus": str, "fold": int, "split": int, "weights": str, "recipe": dict, "table": dict,
}  # fmt: skip


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def load_notes(folder: Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """The notes of a folder. needed: names that they must have.

    Raises InputError where there are none, and for every value that is missing or of another type.
    """
    path = folder / NOTES
    remedy = "train the classifier again"
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"no classifier: {NOTES} cannot be read: {error}"
        raise InputError(Problem(what, remedy, str(folder))) from error
    if not isinstance(notes, dict):
        raise InputError(Problem("no classifier: the notes are no object", remedy, str(path)))
    problems = [
        Problem(f"no {name} in the notes", remedy, str(path))
        for name in needed
        if name not in notes
    ]
    for name, kind in _KINDS.items():
        value = notes.get(name)
        if value is not None and not (_integer(value) if kind is int else isinstance(value, kind)):
            problems.append(Problem(f"{name} {value!r} in the notes", remedy, str(path)))
    table = notes.get("table")
    if isinstance(table, dict) and not _integer(table.get("bias")):
        what = f"the notes' word table has the exponent bias {table.get('bias')!r}"
        problems.append(Problem(what, remedy, str(path)))
    if problems:
        raise InputError(problems)
    return notes
