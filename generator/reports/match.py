"""Which row of a compiler's report is which loop of a project's table."""

from __future__ import annotations

from collections import defaultdict
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
        keys = {loop.name, loop.places[0].line if loop.places else None}
        for key in keys - {None}:
            by_place[loop.kernel, key].append(number)
    taken: set[int] = set()
    found: list[list[int]] = []
    for own in ours:
        key = own.loop if own.line is None else own.line
        rows = by_place.get((own.kernel, key)) or by_place.get(("", key)) or []
        found.append(rows)
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
