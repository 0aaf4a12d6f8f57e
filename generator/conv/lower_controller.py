"""Lowering of a layer for the controller: which line is sent when, and which result read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import Tiling
from shiftforge.generator.conv.records import ControllerPass, Pace
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.steps import Place
from shiftforge.generator.conv.walk import Walk, lines_a_tile

__all__ = [
    "COUNTERS", "USUAL", "WINDOW_COLUMN", "lower_controller", "lower_image", "operand_counters",
    "result_lag", "result_lines", "result_times", "walk_counters",
]  # fmt: skip

COUNTERS = 9
"""Of operand lines in a record; a plan's text has those that its layers need, ``USUAL`` or more."""
USUAL = 6
_EVERY = ("every_tile", "every_inner", "every_row", "every_outer")


def result_lines(layer: Layer, tiling: Tiling) -> int:
    """Lines of a layer's result that come back to the controller."""
    if layer.direct:
        return 0
    return tiling.out_groups * (1 if layer.pool is not None else tiling.tiles)


def lower_controller(
    layer: Layer,
    tiling: Tiling,
    walk: Walk,
    first: int,
    source: Place | None,
    skip: Place | None,
    target: Place | None,
    trace_base: int,
    lag: int,
    pixels: int,
    counters: int,
) -> ControllerPass:
    """The controller's record of a step of a layer.

    tiling, walk: of the step, whose first output row is ``first``. source, skip, target: where the
    maps lie that it reads and writes; the image has no place where it is not stored. trace_base:
    the target's first line in a frame's trace, or -1. lag: iterations after which the result of an
    operand is read, as long as operands are sent (``result_lag``). pixels: of a tile. counters: of
    operand lines that the plan's text has (``walk_counters``).
    """
    stores = result_lines(layer, tiling)
    complete = _completions(layer, tiling, walk)
    sends, results = _sends(complete, tiling, walk), Pace()
    if stores:
        results = _results(layer, tiling, complete).later(lag)
    iterations = sends + _left(results, stores, sends)
    store_steps = (1, 1, 1, 1)
    if target is not None and layer.pool is None:
        order = _order(walk, tiling, target.plane)
        store_steps = (1, 1, 1, order[3]) if walk.inner == 1 else order
    skip_steps = _order(walk, tiling, skip.plane if skip is not None else tiling.tiles)
    plane = tiling.in_rows * tiling.in_tiles if source is None else source.plane
    first_row = first
    if layer.mode != "pointwise":
        first_row = walk.first_row if layer.mode == "depthwise" else first * layer.stride
    corner = 0
    if layer.mode == "standard":
        corner = layer.top * tiling.in_tiles + ceil(layer.left / pixels)
    trace_lines = 0
    if target is not None and trace_base >= 0:
        trace_lines = target.line(first) - target.base
    return ControllerPass(
        iterations=iterations,
        sends=sends,
        from_image=int(source is None),
        residual=int(skip is not None),
        base=0 if source is None else source.line(first_row) - corner,
        in_rows=tiling.in_rows,
        in_tiles=tiling.in_tiles,
        skips=complete if skip is not None else Pace(),
        skip_base=skip.line(first) if skip is not None else 0,
        **_named("skip", skip_steps),
        results=results,
        stores=stores,
        out_base=target.line(first) if target is not None else 0,
        **_named("store", store_steps),
        trace_base=trace_base + trace_lines,
        **_operands(layer, tiling, walk, plane, first, pixels, counters),
    )


def result_lag(
    layer: Layer, tiling: Tiling, walk: Walk, round_trip: int, units: int, *, tight: bool = False
) -> int:
    """Iterations from a tile's last line to its result's: a round trip, and as many again where
    that costs nothing, so that the array does not wait if the way back takes longer.

    When all lines are sent, the results that are left are read one an iteration; they may be as
    many as the last one takes to come. round_trip: cycles of that way where a result is computed as
    its lines come, 1 or more. units: of the array. tight: no longer than a round trip.
    """
    stores = result_lines(layer, tiling)
    if not stores:
        return round_trip
    complete = _completions(layer, tiling, walk)
    sends = _sends(complete, tiling, walk)
    results = _results(layer, tiling, complete)
    least = round_trip + _computed(layer, tiling, units)
    if tight:
        return least
    lag = least + round_trip
    if stores > round_trip:
        # The last one that is read while lines are sent, so that no more are left.
        last = results.time(stores - round_trip - 1)
        lag = min(lag, max(least, sends - 1 - last))
    return lag


