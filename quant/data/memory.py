"""How much memory may be taken: asked before anything of a size from outside is allocated."""

from __future__ import annotations

import resource
from pathlib import Path

from shiftforge.errors import InputError, Problem

__all__ = ["available_bytes", "check_memory"]

_CGROUPS = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes that this process can still take; None where the system does not tell.

    The least of what the machine has free, what the process's control groups leave it, and what
    its own limit of address space does.
    """
    known = [_machine(), *_groups(), _address_space()]
    return min((room for room in known if room is not None), default=None)


def check_memory(
    wanted: int, what: str, remedy: str = "take fewer, or smaller ones", where: str = ""
) -> None:
    """Raise InputError where ``wanted`` bytes are more than can be had. what: what needs them."""
    room = available_bytes()
    if room is not None and wanted > room:
        problem = f"{what} would take {_text(wanted)} of memory; {_text(max(room, 0))} are free"
        raise InputError(Problem(problem, remedy, where))


def _text(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB" if size < 1 << 90 else "more than 2^60 GiB"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _machine() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _groups() -> list[int]:
    """What each control group above this process leaves, of version 2 and version 1."""
    found = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, kinds, place = (*line.split(":", 2), "", "")[:3]
        if kinds and "memory" not in kinds.split(","):
            continue
        root = _CGROUPS / "memory" if kinds else _CGROUPS
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else (
            "memory.max", "memory.current",
        )  # fmt: skip
        folder = root / place.lstrip("/")
        for level in (folder, *folder.parents):
            limit, used = (_number(level / name) for name in names)
            if limit is not None and used is not None:
                found.append(limit - used + _reclaimable(level))
            if level == root:
                break
    return found


def _reclaimable(group: Path) -> int:
    """Pages of files that the group's use counts and that the system drops when it needs room."""
    for line in _lines(group / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _address_space() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _lines(Path("/proc/self/statm"))
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0].split()[0]) * resource.getpagesize()
