"""What the commands that draw pictures share; matplotlib is optional."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from shiftforge.errors import Problem

__all__ = ["is_picture_of", "plot_problems"]


def plot_problems() -> list[Problem]:
    """Why no picture can be drawn."""
    if importlib.util.find_spec("matplotlib") is not None:
        return []
    return [Problem("--plot needs matplotlib", "pip install 'shiftforge[plot]'")]


def is_picture_of(path: Path, software: str) -> bool:
    """Whether a file is a PNG of ours, and so may be replaced."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    return start.startswith(b"\x89PNG") and f"Software\0{software}".encode() in start