def _sends(complete: Pace, tiling: Tiling, walk: Walk) -> int:
    """Iterations up to the last line that is sent."""
    return max(complete.time(tiling.out_groups * tiling.tiles - 1) + 1, walk.iterations)


def _left(results: Pace, stores: int, sends: int) -> int:
    """Results that are not read before all lines are sent."""
    return stores - bisect_left(range(stores), sends, key=results.time)


def result_times(own: ControllerPass) -> NDArray[np.int64]:
    """Iterations in which a record reads its results: when they are due while lines are sent, then
    one after the other."""
    due = np.asarray(own.results.time(np.arange(own.stores)), np.int64)
    early = due[due < own.sends]
    return np.concatenate([early, own.sends + np.arange(own.stores - len(early))])


def lower_image(groups: int, rows: int, tiles: int, base: int) -> ControllerPass:
    """The record that stores the image as a map, where more than a first layer reads it.

    Lines come in the order row, tile, group and lie in the order group, row, tile.
    """
    plane = rows * tiles
    back = 1 - (groups - 1) * plane
    return ControllerPass(
        iterations=groups * plane,
        from_image=1,
        n0=1, n1=1, n2=1, n3=1, n4=1, n5=1, n6=1, n7=1, n8=1,
        results=Pace(tiles=groups, inner=tiles, rows=rows),
        stores=groups * plane,
        out_base=base,
        store_tile=plane, store_inner=back, store_row=back, store_outer=back,
        trace_base=-1,
    )  # fmt: skip


def walk_counters(layers: Iterable[Layer]) -> int:
    """How many counters of operand lines layers need, ``USUAL`` or more."""
    own = [
        6 + (layer.windows.count > 1) + (layer.windows.columns > 1) + (layer.blocks > 1)
        for layer in layers if layer.mode == "standard"
    ]  # fmt: skip
    return max(own, default=USUAL)


def operand_counters(passes: Iterable[ControllerPass]) -> int:
    """How many counters of operand lines records need."""
    used = [k for own in passes for k in range(USUAL, COUNTERS) if getattr(own, f"n{k}") > 1]
    return max(used, default=USUAL - 1) + 1


def _completions(layer: Layer, tiling: Tiling, walk: Walk) -> Pace:
    """When the last line of a tile is sent: the line of the addition where there is one."""
    extra = int(layer.skip is not None)
    if layer.mode != "depthwise":
        lines = lines_a_tile(layer, tiling) + extra
        same = dict.fromkeys(_EVERY, lines)
        return Pace(first=lines - 1, tiles=tiling.out_tiles, rows=tiling.out_rows, **same)
    if not extra:
        return walk.fires
    # The line of the addition follows in an iteration of its own.
    more = {name: getattr(walk.fires, name) + 1 for name in _EVERY}
    return replace(walk.fires, first=walk.fires.first + 1, **more)


def _computed(layer: Layer, tiling: Tiling, units: int) -> int:
    """Iterations of the array from a tile's last line to its result, where the next window is read
    meanwhile: all channels of the last group."""
    if layer.mode != "standard":
        return 0
    return layer.block_channels - (tiling.in_groups - 1) * units


def _results(layer: Layer, tiling: Tiling, complete: Pace) -> Pace:
    """When results come: with every tile, or after a pool's last one in a group."""
    if layer.pool is None:
        return complete
    group = complete.time(tiling.tiles - 1)
    return Pace(
        first=group, every_outer=group - complete.first + complete.every_outer,
    )  # fmt: skip


def _order(walk: Walk, tiling: Tiling, plane: int) -> tuple[int, int, int, int]:
    """Steps of a result's line where a tile, a group, a row and the rows end; maps lie in the order
    group, row, tile, a group in ``plane`` lines."""
    inner = plane - (tiling.out_tiles - 1)
    row = 1 - (walk.inner - 1) * plane
    return 1, inner, row, 1 + plane - tiling.tiles


