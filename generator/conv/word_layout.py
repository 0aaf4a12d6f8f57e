"""Where the weight words of a layer lie in the array's order, and how many groups of it have.

A word is one array cycle of a group of output channels. In pointwise and standard layers it takes
a block of the group's inputs (nine channels, or one channel's window), a second one the same block
again: an array cycle a tile. Blocks of zeros at a group's end have no word; their operands come all
the same, sixteen channels (nine lines of a window) an iteration. A depthwise word is all that a
channel group has; its second one is a cycle a tile too, for which lines wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import TAPS, ArrayShape, Tiling
from shiftforge.generator.conv.schedule import Layer
from shiftforge.quant.formats.shift import codes_from_ints
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.second_words import MOST_RUNS, SecondWords

__all__ = [
    "WINDOW_LINES", "in_runs", "layer_words", "tile_cycles", "two_term_weights", "window_words",
    "word_counts",
]  # fmt: skip

WINDOW_LINES = 9
"""Lines of a standard layer's window, read one an iteration while the one before is used."""

# More than the words of any group.
_MANY = 1 << 24
# Every shift format's values are among its, so that one decoder serves all.
_WIDEST = ShiftFormat(bits=4, terms=2)


def layer_words(layer: Layer, tiling: Tiling, units: int) -> SecondWords:
    """The words of a layer whose channels lie in the accelerator's order.

    group and block are of ``layer.weight``'s shape, with axes of length 1 up to four.
    """
    outputs = np.arange(layer.weight.shape[0], dtype=np.int32) // units
    shape = (*layer.weight.shape, 1, 1)[:4]
    if layer.mode == "depthwise":
        block = np.broadcast_to(outputs.reshape(-1, 1, 1, 1), shape)
        return SecondWords(np.zeros_like(outputs), block, tiling.out_groups, tiling.tiles)
    inputs = np.arange(shape[1], dtype=np.int32) // (
        min(TAPS, units) if layer.mode == "pointwise" else 1
    )
    block = np.broadcast_to(inputs.reshape(1, -1, 1, 1), shape)
    return SecondWords(outputs, block, tiling.weight_words, tiling.tiles)


def two_term_weights(layer: Layer) -> NDArray[np.bool_]:
    """Which weights have two terms, in the shape of ``layer.weight``."""
    return np.asarray(codes_from_ints(np.ascontiguousarray(layer.weight), _WIDEST)[1] != 0)


def word_counts(layer: Layer, tiling: Tiling, array: ArrayShape) -> tuple[tuple[int, int], ...]:
    """(first words, second words) of each group of output channels, in at most MOST_RUNS runs.

    A group's first words end with its last block that is not zero. A depthwise layer has one entry:
    its channel groups, and how many of them have a second word; where a window takes several words,
    all of them. Multiplier lanes have no second words.
    """
    if layer.words > 1:
        return ((tiling.out_groups * layer.words, 0),)
    groups = 1 if layer.mode == "depthwise" else tiling.out_groups
    words = layer_words(layer, tiling, array.units)
    shift = array.unit == "shift"
    if not any(layer.weight.strides):
        # A dry model's: one value that takes no memory.
        _, code = codes_from_ints(layer.weight.reshape(-1)[:1].copy(), _WIDEST)
        return ((words.blocks, words.blocks if shift and code[0] else 0),) * groups
    shape = (*layer.weight.shape, 1, 1)[:4]
    first, second = (words.blocks,) * groups, (0,) * groups
    if layer.mode != "depthwise":
        first = tuple(max(1, n) for n in words.counts(layer.weight.reshape(shape) != 0))
    if shift:
        second = words.counts(two_term_weights(layer).reshape(shape))
    return in_runs(layer, tiling, array.units, first, second)


def in_runs(
    layer: Layer, tiling: Tiling, units: int, first: Sequence[int], second: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The counts of least iterations, none below the given ones, in at most MOST_RUNS runs."""
    pairs = list(zip(first, second, strict=True))
    n = len(pairs)
    if sum(a != b for a, b in pairwise(pairs)) < MOST_RUNS:
        return tuple(pairs)
    cycles = cache(partial(tile_cycles, layer, tiling, units))
    high = [[pairs[b] for _ in range(n)] for b in range(n)]
    cost = np.full((n, n), np.iinfo(np.int64).max // 8)
    for b in range(n):
        most = (0, 0)
        for e in range(b, n):
            most = (max(most[0], pairs[e][0]), max(most[1], pairs[e][1]))
            high[b][e] = most
            # Of equally many iterations the fewest words.
            cost[b, e] = (e - b + 1) * (cycles(*most) * _MANY + sum(most))
    # best[e]: least of the counts up to e in so many runs; begins: where the last run begins.
    best, begins = cost[0], [np.zeros(n, np.int64)]
    for _ in range(MOST_RUNS - 1):
        total = np.concatenate([[0], best[:-1]])[:, None] + cost
        begins.append(total.argmin(axis=0))
        best = total.min(axis=0)
    found, end = pairs, n - 1
    for begin in reversed(begins):
        start = int(begin[end])
        found[start : end + 1] = [high[start][end]] * (end + 1 - start)
        end = start - 1
        if end < 0:
            break
    return tuple(found)


def tile_cycles(layer: Layer, tiling: Tiling, units: int, first: int, second: int) -> int:
    """Iterations of a tile of a pointwise or standard layer with so many first and second words.

    All operands are taken, those of zero words too: a line an iteration.
    """
    if layer.mode == "pointwise":
        return first + second + max(0, tiling.in_groups - ceil(first * min(TAPS, units) / units))
    return sum(max(WINDOW_LINES, own + again)
               for own, again in window_words(layer, tiling, units, first, second))  # fmt: skip


def window_words(
    layer: Layer, tiling: Tiling, units: int, first: int, second: int
) -> Iterator[tuple[int, int]]:
    """First and second words of each window of a standard layer's tile, a channel group each."""
    last = layer.block_channels - (tiling.in_groups - 1) * units
    for _ in range(layer.windows.count):
        for group in range(tiling.in_groups):
            lanes = last if group == tiling.in_groups - 1 else units
            own = min(max(first, 0), lanes)
            yield own, min(max(second, 0), own)
            first, second = first - lanes, second - lanes
