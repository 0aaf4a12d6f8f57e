"""What is kept on disk between runs, by a digest of everything that decides it.

One folder, ``$XDG_CACHE_HOME/shiftforge`` (``~/.cache/shiftforge``), with one folder a kind below
it; each kind has a limit, past which what was used longest ago goes. Nothing in it is needed: what
is missing, damaged or cannot be written is made anew. ``SHIFTFORGE_CACHE_OFF=KIND[,KIND]`` (or
``all``) neither reads nor keeps what is in a ``Store``: all but simulations, areas and routed
blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem

__all__ = [
    "KINDS",
    "OFF",
    "Held",
    "Kept",
    "Store",
    "cache_place",
    "cache_root",
    "clear",
    "digest",
    "forget_old",
    "held",
    "make_place",
]

OFF = "SHIFTFORGE_CACHE_OFF"
_WHOLE = 32
"""Bytes of the digest that stands before what a store keeps."""


@dataclass(frozen=True)
class _Kind:
    """what: it holds, in words. most: bytes."""

    what: str
    most: int


KINDS = {
    "designs": _Kind("generated designs", 512 << 20),
    "programs": _Kind("device programs as their runtimes compiled them", 512 << 20),
    "probes": _Kind("what devices answered to the probe", 1 << 20),
    "counts": _Kind("simulated time that was counted", 64 << 20),
    "drawings": _Kind("charts and diagrams of pages", 64 << 20),
    "rtl": _Kind("simulations that Verilator built", 4 << 30),
    "area": _Kind("areas by synthesis", 64 << 20),
    "route": _Kind("blocks placed and routed", 64 << 20),
}
"""What is kept, by the name of its folder."""


def cache_root() -> Path:
    """The folder of all that is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "shiftforge"


def cache_place(kind: str) -> Path:
    """Where results of a kind are kept."""
    return cache_root() / kind


def make_place(place: Path) -> None:
    """Make a folder of the cache. Raises InputError where it cannot be made."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "let XDG_CACHE_HOME name a folder that can be written to"
        raise InputError(Problem(system_problem(error).what, remedy, str(place))) from error


def digest(parts: Iterable[str | bytes]) -> str:
    """32 hexadecimal digits of the parts in their order; where one ends is part of it."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()[:32]


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
        with suppress(OSError):
            os.utime(self.path)
        return found if isinstance(found, dict) else None

    def write(self, found: Mapping[str, Any]) -> None:
        """Keep a result. Raises InputError where the folder cannot be made."""
        make_place(self.folder)
        write_file(self.path, json.dumps(found, indent=1))
        if self.folder.name in KINDS:
            forget_old(self.folder, KINDS[self.folder.name].most)


@dataclass(frozen=True)
class Store:
    """Bytes of one kind, by a digest. A store that cannot be used keeps nothing, without a word."""

    kind: str

    def read(self, key: str) -> bytes | None:
        """What was kept under a digest; None where nothing was, or it is damaged."""
        if self._is_off():
            return None
        path = cache_place(self.kind) / key
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if hashlib.sha256(data[_WHOLE:]).digest() == data[:_WHOLE]:
            return data[_WHOLE:]
        self.drop(key)
        return None

    def write(self, key: str, data: bytes) -> None:
        """Keep bytes under a digest, and forget those used longest ago where the room ends."""
        place = cache_place(self.kind)
        if self._is_off() or len(data) > KINDS[self.kind].most // 4:
            return
        # Whatever the system refuses, a run does not need what is kept.
        with suppress(OSError, InputError):
            place.mkdir(parents=True, exist_ok=True)
            write_file(place / key, hashlib.sha256(data).digest() + data)
            forget_old(place, KINDS[self.kind].most)

    def made(self, key: str, make: Callable[[], bytes]) -> bytes:
        """What was kept under a digest, or what ``make`` gives, which is kept."""
        data = self.read(key)
        if data is None:
            data = make()
            self.write(key, data)
        return data

    def _is_off(self) -> bool:
        named = os.environ.get(OFF, "").lower().replace(" ", "").split(",")
        return self.kind in named or "all" in named

    def drop(self, key: str) -> None:
        """Forget what was kept under a digest."""
        with suppress(OSError):
            (cache_place(self.kind) / key).unlink()


@dataclass(frozen=True)
class Held:
    """What the cache holds of a kind. entries: files, or folders of several. size: in bytes."""

    kind: str
    what: str
    entries: int
    size: int
    most: int
    folder: Path


def held() -> tuple[Held, ...]:
    """Of every kind, in the order of ``KINDS``."""
    found = []
    for kind, own in KINDS.items():
        place = cache_place(kind)
        sizes = [size for _, size, _ in _entries(place)]
        found.append(Held(kind, own.what, len(sizes), sum(sizes), own.most, place))
    return tuple(found)


def clear(kinds: Iterable[str]) -> int:
    """Forget all of some kinds; returns the bytes that were freed.

    Raises InputError where the system refuses to remove any of them.
    """
    freed, problems = 0, []
    for kind in kinds:
        for path, size, _ in _entries(cache_place(kind)):
            try:
                _remove(path)
                freed += size
            except OSError as error:
                problems.append(system_problem(error, path))
    if problems:
        raise InputError(problems)
    return freed


def forget_old(place: Path, most: int) -> None:
    """Remove what was used longest ago until a folder holds no more bytes than it may."""
    found = sorted(_entries(place), key=lambda entry: entry[2])
    size = sum(entry[1] for entry in found)
    for path, own, _ in found:
        if size <= most:
            return
        with suppress(OSError):
            _remove(path)
            size -= own


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _entries(place: Path) -> Iterator[tuple[Path, int, float]]:
    """Path, bytes and last use of what a folder holds; nothing where there is no folder."""
    try:
        found = sorted(place.iterdir())
    except OSError:
        return
    for path in found:
        # What another process removes meanwhile is gone; what it writes has a name with a dot.
        with suppress(OSError):
            if path.name.startswith("."):
                continue
            own = path.lstat()
            inner = [] if not path.is_dir() else [p.lstat().st_size for p in path.rglob("*")]
            yield path, own.st_size + sum(inner), own.st_mtime
