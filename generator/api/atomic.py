"""Files written whole or not at all: beside their place under a name of their own, then renamed.

Every file that the project writes is written here.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftforge.errors import InputError
from shiftforge.files import refuse_special, system_problem

__all__ = [
    "Staged",
    "clear_leftovers",
    "is_leftover",
    "replacing",
    "staged",
    "write_file",
    "write_files",
]

_NAME_BYTES = 255
# mkstemp's 8 characters between; the name of the file that it will become is cut where it is long.
_LEFTOVER = re.compile(r"\..{1,200}\.[A-Za-z0-9_]{8}\.shiftforge-part")


def is_leftover(name: str) -> bool:
    """Whether a file's name is that of a write that was cut short."""
    return _LEFTOVER.fullmatch(name) is not None


def clear_leftovers(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove what killed runs left in a folder: of one file's writes, or of all without a name.

    What another process is writing at this moment is left: its writer holds a lock on it.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    start = None if name is None else f".{_stem(name)}."
    for entry in entries:
        ours = is_leftover(entry.name) and (start is None or entry.name.startswith(start))
        if not ours or not entry.is_file(follow_symlinks=False):
            continue
        try:
            handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(entry.path)
        except OSError:
            pass  # being written, or gone
        finally:
            os.close(handle)


def _stem(name: str) -> str:
    """As much of a name as leaves room for what a temporary one adds, whole characters only."""
    room = _NAME_BYTES - len("..12345678.shiftforge-part")
    return os.fsencode(name)[:room].decode("utf-8", "ignore")


class Staged:
    """A file on its way: written beside its place, and put there by ``commit``.

    part: where it is written; in the same folder, of a name that nobody can foretell. It is locked
    as long as it is not ended by ``commit`` or ``discard``, so that nobody takes it for a leftover.
    Every method raises OSError for what the system refuses; making one raises InputError where a
    device, a pipe or a socket has the name, which a rename would take away from everybody.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.target = Path(path)
        refuse_special(self.target)
        clear_leftovers(self.target.parent, self.target.name)
        self._handle, name = tempfile.mkstemp(
            dir=self.target.parent,
            prefix=f".{_stem(self.target.name)}.",
            suffix=".shiftforge-part",
        )
        self.part = Path(name)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def settle(self) -> None:
        """Put the data on the disk, readable as any file that a user makes."""
        mask = os.umask(0o077)
        os.umask(mask)
        with open(self.part, "rb+") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~mask)
            os.fsync(stream.fileno())

    def commit(self) -> None:
        """Take the place of the file that is there; a link is replaced, not followed."""
        os.replace(self.part, self.target)
        self._end()
        _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Leave nothing; after ``commit`` this does nothing."""
        if self._handle >= 0:
            self.part.unlink(missing_ok=True)
            self._end()

    def _end(self) -> None:
        os.close(self._handle)
        self._handle = -1


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file that takes the place of ``path`` when the block ends, and never half of it.

    The block writes to the path that it is given. It is on the disk before it is renamed. Where the
    block fails nothing is left and the old file stays; what a kill leaves, the next write of the
    same file removes. Raises InputError for what the system refuses.
    """
    staged = None
    try:
        staged = Staged(path)
        yield staged.part
        staged.settle()
        staged.commit()
    except OSError as error:
        raise InputError(system_problem(error, Path(path))) from error
    finally:
        if staged is not None:
            staged.discard()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems cannot; the file itself is safe
    finally:
        os.close(handle)


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file whole or not at all, as ``replacing`` does; text in UTF-8."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def staged(files: Iterable[tuple[Path, bytes]]) -> Iterator[list[Staged]]:
    """Every file written beside its place, in their order, none of them there yet.

    The block commits them; what it leaves is discarded, and folders that were made for it go. A
    full disk ends it before the block begins, with nothing left. Raises OSError for what the system
    refuses.
    """
    made: list[Staged] = []
    folders: list[Path] = []
    try:
        for path, data in files:
            missing = []
            folder = path.parent
            while not folder.is_dir():
                missing.append(folder)
                folder = folder.parent
            for folder in reversed(missing):
                folder.mkdir()
                folders.append(folder)
            made.append(Staged(path))
            made[-1].part.write_bytes(data)
            made[-1].settle()
        yield made
    finally:
        for one in made:
            one.discard()
        for folder in reversed(folders):
            if not any(folder.iterdir()):
                folder.rmdir()


def write_files(files: Iterable[tuple[Path, bytes]]) -> None:
    """Write files in their order, each whole or not at all, and none where there is no room for all
    of them; missing folders are made. Raises InputError for what the system refuses."""
    try:
        with staged(files) as made:
            for one in made:
                one.commit()
    except OSError as error:
        raise InputError(system_problem(error)) from error
