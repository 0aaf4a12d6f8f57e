"""Results of tools, kept on disk by a digest of everything that decides them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem

__all__ = ["Kept", "cache_place", "digest"]


def cache_place(kind: str) -> Path:
    """Where results of a kind are kept: $XDG_CACHE_HOME/shiftforge/KIND, by default in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "shiftforge" / kind


def digest(parts: Iterable[str]) -> str:
    """32 hexadecimal digits of the parts in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Kept:
    """One result, a JSON object. folder: of the cache. name: of the file, with the digest."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.folder / f"{self.name}.json"

    def read(self) -> dict[str, Any] | None:
        """What was kept; None where nothing was, or nothing that can be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, found: Mapping[str, Any]) -> None:
        """Keep a result. Raises InputError where the folder cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            remedy = "let XDG_CACHE_HOME name a folder that can be written to"
            raise InputError(Problem(system_problem(error).what, remedy, str(self.folder))) from (
                error
            )
        write_file(self.path, json.dumps(found, indent=1))