def _named(name: str, steps: Sequence[int]) -> dict[str, int]:
    keys = [f"{name}_{end}" for end in ("tile", "inner", "row", "outer")]
    return dict(zip(keys, steps, strict=True))


def _operands(
    layer: Layer, tiling: Tiling, walk: Walk, plane: int, first: int, pixels: int, counters: int
) -> dict[str, int]:
    """Counters of operand lines: sizes, and how address, row and tile change with each. plane:
    lines of a channel group where they lie. first: output row of the step."""
    width = tiling.in_tiles
    stride, top, left = layer.stride, layer.top, layer.left
    first_y = first_t = zero_outside = 0
    found: dict[str, int] = {}
    again: dict[int, int] = {}  # counters whose lines come several times
    outer = [(walk.outer, (0, 0, 0))]
    if layer.blocks > 1:
        inside = [(tiling.block_groups, (0, 0, 0))] if tiling.block_groups > 1 else []
        outer = [*inside, (layer.blocks, (tiling.in_groups * plane, 0, 0))]
    if layer.mode == "pointwise":
        walked = [(tiling.in_groups, (plane, 0, 0)), (tiling.tiles, (1, 0, 0)), *outer]
        groups = tiling.tiles
    elif layer.mode == "standard":
        walked = [
            (3, (1, 0, 1)), (3, (width, 1, 0)), (tiling.in_groups, (plane, 0, 0)),
            *_windows(layer, width, pixels), (tiling.out_tiles, (stride, 0, stride)),
            (tiling.out_rows, (stride * width, stride, 0)), *outer,
        ]  # fmt: skip
        first_y, first_t, zero_outside = first * stride - top, -ceil(left / pixels), 1
        groups = 3
        if layer.windows.columns > 1:
            step = layer.windows.column_step % pixels
            found |= {"column": -left % pixels, "column_step": step}
    else:
        first_y = walk.first_row
        walked = [
            (width, (1, 0, 1)), (walk.row_length // width, (plane, 0, 0)),
            (walk.all_rows - first_y, (tiling.read_tiles, 1, 0)), (walk.outer, (plane, 0, 0)),
        ]  # fmt: skip
        groups = walk.inner
        if layer.enlarge is not None:
            again = dict(zip((2, 0), layer.enlarge.factor, strict=True))
            found |= {"repeats_t": again[0] - 1, "repeats_y": again[2] - 1}
            found["repeat_row"] = tiling.read_tiles
    found |= {
        "first_y": first_y, "first_t": first_t, "zero_outside": zero_outside, "groups": groups,
    }  # fmt: skip
    back: tuple[int, ...] = (0, 0, 0)
    # Past the last line: no row of the map, from whichever above it the walk begins.
    outside = 2 * (tiling.in_rows + 2)
    for k in range(COUNTERS):
        # A counter that steps puts those before it back to their start.
        if k >= counters:
            found |= {f"n{k}": 1}
            continue
        size, move = walked[k] if k < len(walked) else (1, (0, outside, 0))
        own = (0, *move[1:]) if k in again else move
        step_back = tuple(m - b for m, b in zip(own, back, strict=True))
        found |= {f"n{k}": size, **{f"{n}{k}": v for n, v in zip("ayt", step_back, strict=True)}}
        if k < len(walked):
            steps = (size - 1) // again.get(k, 1), size - 1, size - 1
            back = tuple(b + n * m for b, n, m in zip(back, steps, move, strict=True))
            if found.get("column_step") and k == WINDOW_COLUMN:
                hops = (found["column"] + (size - 1) * found["column_step"]) // pixels
                back = back[0] + hops, back[1], back[2] + hops
    return found


WINDOW_COLUMN = 4
"""The counter of a kernel's windows in a row."""


def _windows(layer: Layer, width: int, pixels: int) -> list[tuple[int, tuple[int, int, int]]]:
    """Counters of the windows that a kernel is cut into. Where a window begins in the tile behind
    the one that its step tells, the controller goes on by one more."""
    own = layer.windows
    if own.count == 1:
        return []
    found = [(own.rows, (own.row_step * width, own.row_step, 0))]
    if own.columns > 1:
        tiles = own.column_step // pixels
        found.append((own.columns, (tiles, 0, tiles)))
    return found
