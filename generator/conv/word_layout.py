"""Where the weight words of a layer lie in the array's order, and how many groups of it have.

A word is one array cycle of a group of output channels. In pointwise and standard layers it takes
a block of the group's inputs (nine channels, or one channel's window), a second one the same block
again: an array cycle a tile. A depthwise word is all that a channel group has; its second one is a
cycle a tile too, but free at stride 2, where the array stands idle in every other iteration.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import TAPS, ArrayShape, Tiling
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.walk import Walk
from shiftforge.quant.formats.shift import codes_from_ints
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.second_words import MOST_RUNS, SecondWords, merge_runs

__all__ = ["layer_words", "second_counts", "two_term_weights"]

# Every shift format's values are among its, so that one decoder serves all.
_WIDEST = ShiftFormat(bits=4, terms=2)


def layer_words(layer: Layer, tiling: Tiling, walk: Walk, units: int) -> SecondWords:
    """The words of a layer whose channels lie in the accelerator's order.

    group and block are of ``layer.weight``'s shape, with axes of length 1 up to four.
    """
    outputs = np.arange(layer.weight.shape[0], dtype=np.int32) // units
    shape = (*layer.weight.shape, 1, 1)[:4]
    if layer.mode == "depthwise":
        block = np.broadcast_to(outputs.reshape(-1, 1, 1, 1), shape)
        cycles = 0 if walk.late else tiling.tiles
        return SecondWords(np.zeros_like(outputs), block, tiling.out_groups, cycles)
    inputs = np.arange(shape[1], dtype=np.int32) // (TAPS if layer.mode == "pointwise" else 1)
    block = np.broadcast_to(inputs.reshape(1, -1, 1, 1), shape)
    return SecondWords(outputs, block, tiling.weight_words, tiling.tiles)


def two_term_weights(layer: Layer) -> NDArray[np.bool_]:
    """Which weights have two terms, in the shape of ``layer.weight``."""
    return np.asarray(codes_from_ints(np.ascontiguousarray(layer.weight), _WIDEST)[1] != 0)


def second_counts(layer: Layer, tiling: Tiling, walk: Walk, array: ArrayShape) -> tuple[int, ...]:
    """Second words of each group of output channels, in at most MOST_RUNS runs; none of multiplier
    lanes. A depthwise layer has one entry: how many of its channel groups have one."""
    groups = 1 if layer.mode == "depthwise" else tiling.out_groups
    if array.unit == "multiplier":
        return (0,) * groups
    words = layer_words(layer, tiling, walk, array.units)
    if not any(layer.weight.strides):
        # A dry model's: one value that takes no memory.
        _, second = codes_from_ints(layer.weight.reshape(-1)[:1].copy(), _WIDEST)
        return (words.blocks if second[0] else 0,) * groups
    two = two_term_weights(layer)
    if not two.any():
        return (0,) * groups
    return merge_runs(words.counts(two.reshape((*two.shape, 1, 1)[:4])), MOST_RUNS)
