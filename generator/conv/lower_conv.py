"""Lowering of a layer for the convolution unit: its loop, and when the next weights are read.

A group's weights are read while the group before it is computed, spread over its iterations. Where
a group is too short for that, or so short that a word would be read too soon after it was written,
idle iterations follow it; they are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.records import ConvPass
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.walk import Walk

__all__ = ["WEIGHT_DISTANCE", "WINDOW_LINES", "group_words", "lower_conv", "lower_fill"]

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


def group_words(layer: Layer, tiling: Tiling) -> int:
    """Weight words that are resident together: of a group, of all groups of a depthwise layer."""
    return tiling.out_groups if layer.mode == "depthwise" else tiling.weight_words


def lower_fill(words: int) -> ConvPass:
    """The record with which the unit starts: the first group's weights are read."""
    return ConvPass(
        iterations=words, mode=_MODES["fill"], groups=1, first_group_iterations=words,
        group_iterations=words, last_words=words, last_every=1, tiles=1, lines=1,
    )  # fmt: skip


def lower_conv(
    layer: Layer,
    tiling: Tiling,
    walk: Walk,
    array: ArrayShape,
    next_words: int,
    geometries: Mapping[tuple[str, int, int], int],
) -> ConvPass:
    """The convolution unit's record of a layer.

    next_words: weight words of the first group of the layer after it. geometries: numbers of (mode,
    stride, left padding).
    """
    common: dict[str, Any] = {
        "mode": _MODES[layer.mode],
        "geometry": geometries.get((layer.mode, layer.stride, layer.left), 0),
        "stride": layer.stride,
        "in_signed": int(layer.input.grid.signed),
        "in_rows": tiling.in_rows,
        "in_tiles": tiling.in_tiles,
        "words": group_words(layer, tiling),
    }
    if layer.mode == "depthwise":
        return _depthwise(layer, tiling, walk, next_words, common)
    busy, fill = tiling.tiles * tiling.weight_words, 0
    own: dict[str, Any] = {"lines": tiling.in_groups}
    if layer.mode == "standard":
        lanes = layer.in_shape[0] - (tiling.in_groups - 1) * array.units
        last_step = max(WINDOW_LINES, lanes)
        busy = tiling.tiles * ((tiling.in_groups - 1) * array.units + last_step)
        fill = WINDOW_LINES
        own |= {
            "loads": tiling.out_groups * tiling.tiles * tiling.in_groups,
            "last_lanes": lanes,
            "last_step": last_step,
        }
    words, groups = tiling.weight_words, tiling.out_groups
    inner, last = _Reads(words, 0, 1), _across(next_words, busy, 0)
    if groups > 1:
        inner, last = _within(words, busy), _across(next_words, busy, _after_reads(words))
    length = max(busy, last.length)
    if groups > 1:
        length = max(length, inner.length, inner.first + WEIGHT_DISTANCE)
    return ConvPass(
        **common,
        **own,
        iterations=fill + groups * length,
        groups=groups,
        first_group_iterations=fill + length,
        group_iterations=length,
        take_first=inner.first,
        take_every=inner.every,
        last_words=next_words,
        last_first=last.first,
        last_every=last.every,
        tiles=tiling.tiles,
        tail=length - busy,
    )


def _depthwise(
    layer: Layer, tiling: Tiling, walk: Walk, next_words: int, common: dict[str, Any]
) -> ConvPass:
    last = _across(next_words, walk.iterations, 0)
    length = max(walk.iterations, last.length)
    return ConvPass(
        **common,
        iterations=length,
        groups=1,
        first_group_iterations=length,
        group_iterations=length,
        last_words=next_words,
        last_first=last.first,
        last_every=last.every,
        tiles=walk.outer,
        lines=1,
        loads=tiling.out_groups * tiling.tiles,
        row_lines=walk.inner * tiling.in_tiles,
        row_length=walk.row_length,
        all_rows=walk.all_rows,
        first_t=-layer.left,
        word_row=1 - walk.inner,
        fires=walk.fires,
    )


def _after_reads(words: int) -> int:
    """First iteration of a group in which the bank of the group before may be written.

    Word j of it was last read at most words - j iterations before this group.
    """
    return max(0, WEIGHT_DISTANCE - words)


def _across(words: int, iterations: int, first: int) -> _Reads:
    """Reads in a layer's last group: the layer's end lies between them and the first use."""
    return _Reads(words, first, max(1, (iterations - first) // words))


def _within(words: int, iterations: int) -> _Reads:
    """Reads of the next group's weights in a group of the same layer.

    A word is written after its last read in the group before, and before its next one in the group
    after: word j at iteration j at the earliest.
    """
    first = _after_reads(words)
    every = max(1, (iterations - first) // words)
    if words > 1:
        room = max(0, iterations - first - WEIGHT_DISTANCE)
        every = min(every, 1 + room // (words - 1))
    return _Reads(words, first, every)
