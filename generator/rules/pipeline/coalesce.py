"""Nests that loop_coalesce makes one loop of."""

from __future__ import annotations

from shiftforge.generator.rules.pipeline.facts import Loop

__all__ = ["acts_before", "coalesced", "inner_of_coalesced"]


def coalesced(loop: Loop) -> list[Loop]:
    """The loop and the loops below that are flattened into it, outermost first.

    The pragma's number counts the levels (none: the whole nest). A level that stores or uses a
    channel before its inner loop is not flattened ("outer loop side-effecting instructions"), nor
    one whose inner trip count changes, unless a promise stands on both.
    """
    parts = [loop]
    levels = loop.pragmas.coalesce
    if levels is None:
        return parts
    while (levels == 0 or len(parts) < levels) and len(parts[-1].children) == 1:
        at, child = parts[-1], parts[-1].children[0]
        if acts_before(at, child):
            break
        if at.number in child.changes and not (at.pragmas.promises and child.pragmas.promises):
            break
        parts.append(child)
    return parts


def acts_before(loop: Loop, child: Loop) -> bool:
    """Whether a loop's body stores or uses a channel before its inner loop."""
    return any(a.store and a.order < child.order for a in loop.accesses) or any(
        c.order < child.order for c in loop.channels
    )


def inner_of_coalesced(loop: Loop) -> bool:
    """Whether a loop has become a part of a loop around it."""
    outer = loop.parent
    while outer is not None:
        if loop in coalesced(outer):
            return True
        outer = outer.parent
    return False
