"""Lowering of a layer for the convolution unit: its loop, and when the next weights are read.

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

__all__ = [
    "WEIGHT_DISTANCE", "WINDOW_LINES", "array_iterations", "lower_conv", "lower_fill",
    "resident_words", "tile_iterations",
]  # fmt: skip

WEIGHT_DISTANCE = 8
"""Iterations between accesses of one weight word, at least, where one of them writes it."""

WINDOW_LINES = 9
_MODES = {"pointwise": 0, "depthwise": 1, "standard": 2, "fill": 3}


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


def resident_words(layer: Layer, tiling: Tiling, seconds: Sequence[int]) -> tuple[int, ...]:
    """Weight words that are resident together: of each group, of all groups of a depthwise layer.

    seconds: as ``second_counts`` gives them.
    """
    first = tiling.out_groups if layer.mode == "depthwise" else tiling.weight_words
    return tuple(first + count for count in seconds)


def array_iterations(
    layer: Layer, tiling: Tiling, walk: Walk, array: ArrayShape, seconds: Sequence[int] = ()
) -> int:
    """Array cycles of a layer a frame, second words included; idle ones between groups are not."""
    if layer.mode == "depthwise":
        return walk.iterations + _repeats(tiling, walk, sum(seconds))
    counts = seconds or (0,) * tiling.out_groups
    return sum(_busy(layer, tiling, array, count) for count in counts)


def _repeats(tiling: Tiling, walk: Walk, twice: int) -> int:
    """Iterations that a depthwise layer lasts longer where some groups have second words."""
    return int(twice > 0) if walk.late else twice * tiling.tiles


def _busy(layer: Layer, tiling: Tiling, array: ArrayShape, seconds: int) -> int:
    """Array iterations of a group with so many second words."""
    if layer.mode == "pointwise":
        return tiling.tiles * (tiling.weight_words + seconds)
    whole = (tiling.in_groups - 1) * array.units
    ahead = min(seconds, whole)
    last = max(WINDOW_LINES, layer.in_shape[0] - whole + seconds - ahead)
    return tiling.tiles * (whole + ahead + last)


def tile_iterations(own: ConvPass, run: Run) -> int:
    """Array iterations of a tile of a pointwise or standard layer, in a group of the run."""
    if own.mode != _MODES["standard"]:
        return run.words
    # A step of fewer words than a window has lines waits for the next window.
    whole = own.first_words - own.last_lanes
    ahead = whole + min(run.words - own.first_words, whole)
    return ahead + max(WINDOW_LINES, run.words - ahead)


def lower_fill(words: int) -> ConvPass:
    """The record with which the unit starts: the first group's weights are read."""
    return ConvPass(
        iterations=words, mode=_MODES["fill"], groups=1, run0=Run(1, words, words),
        last_words=words, last_every=1, tiles=1, lines=1,
    )  # fmt: skip


def lower_conv(
    layer: Layer,
    tiling: Tiling,
    walk: Walk,
    array: ArrayShape,
    seconds: Sequence[int],
    next_words: int,
    geometries: Mapping[tuple[str, int, int], int],
) -> ConvPass:
    """The convolution unit's record of a layer.

    seconds: second words by group (``second_counts``). next_words: weight words of the first group
    of the layer after it. geometries: numbers of (mode, stride, left padding).
    """
    common: dict[str, Any] = {
        "mode": _MODES[layer.mode],
        "geometry": geometries.get((layer.mode, layer.stride, layer.left), 0),
        "stride": layer.stride,
        "in_signed": int(layer.input.grid.signed),
        "in_rows": tiling.in_rows,
        "in_tiles": tiling.in_tiles,
        "last_words": next_words,
    }
    if layer.mode == "depthwise":
        return _depthwise(layer, tiling, walk, sum(seconds), common)
    own: dict[str, Any] = {"lines": tiling.in_groups, "first_words": tiling.weight_words}
    fill = 0
    if layer.mode == "standard":
        fill = WINDOW_LINES
        own |= {
            "loads": tiling.out_groups * tiling.tiles * tiling.in_groups,
            "last_lanes": layer.in_shape[0] - (tiling.in_groups - 1) * array.units,
        }
    counts = [(count, len(list(same))) for count, same in groupby(seconds)]
    sizes = [(n, tiling.weight_words + c, _busy(layer, tiling, array, c)) for c, n in counts]
    runs, last = list(_runs(sizes)), _last(sizes, next_words)
    # The last group also reads the next layer's words.
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


def _runs(sizes: Sequence[tuple[int, int, int]]) -> Iterator[Run]:
    """Runs of (groups, words, array iterations of a group)."""
    for k, (groups, words, busy) in enumerate(sizes):
        before = [size[1] for size in sizes[max(0, k - 1) : k]]
        after = [size[1] for size in sizes[k + 1 : k + 2]]
        if groups > 1:
            before.append(words)
            after.append(words)
        if not after:
            yield Run(groups, words, busy)
            continue
        reads = _within(max(after), busy, _after_reads(min(before, default=WEIGHT_DISTANCE)))
        length = max(busy, reads.length, reads.first + WEIGHT_DISTANCE)
        yield Run(groups, words, length, reads.first, reads.every)


def _last(sizes: Sequence[tuple[int, int, int]], next_words: int) -> _Reads:
    """Reads in the layer's last group."""
    groups, words, busy = sizes[-1]
    before = [words] if groups > 1 else [s[1] for s in sizes[-2:-1]]
    return _across(next_words, busy, _after_reads(min(before, default=WEIGHT_DISTANCE)))


def _depthwise(
    layer: Layer, tiling: Tiling, walk: Walk, twice: int, common: dict[str, Any]
) -> ConvPass:
    busy = walk.iterations + _repeats(tiling, walk, twice)
    last = _across(common["last_words"], busy, 0)
    length = max(busy, last.length)
    return ConvPass(
        **common,
        iterations=length,
        groups=1,
        run0=Run(1, tiling.out_groups + twice, length),
        first_words=tiling.out_groups,
        last_first=last.first,
        last_every=last.every,
        tiles=walk.outer,
        lines=1,
        loads=tiling.out_groups * tiling.tiles,
        row_lines=walk.inner * tiling.in_tiles,
        row_length=walk.row_length,
        all_rows=walk.all_rows,
        first_t=-layer.left,
        twice=twice,
        late=int(walk.late and twice > 0),
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
