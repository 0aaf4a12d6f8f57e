"""Lowering of a step for the convolution unit: its loop, and when the next weights are read.

A group's weights are read while the group before it is computed, spread over its iterations. Where
a group is too short for that, or so short that a word would be read too soon after it was written,
idle iterations follow it; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.records import ConvPass, Run
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.walk import Walk
from shiftforge.generator.conv.word_layout import WINDOW_LINES, tile_cycles
from shiftforge.quant.second_words import MOST_RUNS

__all__ = ["MODES", "WEIGHT_DISTANCE", "array_iterations", "lower_conv", "lower_fill"]

WEIGHT_DISTANCE = 8
"""Iterations between accesses of one weight word, at least, where one of them writes it."""

MODES = {"pointwise": 0, "depthwise": 1, "standard": 2, "fill": 3}
"""Numbers of the kinds of layers in records; fill: only the first weights are read."""


@dataclass(frozen=True)
class _Reads:
    """words: weight words that are read; first, every: iterations of the group."""

    words: int
    first: int
    every: int

    @property
    def length(self) -> int:
        """Iterations that the group has to have."""
        return self.first + (self.words - 1) * self.every + 1


def array_iterations(
    layer: Layer,
    tiling: Tiling,
    walk: Walk,
    units: int,
    counts: Sequence[tuple[int, int]],
    *,
    second: bool = True,
) -> int:
    """Array cycles of a layer a frame; idle ones between groups are not among them.

    counts: as ``word_counts`` gives them. second: with second words.
    """
    if layer.mode == "depthwise":
        again = _repeats(layer, tiling, counts[0][1] if second else 0)
        return walk.iterations + again
    tiles = (tile_cycles(layer, tiling, units, m, k if second else 0) for m, k in counts)
    return tiling.tiles * sum(tiles)


def _repeats(layer: Layer, tiling: Tiling, twice: int) -> int:
    """Iterations that a depthwise layer lasts longer where windows take several words, and where
    some groups have second ones."""
    return (twice + (layer.words - 1) * tiling.out_groups) * tiling.tiles


def lower_fill(words: int) -> ConvPass:
    """The record with which the unit starts: the first group's weights are read."""
    return ConvPass(
        iterations=words, mode=MODES["fill"], groups=1, run0=Run(1, words, 0, words, words),
        last_words=words, last_every=1, tiles=1, lines=1,
    )  # fmt: skip


def lower_conv(
    layer: Layer,
    tiling: Tiling,
    walk: Walk,
    array: ArrayShape,
    counts: Sequence[tuple[int, int]],
    next_words: int,
    geometries: Mapping[tuple[str, int, int], int],
    first_line: int = 0,
    columns: bool = False,
) -> ConvPass:
    """The convolution unit's record of a step of a layer; tiling and walk are the step's.

    counts: (first, second) words of each group (``word_counts``). next_words: weight words of the
    first group of the step after it. geometries: numbers of (mode, stride, left padding).
    first_line: of a depthwise layer's row in the line buffer. columns: some layer's kernel is cut
    into windows by columns, so that each window's first one is told.
    """
    units, pixels = array.units, array.pixels
    common: dict[str, Any] = {
        "mode": MODES[layer.mode],
        "geometry": geometries.get((layer.mode, layer.stride, layer.left), 0),
        "stride": layer.stride,
        "in_signed": int(layer.input.grid.signed),
        "in_rows": tiling.in_rows,
        "in_tiles": tiling.in_tiles,
        "last_words": next_words,
    }
    if layer.mode == "depthwise":
        return _depthwise(layer, tiling, walk, counts[0], common, first_line)
    own: dict[str, Any] = {"lines": tiling.in_groups}
    fill = 0
    if layer.mode == "standard":
        fill, cut = WINDOW_LINES, layer.windows
        own |= {
            "loads": tiling.out_groups * tiling.tiles * tiling.in_groups * cut.count,
            "last_lanes": layer.block_channels - (tiling.in_groups - 1) * units,
            "more_rows": cut.rows - 1,
            "more_columns": cut.columns - 1,
        }
        if columns:
            own |= {"column": -layer.left % pixels, "column_step": cut.column_step % pixels}
    sizes = [
        Run(len(list(same)), m + k, k, tile_cycles(layer, tiling, units, m, k))
        for (m, k), same in groupby(counts)
    ]
    runs = list(_runs(sizes, tiling.tiles))
    last = _last(runs, next_words)
    if last.length > runs[-1].iterations:
        # The last group also reads the next step's words, and takes longer than those before it.
        if runs[-1].groups > 1 and len(runs) < MOST_RUNS:
            others = replace(sizes[-1], groups=sizes[-1].groups - 1)
            sizes[-1:] = [others, replace(sizes[-1], groups=1)]
            runs = list(_runs(sizes, tiling.tiles))
            last = _last(runs, next_words)
        runs[-1] = replace(runs[-1], iterations=max(runs[-1].iterations, last.length))
    named: dict[str, Any] = {f"run{k}": run for k, run in enumerate(runs)}
    return ConvPass(
        **common,
        **own,
        **named,
        iterations=fill + sum(run.groups * run.iterations for run in runs),
        groups=tiling.out_groups,
        fill=fill,
        last_first=last.first,
        last_every=last.every,
        tiles=tiling.tiles,
    )


