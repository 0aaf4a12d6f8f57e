"""A design: the generated files in memory, their digest, and writing them safely.

A folder is complete, or its manifest says that it is not: the manifest is replaced by one that says
``unfinished`` before the first file changes, and by the new one after the last. Whatever moment a
kill takes, the same command finishes the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftforge.atomic import clear_leftovers, is_leftover, staged
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import check_output_folder, system_problem
from shiftforge.generator.manifest import (
    MANIFEST,
    Content,
    could_hold,
    file_content,
    is_sealed,
    manifest_text,
    read_manifest,
    recorded,
    unfinished_text,
)
from shiftforge.generator.rules import RuleException
from shiftforge.shown import facts_html

__all__ = ["Design", "TextRules", "check_folder"]

_FOLDERS = ("data", "device", "host", "rtl")
_OTHER = "choose an empty folder, or one that `generate` wrote"


@dataclass(frozen=True)
class TextRules:
    """What a target says of its device text, for the rules of pipelining.

    pipelining: whether they are asked for. proofs: the smallest distance in iterations that was
    proved for each promise of the text, by name (None where no two iterations meet); None where
    promises only have to name a proof. exceptions: what the text may break, and what that costs.
    """

    pipelining: bool = False
    proofs: Mapping[str, int | None] | None = None
    exceptions: tuple[RuleException, ...] = ()


@dataclass(frozen=True, eq=False)
class Design:
    """Generated files by relative path, and the figures that describe them.

    report: what ``generate --json`` prints; ``digest`` is added to it.
    manifest: what the runtime needs to know (sizes, file names), stored in the folder.
    rules: of the device text.
    Raises ValueError for a path that is none of a design's (see ``could_hold``).
    """

    files: Mapping[str, bytes]
    report: Mapping[str, Any]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    rules: TextRules = field(default_factory=TextRules)

    def __post_init__(self) -> None:
        foreign = [path for path in self.files if not could_hold(path)]
        if foreign:
            raise ValueError(f"no paths of a design: {', '.join(foreign)}")

    def _repr_html_(self) -> str:
        """The figures, in a notebook."""
        return facts_html("design", {**self.report, "files": len(self.files)})

    @property
    def digest(self) -> str:
        """SHA-256 over all paths and contents, in sorted order."""
        total = hashlib.sha256()
        for path in sorted(self.files):
            total.update(f"{path}\0{len(self.files[path])}\0".encode())
            total.update(self.files[path])
        return total.hexdigest()

    def write(self, folder: str | Path, *, overwrite: bool = False) -> list[str]:
        """Write the files; returns the paths whose contents changed.

        A file that is equal already is left alone. Files of an earlier design that this one does
        not have are removed, if they are what that design wrote. overwrite: also replace files that
        were edited. Raises InputError where the folder holds anything that is not a design's, where
        a file was edited, and for what the system refuses.
        """
        root = Path(folder)
        check_folder(root)
        new = not root.exists()
        try:
            root.mkdir(exist_ok=True)
            with _alone(root):
                return self._write(root, overwrite)
        except OSError as error:
            raise InputError(system_problem(error)) from error
        finally:
            if new and root.is_dir() and not any(root.iterdir()):
                root.rmdir()

    def _write(self, root: Path, overwrite: bool) -> list[str]:
        for name in ("", *_FOLDERS):
            clear_leftovers(root / name)
        old = _recorded(root)
        new = {path: Content.of(data) for path, data in self.files.items()}
        held = {path: file_content(root / path) for path in {*old, *new}}
        wrong = [] if overwrite else _edited(root, old, new, held)
        wrong += [
            Problem("is a folder", "move it away", str(root / path))
            for path in sorted(new)
            if (root / path).is_dir()
        ]
        if wrong:
            raise InputError(wrong)
        stale = sorted(p for p in set(old) - set(new) if could_hold(p) and held[p] in old[p])
        wanted = [path for path in sorted(new) if held[path] != new[path]]
        manifest = manifest_text({**self.manifest, "digest": self.digest}, new)
        changed = [] if _same(root / MANIFEST, manifest) else [MANIFEST]
        if not stale and not wanted and not changed:
            return []
        both = {p: old.get(p, frozenset()) | _alone_in(new, p) for p in {*old, *new}}
        begun = [(MANIFEST, unfinished_text(self.manifest, both))] if stale or wanted else []
        files = [(path, self.files[path]) for path in wanted]
        written = [(root / path, data) for path, data in [*begun, *files, (MANIFEST, manifest)]]
        with staged(written) as (*first, last):
            # From here on nothing needs room on the disk.
            for one in first:
                one.commit()
            for path in stale:
                (root / path).unlink(missing_ok=True)
            _remove_empty(root, set(old) - set(new))
            last.commit()
        return [*stale, *wanted, *changed]


def _alone_in(new: Mapping[str, Content], path: str) -> frozenset[Content]:
    return frozenset([new[path]] if path in new else [])


def _same(path: Path, data: bytes) -> bool:
    return file_content(path, frozenset([Content.of(data)])) == Content.of(data)


def _remove_empty(root: Path, paths: Iterable[str]) -> None:
    """Remove the folders that these files were the last ones in."""
    for folder in {(root / path).parent for path in paths if could_hold(path)} - {root}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _edited(
    root: Path,
    old: Mapping[str, frozenset[Content]],
    new: Mapping[str, Content],
    held: Mapping[str, Content | None],
) -> list[Problem]:
    """A problem for each file in the way that neither design wrote."""
    found = []
    for path, wanted in sorted(new.items()):
        own = held[path]
        if own is None or own == wanted or own in old.get(path, ()):
            continue
        what = "was edited since it was generated" if path in old else "is not of this design"
        remedy = "move it away if you need it, then give --overwrite"
        found.append(Problem(what, remedy, str(root / path)))
    return found


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """No other process writes a design to the folder meanwhile. Raises InputError."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        what = "another process is writing a design to the folder"
        raise InputError(Problem(what, "wait for it, or choose another", str(root))) from error
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def check_folder(folder: str | Path) -> None:
    """Raise InputError unless a design may be written to the folder."""
    root = Path(folder)
    if root.is_symlink():
        raise InputError(Problem("is not a folder", "choose another output folder", str(root)))
    check_output_folder(root)
    if not root.exists():
        return
    problems = Problems()
    problems.check(_recorded, root)
    problems.stop()
    for path in (root / name for name in _FOLDERS):
        if path.is_symlink():
            problems.append(
                Problem("a folder of the design is a symbolic link", "remove it", str(path))
            )
        elif path.exists() and not path.is_dir():
            problems.append(Problem("is no folder, as the design needs", "move it away", str(path)))
    problems.stop()


def _recorded(root: Path) -> dict[str, frozenset[Content]]:
    """What an earlier design's files may hold; empty for a new or empty folder, and for a manifest
    that was edited. Raises InputError where the folder is somebody else's."""
    if all(_is_beginning(path) for path in root.iterdir()):
        return {}
    if not (root / MANIFEST).is_file():
        what = "the output folder is not empty and holds no earlier design"
        raise InputError(Problem(what, _OTHER, str(root)))
    manifest = read_manifest(root)
    return recorded(manifest) if is_sealed(manifest) else {}


def _is_beginning(path: Path) -> bool:
    """Whether an entry is what a kill leaves before the manifest says that writing has begun."""
    if path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
        return all(is_leftover(inner.name) for inner in path.iterdir())
    return is_leftover(path.name)
