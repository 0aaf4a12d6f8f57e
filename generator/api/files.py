"""Files from outside: regular ones only, of bounded size; places to write to, looked at first.

Every module that takes a path from outside reads it here; ``shiftforge.atomic`` writes.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from shiftforge.errors import InputError, Problem

__all__ = [
    "MOST_TEXT",
    "check_file",
    "check_output_folder",
    "open_file",
    "output_problems",
    "read_bytes",
    "read_text",
    "refuse_special",
    "system_problem",
]

MOST_TEXT = 256 << 20
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose a folder on another disk",
    errno.EDQUOT: "free some of your quota, or choose a folder on another disk",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "name a file",
    errno.ELOOP: "remove the circle of symbolic links",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: "free some memory, or take a smaller input",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or choose another disk",
}


def system_problem(error: OSError, where: str | os.PathLike[str] | None = None) -> Problem:
    """What the system refused, with what mends it; where: in place of the error's own file."""
    place = os.fspath(where) if where is not None else error.filename
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the path, its permissions and the disk")
    text = place.decode("utf-8", "replace") if isinstance(place, bytes) else str(place or "")
    return Problem(f"the system refused: {reason}", remedy, text)


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "no regular file"


@contextmanager
def open_file(
    path: str | os.PathLike[str], remedy: str = "give a file"
) -> Iterator[BufferedReader]:
    """A regular file, open to be read. A pipe or device is refused without waiting for it.

    Raises InputError where there is none, or it cannot be opened or read.
    """
    where = os.fspath(path)
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
        handle = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(_unopened(error, where, remedy)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise InputError(Problem(f"is {_kind(mode)}", remedy, where))
    with os.fdopen(handle, "rb") as stream:
        try:
            yield stream
        except OSError as error:
            raise InputError(system_problem(error, where)) from error


def _unopened(error: OSError | ValueError, where: str, remedy: str) -> Problem:
    if isinstance(error, ValueError):  # a NUL in the name
        return Problem(f"no file can have this name: {error}", remedy, repr(where))
    if error.errno == errno.ENOENT:
        return Problem("there is no such file", remedy, where)
    if error.errno == errno.ENXIO:
        return Problem("is a socket or a device", remedy, where)
    return system_problem(error, where)


def check_file(path: str | os.PathLike[str], remedy: str = "give a file") -> int:
    """Size in bytes of a regular file that can be read. Raises InputError for anything else."""
    with open_file(path, remedy) as stream:
        return os.fstat(stream.fileno()).st_size


def read_bytes(
    path: str | os.PathLike[str], *, most: int | None = None, remedy: str = "give a file"
) -> bytes:
    """A regular file's content. most: in bytes; a longer file is refused before it is read."""
    with open_file(path, remedy) as stream:
        size = os.fstat(stream.fileno()).st_size
        if most is not None and size > most:
            what = f"is {size:,} bytes long; at most {most:,} are read"
            raise InputError(Problem(what, remedy, os.fspath(path)))
        # One byte beyond: a file that grows, or one of /proc that claims to be empty.
        data = stream.read(size + 1 if most is None else most + 1)
        if most is not None and len(data) > most:
            raise InputError(Problem(f"is longer than {most:,} bytes", remedy, os.fspath(path)))
        return data if most is not None else data + stream.read()


def read_text(
    path: str | os.PathLike[str],
    *,
    most: int = MOST_TEXT,
    remedy: str = "give a text file in UTF-8",
    encoding: str = "utf-8",
) -> str:
    """A UTF-8 file's text. Raises InputError."""
    data = read_bytes(path, most=most, remedy=remedy)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02X}"
        raise InputError(Problem(what, remedy, os.fspath(path))) from error


def output_problems(path: str | os.PathLike[str]) -> list[Problem]:
    """What would stop a file from being written to ``path``, found without writing it."""
    target = Path(path)
    where = str(target)
    if "\0" in where:
        return [Problem("no file can have this name", "use another", repr(where))]
    try:
        if target.is_dir():
            return [Problem("is a folder", "name a file in it", where)]
        if not target.parent.is_dir():
            remedy = f"mkdir -p {target.parent}"
            return [Problem("its folder does not exist", remedy, where)]
        if target.exists() and not target.is_file():
            return [Problem(f"is {_kind(target.stat().st_mode)}", "name a file", where)]
        _try_folder(target.parent)
    except OSError as error:
        return [system_problem(error, where)]
    return []


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Raise InputError where a path leads to what no file may replace: a device, pipe or socket."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing is there, or a link to nothing
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(Problem(f"is {_kind(mode)}", "name a file", os.fspath(path)))


def _try_folder(folder: Path) -> None:
    """Raise OSError unless a file can be made in the folder; permissions alone do not tell."""
    with tempfile.TemporaryFile(dir=folder):
        pass


def check_output_folder(path: str | os.PathLike[str]) -> None:
    """Raise InputError unless files can be made in the folder, or it can be made."""
    folder = Path(path)
    where = str(folder)
    try:
        if "\0" in where:
            raise ValueError("embedded null character")
        if folder.is_dir():
            _try_folder(folder)
        elif folder.exists() or folder.is_symlink():
            raise InputError(Problem("is not a folder", "choose another output folder", where))
        elif not folder.parent.is_dir():
            remedy = f"mkdir -p {folder.parent}"
            raise InputError(Problem("the parent folder does not exist", remedy, where))
        else:
            _try_folder(folder.parent)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise InputError(system_problem(error, where)) from error
        raise InputError(_unnamed(error, where)) from error


def _unnamed(error: ValueError, where: str) -> Problem:
    return Problem(f"no folder can have this name: {error}", "use another", repr(where))
