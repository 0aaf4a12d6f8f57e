"""Records of finished runs: one JSON file a run, read by key, written whole or not at all.

A study that was broken off goes on where it stopped: a run whose record is there and current is
not done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from shiftforge.atomic import write_file

__all__ = ["Record", "Records", "write_json", "write_whole"]

Record = dict[str, Any]
"""A JSON object."""
Run = TypeVar("Run")


def write_whole(path: Path, text: str) -> None:
    """A text file, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text)


def write_json(path: Path, found: object, *, sort_keys: bool = False) -> None:
    """A value as JSON, whole or not at all."""
    write_whole(path, json.dumps(found, indent=1, sort_keys=sort_keys) + "\n")


@dataclass(frozen=True)
class Records(Generic[Run]):
    """The records of a study's runs.

    folder: one file a record. key: a run's name, that of its file without the suffix.
    current: whether a record (with its path) is of the run as it is now; it may raise InputError
    where a record must not be replaced either.
    """

    folder: Path
    key: Callable[[Run], str]
    current: Callable[[Run, Record, Path], bool]

    def path(self, run: Run) -> Path:
        """Of the run's record."""
        return self.folder / f"{self.key(run)}.json"

    def read(self, run: Run) -> Record | None:
        """What the finished run found; None where there is no record, or none that is current.

        A file that cannot be read is no record: the run is done again.
        """
        path = self.path(run)
        try:
            found: Record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if self.current(run, found, path) else None

    def pending(self, runs: Iterable[Run]) -> list[Run]:
        """Those without a record, in their order."""
        return [run for run in runs if self.read(run) is None]

    def write(self, run: Run, found: Record) -> None:
        """Keep what the run found."""
        write_json(self.path(run), found)
