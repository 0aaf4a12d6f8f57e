"""Latencies and areas of a report beside those that a project's plan takes for granted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shiftforge.generator.reports.ours import OurArea, Ours
from shiftforge.generator.reports.types import AocArea, AocReport, Kind

__all__ = ["RESOURCES", "Figure", "area_figures", "latency_figures"]

RESOURCES = ("ALM", "FF", "RAM", "DSP")
_CLOSE = 0.1
"""Areas are estimates on both sides: those within a tenth of the larger count as agreeing."""


@dataclass(frozen=True)
class Figure:
    """One figure on both sides, None on one that lacks it. of: a kernel, or what it is of.

    name: of the resource, or "cycles". difference: in words, "" where they agree or one is missing.
    """

    of: str
    name: str
    report: float | None
    plan: float | None
    difference: str = ""


def latency_figures(ours: Ours, report: AocReport) -> tuple[Figure, ...]:
    """Cycles of each kernel's slowest innermost loop, of the headers around them, of loads.

    A kernel that loads from global memory has the load's latency in its loop's: the plan's is the
    kernel's own and the load's. What a channel takes is in no report.
    """
    load = ours.latencies.get("global_load")
    found = []
    for name, cycles in ours.latencies.items():
        match name:
            case "channel":
                found.append(Figure(name, "cycles", None, cycles))
            case "reentry":
                headers = [
                    loop.latency
                    for loop in report.loops
                    if loop.kind is Kind.ROLLED and not loop.innermost
                ]
                found.append(_cycles(name, headers, cycles))
            case "global_load":
                found.append(_cycles(name, list(report.load_latency.values()), cycles))
            case _:
                own = [
                    loop.latency
                    for loop in report.loops
                    if loop.kernel == name and loop.kind is Kind.ROLLED
                    if loop.innermost
                ]
                planned = cycles + (load or 0) * (name in report.load_latency)
                found.append(_cycles(name, own, planned))
    return tuple(found)


def _cycles(of: str, seen: list[int | None], planned: int) -> Figure:
    known = [cycles for cycles in seen if cycles is not None]
    if not known:
        return Figure(of, "cycles", None, planned)
    most = max(known)
    if most == planned:
        return Figure(of, "cycles", most, planned)
    longer = "longer" if most > planned else "shorter"
    what = f"takes {most:,} cycles where the plan has {planned:,}: {longer}"
    return Figure(of, "cycles", most, planned, what)


def area_figures(ours: Ours, report: AocReport) -> tuple[Figure, ...]:
    """Resources by kernel and of the design, board interface and interconnect left out.

    An ALM of Intel's devices has two outputs of logic: its ALUTs are counted as half an ALM each,
    which is the least that they can take.
    """
    found: list[Figure] = []
    for area in report.area.kernels:
        found += _resources(area.name, area, ours.kernels.get(area.name))
    channels = report.area.channels
    if channels is not None:
        found += _resources("channels", channels, ours.kernels.get("channels"))
    parts = [*report.area.kernels, *([channels] if channels is not None else [])]
    if parts:
        whole = AocArea(
            "design",
            sum(p.aluts for p in parts),
            sum(p.ffs for p in parts),
            sum(p.rams for p in parts),
            sum(p.dsps for p in parts),
        )
        found += _resources("design", whole, ours.area)
    if report.area.total is not None:
        found += _resources("device", report.area.total, None)
    return tuple(found)


def _resources(of: str, area: AocArea, plan: OurArea | None) -> Iterator[Figure]:
    own = plan if plan is not None else OurArea()
    amounts = (area.aluts / 2, area.ffs, area.rams, area.dsps)
    planned_amounts = (own.alm, own.ff, own.ram_blocks, own.dsp)
    for name, seen, planned in zip(RESOURCES, amounts, planned_amounts, strict=True):
        what = ""
        if planned is not None and abs(seen - planned) > _CLOSE * max(seen, planned):
            what = f"takes {seen:,.0f} {name} where {planned:,.0f} are modelled"
        yield Figure(of, name, round(seen, 1), planned, what)
