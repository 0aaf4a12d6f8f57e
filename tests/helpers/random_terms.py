"""Random weights whose second terms lie in patterns that the array's words make differ.

A word holds a group of 16 output channels by a block of nine inputs (of a 3x3 convolution: one
channel); of a depthwise convolution all of a group. An array of 32 units has two groups in one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat

Pattern = Literal["none", "blocks", "everywhere", "single"]
PATTERNS: tuple[Pattern, ...] = (*get_args(Pattern), "blocks", "blocks")
GROUP, BLOCK = 16, 9


def mixed_weights(
    rng: np.random.Generator, shape: tuple[int, int, int, int], fmt: ShiftFormat, *,
    depthwise: bool, second: bool,
) -> NDArray[np.int8]:  # fmt: skip
    """Weights (O, I // groups, kh, kw) of a two-term format; some have a second term if second.

    Now and then single words, the last ones or all of a group are zero.
    """
    one = format_levels(ShiftFormat(fmt.bits, 1, "S1"))
    two = np.setdiff1d(format_levels(fmt), one)
    flat = (shape[0], shape[1] * shape[2] * shape[3])
    weight = rng.choice(one, size=flat)
    block = np.broadcast_to(np.arange(flat[1]) // BLOCK, flat)
    if depthwise:
        block = np.zeros_like(block)
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))] if second else "none"
    marked = _marked(rng, pattern, block, depthwise)
    weight[marked] = rng.choice(two, size=int(marked.sum()))
    group = np.arange(flat[0]) // GROUP
    words = (int(group.max()) + 1, int(block.max()) + 1)
    empty = rng.random(words) < rng.choice((0, 0, 0.3))
    empty |= rng.random((words[0], 1)) < rng.choice((0, 0, 0.3))
    if not rng.integers(3):
        empty |= np.arange(words[1]) >= rng.integers(0, words[1] + 1, (words[0], 1))
    weight[empty[group[:, None], block]] = 0
    return weight.reshape(shape).astype(np.int8)


def with_mixed_weights(model: QuantizedModel, seed: int) -> QuantizedModel:
    """The model, of two-term formats, with other weights: second terms lie in patterns."""
    rng, nodes = np.random.default_rng([seed, 4]), []
    for node in model.nodes:
        if isinstance(node, Conv) and isinstance(node.format, ShiftFormat):
            x, out = model.tensors[node.input], model.tensors[node.output]
            depthwise = node.groups > 1
            weight = mixed_weights(
                rng, node.weight.shape, node.format, depthwise=depthwise, second=True
            )
            r = out.grid.exponent - x.grid.exponent - node.z.astype(np.int64)
            bits = accumulator_bits(weight, node.bias, x.grid, r)
            node = replace(node, weight=weight, acc_bits=bits)
        nodes.append(node)
    return replace(model, nodes=tuple(nodes))


def _marked(
    rng: np.random.Generator, pattern: Pattern, block: NDArray[np.int64], depthwise: bool
) -> NDArray[np.bool_]:
    """Which weights (O, inputs of one) have two terms. block: of each weight in its group."""
    outputs = block.shape[0]
    if pattern == "single":
        found = np.zeros(block.shape, bool)
        for _ in range(int(rng.integers(1, 4))):
            found[tuple(rng.integers(block.shape))] = True
        return found
    if pattern != "blocks":
        return np.full(block.shape, pattern == "everywhere")
    groups, blocks = -(-outputs // GROUP), int(block.max()) + 1
    if depthwise:
        first = rng.integers(1, groups + 1)
        counts = (np.arange(groups) < first).astype(np.int64)
    else:
        # Few different counts lie in few runs, many have to be merged.
        few = rng.integers(0, blocks + 1, int(rng.integers(1, 5)))
        counts = rng.choice(few, groups)
    share = rng.choice((0.05, 0.5, 1.0))
    inside = block < counts[np.arange(outputs) // GROUP][:, None]
    return np.asarray(inside & (rng.random(block.shape) < share))