def _runs(runs: Sequence[Run], tiles: int) -> Iterator[Run]:
    """The same with their iterations, and when the words of the group after are read."""
    for k, run in enumerate(runs):
        own, busy = [run.words] * (run.groups > 1), tiles * run.tile
        before = own + [other.words for other in runs[max(0, k - 1) : k]]
        after = own + [other.words for other in runs[k + 1 : k + 2]]
        if not after:
            yield replace(run, iterations=busy)
            continue
        reads = _within(max(after), busy, _after_reads(min(before, default=WEIGHT_DISTANCE)))
        length = max(busy, reads.length, reads.first + WEIGHT_DISTANCE)
        yield replace(run, iterations=length, take_first=reads.first, take_every=reads.every)


def _last(runs: Sequence[Run], next_words: int) -> _Reads:
    """Reads in the layer's last group."""
    before = runs[-1:] if runs[-1].groups > 1 else runs[-2:-1]
    first = _after_reads(min((run.words for run in before), default=WEIGHT_DISTANCE))
    return _across(next_words, runs[-1].iterations, first)


def _depthwise(
    layer: Layer, tiling: Tiling, walk: Walk, counts: tuple[int, int], common: dict[str, Any],
    first_line: int,
) -> ConvPass:  # fmt: skip
    words, twice = counts
    busy = walk.iterations + _repeats(layer, tiling, twice)
    if layer.words > 1:
        twice = tiling.out_groups
    last = _across(common["last_words"], busy, 0)
    length = max(busy, last.length)
    return ConvPass(
        **common,
        iterations=length,
        groups=1,
        run0=Run(1, words + counts[1], twice, 0, length),
        further=max(0, layer.words - 2),
        largest=int(layer.largest),
        raises=int(layer.raises),
        last_first=last.first,
        last_every=last.every,
        tiles=walk.outer,
        lines=1,
        loads=tiling.out_groups * tiling.tiles,
        first_line=first_line,
        row_lines=first_line + walk.inner * tiling.in_tiles,
        row_length=first_line + walk.row_length,
        first_y=walk.first_row,
        all_rows=walk.all_rows,
        keeps=int(walk.keeps),
        first_t=-layer.left,
        fires=walk.fires,
    )


def _after_reads(words: int) -> int:
    """First iteration of a group in which the bank of the group before may be written.

    words: fewest of a group before. Word j of it was last read at most words - j iterations before
    this group.
    """
    return max(0, WEIGHT_DISTANCE - words)


def _across(words: int, iterations: int, first: int) -> _Reads:
    """Reads in a layer's last group: the layer's end lies between them and the first use."""
    return _Reads(words, first, max(1, (iterations - first) // words))


def _within(words: int, iterations: int, first: int) -> _Reads:
    """Reads of the next group's weights in a group of the same layer, of at most so many words.

    A word is written after its last read in the group before, and before its next one in the group
    after: word j at iteration j at the earliest.
    """
    every = max(1, (iterations - first) // words)
    if words > 1:
        room = max(0, iterations - first - WEIGHT_DISTANCE)
        every = min(every, 1 + room // (words - 1))
    return _Reads(words, first, every)
