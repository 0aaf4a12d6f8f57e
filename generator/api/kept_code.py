"""A digest of this package's own text: what is kept of one version is none of another's."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from shiftforge.kept import digest

__all__ = ["code_digest"]

_BYTECODE = "__pycache__"


@cache
def code_digest(*rooms: str) -> str:
    """Of every file in some of the package's folders, and of the modules that all of them share."""
    root = Path(str(resources.files("shiftforge")))
    paths = sorted(root.glob("*.py"))
    for room in rooms:
        paths += sorted((root / room).rglob("*"))
    parts: list[str | bytes] = []
    for path in paths:
        if _BYTECODE not in path.parts and path.is_file():
            parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    return digest(parts)
