"""A compiler's report held against a project's own table: every difference, and which are worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shiftforge.errors import InputError, Problem
from shiftforge.generator.reports.figures import Figure, area_figures, latency_figures
from shiftforge.generator.reports.match import match_loops
from shiftforge.generator.reports.ours import OurLoop, Ours
from shiftforge.generator.reports.types import AocLoop, AocReport, Kind

__all__ = ["Comparison", "Difference", "LoopRow", "compare_report"]


@dataclass(frozen=True)
class Difference:
    """One thing in which the report and our table differ; worse: it contradicts the table.

    kind: "ii", "not pipelined", "pipelined", "not rolled", "missing" (from the report), "extra" (in
    the report alone), "kernel", "latency" or "area".
    """

    kind: str
    kernel: str
    loop: str
    what: str
    worse: bool = False


@dataclass(frozen=True)
class LoopRow:
    """A loop on both sides; one of them is None where that side lacks it."""

    ours: OurLoop | None
    aoc: AocLoop | None
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if not self.differences:
            return "agrees"
        return "WORSE" if any(d.worse for d in self.differences) else self.differences[0].kind


@dataclass(frozen=True)
class Comparison:
    """Loops in the table's order, then those of the report alone; latencies and areas; all
    differences, worse ones first."""

    rows: tuple[LoopRow, ...]
    latencies: tuple[Figure, ...]
    area: tuple[Figure, ...]
    differences: tuple[Difference, ...]

    @property
    def contradicts(self) -> bool:
        """Whether the report refuses or slows a loop that our table has better."""
        return any(one.worse for one in self.differences)


def compare_report(ours: Ours, report: AocReport, where: str = "") -> Comparison:
    """Holds a report against a project. Raises InputError where it is of another design."""
    kernels = list(dict.fromkeys(loop.kernel for loop in ours.loops))
    if kernels and not set(kernels) & set(report.kernels):
        theirs = ", ".join(report.kernels[:8]) or "none"
        what = f"is a report of another design: its kernels are {theirs}, ours {', '.join(kernels)}"
        raise InputError(Problem(what, "give the report of this project's `make report`", where))
    pairs = match_loops(ours.loops, report.loops)
    rows = [_row(own, several, report) for own, several in pairs.together]
    rows += [LoopRow(None, loop, (_extra(loop),)) for loop in pairs.alone]
    latencies, area = latency_figures(ours, report), area_figures(ours, report)
    found = [difference for row in rows for difference in row.differences]
    found += _kernels(kernels, report)
    for kind, figures in (("latency", latencies), ("area", area)):
        found += [
            Difference(kind, figure.of, figure.name, figure.difference)
            for figure in figures
            if figure.difference
        ]
    found.sort(key=lambda one: not one.worse)
    return Comparison(tuple(rows), latencies, area, tuple(found))


def _row(own: OurLoop, several: tuple[AocLoop, ...], report: AocReport) -> LoopRow:
    if not several:
        why = "is not in the report"
        if own.kernel in report.kernels and not any(loop.places for loop in report.loops):
            why += ", which names no places: compile with debug information (no -g0)"
        return LoopRow(own, None, (Difference("missing", own.kernel, own.loop, why),))
    judged = [(loop, tuple(_between(own, loop))) for loop in several]
    worst, differences = max(judged, key=lambda one: _weight(*one))
    return LoopRow(own, worst, differences)


def _weight(loop: AocLoop, differences: tuple[Difference, ...]) -> tuple[int, int, int]:
    """Of the rows of one loop the worst is told: a refused one, then the one of the highest II."""
    refused = loop.pipelined is False
    return any(d.worse for d in differences), refused, loop.ii or 0


def _between(own: OurLoop, loop: AocLoop) -> Iterator[Difference]:
    def found(kind: str, what: str, worse: bool = False) -> Difference:
        because = f" ({loop.reason})" if loop.reason and worse else ""
        return Difference(kind, own.kernel, own.loop, what + because, worse)

    if loop.kind is not Kind.ROLLED:
        yield found("not rolled", f"is {loop.kind.value} in the report")
    elif own.ii is None:
        if loop.pipelined:
            yield found("pipelined", f"is pipelined, II {loop.interval}, where ours is not")
    elif loop.pipelined is False:
        yield found("not pipelined", f"is not pipelined where ours has II {own.interval}", True)
    elif loop.ii is None:
        yield found("ii", f"has no II in the report where ours has {own.interval}")
    elif loop.ii > own.ii or (loop.about == ">=" and not own.at_least):
        yield found("ii", f"has II {loop.interval} where ours has {own.interval}", True)
    elif loop.ii < own.ii:
        yield found("ii", f"has II {loop.interval} where ours has {own.interval}: better")


def _extra(loop: AocLoop) -> Difference:
    """A rolled loop that our table lacks contradicts it unless it starts an iteration a clock."""
    state = f"pipelined, II {loop.interval}" if loop.pipelined else "not pipelined"
    worse = not loop.pipelined or loop.ii != 1 or loop.about == ">="
    because = f" ({loop.reason})" if loop.reason and worse else ""
    what = f"is in the report alone, {state}{because}"
    return Difference("extra", loop.kernel, loop.title, what, worse)


def _kernels(ours: list[str], report: AocReport) -> list[Difference]:
    found = [
        Difference("kernel", name, "", "is not in the report")
        for name in ours
        if name not in report.kernels
    ]
    return found + [
        Difference("kernel", name, "", "is in the report alone")
        for name in report.kernels
        if name not in ours
    ]
