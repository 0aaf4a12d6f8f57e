"""Reports of compilers from 17.1 on: loops and areas as trees below their kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shiftforge.errors import Problems
from shiftforge.fields import read_fields
from shiftforge.generator.reports.literal import REMEDY
from shiftforge.generator.reports.rows import (
    Cell,
    Debug,
    Remark,
    area_row,
    area_sum,
    block_of,
    interval,
    kind_of,
    places,
    reason,
)
from shiftforge.generator.reports.types import AocLoop, Areas, Kind, shown
from shiftforge.generator.reports.view import View

__all__ = ["tree_area", "tree_loops"]


@dataclass(frozen=True)
class _Loop:
    name: str
    data: list[Cell]
    debug: list[list[Debug]] = field(default_factory=list)
    details: list[Remark] = field(default_factory=list)
    children: list[_Loop] = field(default_factory=list)


@dataclass(frozen=True)
class _Loops:
    columns: list[str]
    children: list[_Loop]


@dataclass(frozen=True)
class _Part:
    name: str
    type: str
    total_kernel_resources: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)
    debug: list[list[Debug]] = field(default_factory=list)
    # Of a group of channels or of a partition; a kernel's own are not looked at.
    children: list[_Resource] = field(default_factory=list)


@dataclass(frozen=True)
class _Resource:
    data: list[float] = field(default_factory=list)
    debug: list[list[Debug]] = field(default_factory=list)


@dataclass(frozen=True)
class _Area:
    columns: list[str]
    total: list[float]
    children: list[_Part]


def tree_loops(value: Any, view: View, where: str) -> tuple[list[str], list[AocLoop]]:
    """Kernels and their loops, in the report's order. Raises InputError with every problem."""
    table = read_fields(_Loops, value, where, REMEDY)
    kernels: list[str] = []
    loops: list[AocLoop] = []
    problems = Problems()
    for part in table.children:
        # Components of the HLS compiler are told as "Component: name".
        kernel = shown(part.name.partition(": ")[2] if ": " in part.name else part.name)
        kernels.append(kernel)
        for loop, depth in _below(part, 0):
            block = block_of(loop.name)
            row = f"{where}: {kernel}, {block}"
            found = problems.check(interval, loop.data, table.columns, row)
            if found is not None:
                latency = view.latency.get((kernel, block))
                loops.append(_loop(loop, kernel, depth, found, latency))
    problems.stop()
    return kernels, loops


def _below(part: _Loop, depth: int) -> Iterator[tuple[_Loop, int]]:
    for loop in part.children:
        yield loop, depth
        yield from _below(loop, depth + 1)


def _loop(
    loop: _Loop, kernel: str, depth: int, found: tuple[Any, ...], latency: int | None
) -> AocLoop:
    pipelined, ii, about = found
    kind = kind_of(loop.name)
    return AocLoop(
        kernel,
        block_of(loop.name),
        kind,
        depth,
        places(loop.debug),
        pipelined,
        ii,
        about,
        reason(loop.details),
        latency if kind is Kind.ROLLED else None,
    )


def tree_area(value: Any, where: str) -> Areas:
    """Areas of a report. Raises InputError with every problem."""
    table = read_fields(_Area, value, where, REMEDY)
    problems = Problems()
    columns = table.columns
    found = [
        problems.check(area_row, part.name, part.total_kernel_resources, columns, where)
        for part in table.children
        if part.type == "function"
    ]
    # Of what lies outside the kernels, channels alone have a place in the source.
    outside = [part for part in table.children if part.type != "function"]
    single: list[_Part | _Resource] = [*outside, *(one for p in outside for one in p.children)]
    between = [one.data for one in single if one.debug]
    channels = problems.check(area_sum, "channels", between, columns, where)
    total = problems.check(area_row, "total", table.total, columns, where)
    problems.stop()
    return Areas(tuple(area for area in found if area is not None), channels, total)
