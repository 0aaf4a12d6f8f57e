"""Ranges of results, over all steps of a plan: what their clamps need not compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from shiftforge.generator.conv.records import PostPass

__all__ = ["INT32", "clamps_output", "floors"]

INT32 = -(1 << 31), (1 << 31) - 1
"""The range of a 32-bit output that is not clamped; where none is, records have 0 and 0 in its
place."""


class _Step(Protocol):
    @property
    def post(self) -> PostPass: ...


def floors(steps: Iterable[_Step]) -> bool:
    """Whether the smallest code of every step is its type's: 0 or -128."""
    return all(step.post.low in (0, -128) for step in steps if not step.post.direct)


def clamps_output(steps: Iterable[_Step]) -> bool:
    """Whether the 32-bit output has a smaller range than its type."""
    return any((step.post.low, step.post.high) != (0, 0) for step in steps if step.post.direct)
