"""A program that ends, as by kill -9, at any of its changes of the file system."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Changes", "Killed", "changes_of", "contents", "killed_at"]


class Killed(BaseException):
    """Nothing runs after it; no handler of errors sees it."""


@dataclass
class Changes:
    """last: the change that does not happen any more, counted from 1; None for none."""

    last: int | None
    count: int = 0

    @property
    def dead(self) -> bool:
        return self.last is not None and self.count >= self.last

    def before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """The change, unless the program has ended."""

        def made(*rest: Any, **more: Any) -> Any:
            if self.dead:
                # What "finally" does in a test, the dead do not do.
                return None if change.__name__ in ("unlink", "rmdir") else self.end()
            self.count += 1
            if self.dead:
                self.end()
            return change(*rest, **more)

        return made

    def after(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """The change, and then the end: an empty file is left."""

        def made(*rest: Any, **more: Any) -> Any:
            if self.dead:
                self.end()
            self.count += 1
            found = change(*rest, **more)
            if self.dead:
                os.close(found[0])
                self.end()
            return found

        return made

    def end(self) -> None:
        raise Killed(f"change {self.last}")


@contextmanager
def killed_at(last: int | None) -> Iterator[Changes]:
    """Within the block, the n-th change of the file system by Python ends everything.

    Changes: a file or folder that is made, renamed or removed.
    """
    changes = Changes(last)
    with (
        mock.patch.object(os, "replace", changes.before(os.replace)),
        mock.patch.object(os, "unlink", changes.before(os.unlink)),
        mock.patch.object(os, "mkdir", changes.before(os.mkdir)),
        mock.patch.object(tempfile, "mkstemp", changes.after(tempfile.mkstemp)),
    ):
        yield changes


def changes_of(program: Callable[[], object]) -> int:
    """How many changes a program makes that runs to its end."""
    with killed_at(None) as changes:
        program()
    return changes.count


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
