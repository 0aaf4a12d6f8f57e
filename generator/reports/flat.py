"""Reports of compilers 16.x and 17.0: one list of loops, areas by function and block."""

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

__all__ = ["flat_area", "flat_loops"]

_KERNEL = "Kernel: "


@dataclass(frozen=True)
class _Loop:
    name: str
    data: list[Cell]
    debug: list[list[Debug]] = field(default_factory=list)
    details: list[str | Remark] = field(default_factory=list)


@dataclass(frozen=True)
class _Loops:
    columns: list[str]
    functions: list[_Loop]


@dataclass(frozen=True)
class _Item:
    data: list[float] = field(default_factory=list)
    debug: list[list[Debug]] = field(default_factory=list)


@dataclass(frozen=True)
class _Block:
    resources: list[_Item] = field(default_factory=list)
    computation: list[_Item] = field(default_factory=list)


@dataclass(frozen=True)
class _Function:
    name: str
    resources: list[_Item] = field(default_factory=list)
    basicblocks: list[_Block] = field(default_factory=list)

    def items(self) -> Iterator[_Item]:
        yield from self.resources
        for block in self.basicblocks:
            yield from block.resources
            yield from block.computation


@dataclass(frozen=True)
class _Area:
    columns: list[str]
    total: list[float]
    functions: list[_Function]
    resources: list[_Item] = field(default_factory=list)


def flat_loops(value: Any, view: View, where: str) -> tuple[list[str], list[AocLoop]]:
    """Kernels and their loops, in the report's order. Raises InputError with every problem.

    16.x does not name a loop's kernel: the system view tells whose block it is, and what was
    unrolled belongs to the block before it that it lies in.
    """
    table = read_fields(_Loops, value, where, REMEDY)
    kernels: list[str] = []
    loops: list[AocLoop] = []
    problems = Problems()
    kernel, named, above = "", False, 0
    for row in table.functions:
        if row.name.startswith(_KERNEL):
            kernel, named = shown(row.name[len(_KERNEL) :]), True
            kernels.append(kernel)
            continue
        block = block_of(row.name)
        kind = kind_of(row.name)
        level = next((one.level for several in row.debug for one in several), 0)
        if not named and kind is Kind.ROLLED:
            kernel, above = view.owner.get(block, ""), level
            kernels += [kernel] if kernel and kernel not in kernels else []
        own = kernel if named or kind is Kind.ROLLED or level > above else ""
        found = problems.check(interval, row.data, table.columns, f"{where}: {block}")
        if found is not None:
            pipelined, ii, about = found
            loops.append(
                AocLoop(
                    own,
                    block,
                    kind,
                    level - named,
                    places(row.debug),
                    pipelined,
                    ii,
                    about,
                    reason(row.details),
                    view.latency.get((own, block)) if kind is Kind.ROLLED else None,
                )
            )
    problems.stop()
    return kernels, loops


def flat_area(value: Any, where: str) -> Areas:
    """Areas of a report. Raises InputError with every problem."""
    table = read_fields(_Area, value, where, REMEDY)
    problems = Problems()
    columns = table.columns
    found = [
        problems.check(area_sum, part.name, [i.data for i in part.items()], columns, where)
        for part in table.functions
    ]
    # Of what lies outside the kernels, channels alone have a place in the source.
    between = [item.data for item in table.resources if item.debug]
    channels = problems.check(area_sum, "channels", between, columns, where)
    total = problems.check(area_row, "total", table.total, columns, where)
    problems.stop()
    return Areas(tuple(area for area in found if area is not None), channels, total)
