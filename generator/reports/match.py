"""Which row of a compiler's report is which loop of a project's table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.generator.reports.ours import OurLoop
from shiftforge.generator.reports.types import AocLoop, Kind

__all__ = ["Pairs", "match_loops"]


@dataclass(frozen=True)
class Pairs:
    """together: each of our loops with its rows of the report, several where a function was inlined
    several times, none where the report lacks it. alone: rolled loops that our table lacks.
    """

    together: tuple[tuple[OurLoop, tuple[AocLoop, ...]], ...]
    alone: tuple[AocLoop, ...]


def match_loops(ours: Sequence[OurLoop], report: Sequence[AocLoop]) -> Pairs:
    """Loops by kernel and line, or block; those without a place (no debug information) by order.

    16.x names no kernel for a loop that was unrolled: there the line alone has to do.
    """
    by_place: dict[tuple[str, object], list[int]] = defaultdict(list)
    for number, loop in enumerate(report):
        by_place[loop.kernel, loop.name].append(number)
        if loop.places:
            by_place[loop.kernel, loop.places[0].line].append(number)
    taken: set[int] = set()
    found: list[list[int]] = []
    keys = [(own.kernel, own.loop if own.line is None else own.line) for own in ours]
    times = Counter(keys)
    seen: Counter[tuple[str, object]] = Counter()
    for key in keys:
        rows = by_place.get(key) or by_place.get(("", key[1])) or []
        # A function that is called several times has its loops several times on both sides.
        several = len(rows) == times[key]
        found.append([rows[seen[key]]] if several else rows)
        seen[key] += 1
        taken.update(rows)
    _by_order(ours, report, found, taken)
    alone = [loop for n, loop in enumerate(report) if n not in taken and loop.kind is Kind.ROLLED]
    pairs = zip(ours, found, strict=True)
    together = ((own, tuple(report[n] for n in rows)) for own, rows in pairs)
    return Pairs(tuple(together), tuple(alone))


def _by_order(
    ours: Sequence[OurLoop], report: Sequence[AocLoop], found: list[list[int]], taken: set[int]
) -> None:
    """Pair what is left of a kernel where it is as many loops on both sides, without places."""
    left: dict[str, list[int]] = defaultdict(list)
    for number, loop in enumerate(report):
        if number not in taken and loop.kind is Kind.ROLLED and not loop.places:
            left[loop.kernel].append(number)
    missing: dict[str, list[int]] = defaultdict(list)
    for number, own in enumerate(ours):
        if not found[number]:
            missing[own.kernel].append(number)
    for kernel, numbers in missing.items():
        rows = left.get(kernel, [])
        if len(rows) == len(numbers):
            for number, row in zip(numbers, rows, strict=True):
                found[number] = [row]
                taken.add(row)
