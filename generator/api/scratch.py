"""Folders for temporary work: made here, locked while they are used, and gone after it.

A process that is killed cannot clear its folder away; the next one that makes a folder does. What
belongs to a living process is told by the lock that it holds on it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem

__all__ = ["check_room", "clear_dead", "temporary_root", "work_folder"]

_NAME = re.compile(r"shiftforge-[a-z0-9]{1,20}-[A-Za-z0-9_]{8}\.work")
# Without it a folder of such a name may be somebody's own.
_MARK = ".shiftforge-work"
_REMEDY = "let TMPDIR name a folder on a disk with room that can be written to"
_LEAST_ROOM = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def work_folder(prefix: str, where: Path | None = None) -> Iterator[Path]:
    """A new folder for temporary files, removed when the block ends, whatever ends it.

    prefix: small letters and digits, of its name. where: the folder that it is made in; by default
    the system's for temporary files (``TMPDIR``). Folders there whose process was killed are
    removed first. Raises InputError where none can be made, or where the block runs out of room.
    """
    root = temporary_root() if where is None else where
    clear_dead(root)
    try:
        folder, lock = _make(root, prefix)
    except OSError as error:
        raise InputError(_problem(error, "", str(root), where is None)) from error
    try:
        yield folder
    except OSError as error:
        if error.errno in _FULL and _within(error, folder):
            raise InputError(_problem(error, "", str(root), where is None)) from error
        raise
    finally:
        _remove(folder)
        os.close(lock)


def _within(error: OSError, folder: Path) -> bool:
    """Whether a failed write was one to the folder; a write to an open file names none."""
    return error.filename is None or os.fsdecode(error.filename).startswith(str(folder))


def temporary_root() -> Path:
    """The folder for temporary files: that of ``TMPDIR`` and no other, where it is set.

    Raises InputError where no file can be made in it: another folder than the one that was named
    may be a disk that must not fill up.
    """
    named = os.environ.get("TMPDIR")
    try:
        root = Path(named or tempfile.gettempdir()).absolute()
        check_room(root)
        return root
    except OSError as error:
        place = f"TMPDIR={named}" if named else ""
        raise InputError(_problem(error, "no temporary files can be made: ", place)) from error


def check_room(folder: Path) -> None:
    """Raise OSError where the disk of a folder is full: a program that failed may not say it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno())


def _problem(error: OSError, before: str, where: str, temporary: bool = True) -> Problem:
    told = system_problem(error)
    remedy = _REMEDY if temporary and error.errno != errno.EFBIG else told.remedy
    return Problem(before + told.what, remedy, where)


def _reserve(handle: int) -> None:
    """Raise OSError where not even a small run's files have room: tools tell it less well."""
    try:
        os.posix_fallocate(handle, 0, _LEAST_ROOM)
    except OSError as error:
        if error.errno in _FULL:
            raise


def _make(root: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the lock on it."""
    while True:
        folder = Path(tempfile.mkdtemp(".work", f"shiftforge-{prefix}-", root))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # taken for a dead one before it was locked
        with suppress(OSError):  # a file system without locks: nobody clears there
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            (folder / _MARK).touch()
        except FileNotFoundError:
            os.close(lock)
            continue
        except OSError:
            os.close(lock)
            _remove(folder)
            raise
        return folder, lock


def clear_dead(root: Path) -> None:
    """Remove the work folders in a folder whose process has ended without doing so."""
    try:
        names = [entry.name for entry in os.scandir(root) if _NAME.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            _clear(root / name)


def _clear(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Killed before the mark was made, or after it was removed: then it is empty.
        if (folder / _MARK).is_file() or not os.listdir(folder):
            _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """The mark goes last, so that what a kill leaves of it is known again."""
    # Twice: what a child that ends at this moment still adds.
    for _ in range(2):
        with suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name == _MARK:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        os.unlink(entry.path)
        with suppress(OSError):
            if os.listdir(folder) in ([_MARK], []):
                with suppress(FileNotFoundError):
                    (folder / _MARK).unlink()
                os.rmdir(folder)
                return
