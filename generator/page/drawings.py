"""Pictures that were drawn before: the same program draws the same text the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shiftforge.kept import Store, digest

__all__ = ["kept_drawing"]

_STORE = Store("drawings")


def kept_drawing(decides: Sequence[str], draw: Callable[[], str]) -> str:
    """What ``draw`` gives, or what it gave before. decides: the program with its version, and all
    that it is told."""
    return _STORE.made(digest(decides), lambda: draw().encode()).decode()
