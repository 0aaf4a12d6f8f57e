"""How a layer walks: the orders of lines and results, and the iterations at which they come.

Results come in the order (outer group, row, inner group, tile). Pointwise and standard layers have
one inner group; a depthwise layer walks row by row over all of its channel groups, so that a line
of the row above lies a whole row of all groups back. Only where a global pool follows it walks
group by group, because the pool sums one group at a time; and where it gives the network's output,
which leaves in this order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from shiftforge.generator.conv.array import Tiling
from shiftforge.generator.conv.records import Pace
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.steps import Step, rows_sent

__all__ = ["ROW_DISTANCE", "Walk", "lines_a_tile", "walk_layer", "walk_step"]

ROW_DISTANCE = 16
"""Iterations from a line that enters the line buffer to the one below it, at least.

A load, a select and a store fit in it on every family: on-chip loads take up to 6 cycles in
published reports."""


@dataclass(frozen=True)
class Walk:
    """outer, inner: channel groups. row_length: lines of a depthwise layer's row, idle ones
    included; first_row, all_rows: its rows [first_row, all_rows) come, those above lie in the line
    buffer, zeros below the map are counted. fires: when its windows are complete. iterations: from
    the first line to the last complete window, or to the end of a row that is kept for the next
    step (keeps); of other layers 0.
    """

    outer: int
    inner: int
    row_length: int
    first_row: int
    all_rows: int
    fires: Pace
    iterations: int
    keeps: bool = False


def lines_a_tile(layer: Layer, tiling: Tiling) -> int:
    """Operand lines that a tile of a pointwise or standard layer needs."""
    return tiling.in_groups * (9 * layer.windows.count if layer.mode == "standard" else 1)


def walk_layer(layer: Layer, tiling: Tiling) -> Walk:
    """The walk of a layer."""
    if layer.mode != "depthwise":
        return Walk(tiling.out_groups, 1, 0, 0, 0, Pace(), 0)
    by_group = layer.pool is not None or layer.direct or layer.exported
    outer, inner = (tiling.in_groups, 1) if by_group else (1, tiling.in_groups)
    tiles, stride, apart = tiling.in_tiles, layer.stride, layer.row_stride
    # Whole groups of idle lines at a row's end, where it is too short.
    row = tiles * ceil(max(inner * tiles, ROW_DISTANCE) / tiles)
    all_rows = rows_sent(layer, tiling.out_rows)
    first = (2 - layer.top) * row + 2 - layer.left
    span = (inner - 1) * tiles + (tiling.out_tiles - 1) * stride
    down = (tiling.out_rows - 1) * apart * row
    fires = Pace(
        first=first,
        every_tile=stride,
        every_inner=tiles - (tiling.out_tiles - 1) * stride,
        every_row=apart * row - span,
        every_outer=all_rows * row - down - span,
        tiles=tiling.out_tiles,
        inner=inner,
        rows=tiling.out_rows,
    )
    last = outer * inner * tiling.tiles - 1
    return Walk(outer, inner, row, 0, all_rows, fires, fires.time(last) + 1)


def walk_step(layer: Layer, tiling: Tiling, step: Step) -> Walk:
    """The walk of a step of a layer; ``tiling`` is the layer's."""
    whole = walk_layer(layer, tiling)
    if layer.mode != "depthwise" or (step.final and step.first == 0):
        return whole
    row, first_row = whole.row_length, rows_sent(layer, step.first)
    all_rows = rows_sent(layer, step.end)
    # The first window's last row, of those that come.
    down = step.first * layer.row_stride - layer.top + 2 - first_row
    fires = replace(whole.fires, first=down * row + 2 - layer.left, rows=step.rows)
    iterations = fires.time(whole.inner * step.rows * tiling.out_tiles - 1) + 1
    if not step.final:
        # The next step's windows need the whole row.
        lines = whole.inner * tiling.in_tiles
        iterations = max(iterations, (all_rows - first_row - 1) * row + lines)
    return replace(whole, first_row=first_row, all_rows=all_rows, fires=fires,
                   iterations=iterations, keeps=not step.final)  # fmt: skip
