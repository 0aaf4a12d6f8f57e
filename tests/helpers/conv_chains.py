"""Networks whose convolutions a test chooses, all else drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from random_networks import Builder, Family

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Conv,
    Grid,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)
from shiftforge.quant.graph.verify import verify


def chain(
    *convolutions: dict[str, Any],
    channels: int,
    height: int,
    width: int,
    family: Family = "two-term",
) -> QuantizedModel:
    """A verified network of given convolutions: arguments of ``Builder.conv``."""
    image = Tensor("input", channels, height, width, Grid(8, False, -8))
    built = Builder(np.random.default_rng(1), image, family, False)
    for own in convolutions:
        built.conv(**own)
    ones = (1.0,) * channels
    model = QuantizedModel(
        "chain", Preprocess(channels, height, width, ones, ones), "input", built.last.name,
        built.tensors, tuple(built.nodes),
    )  # fmt: skip
    verify(model)
    return model


def with_weights(model: QuantizedModel, weights: dict[str, NDArray[np.int8]]) -> QuantizedModel:
    """The network with two-term weights of its own for some convolutions, by name."""
    nodes = []
    for node in model.nodes:
        if isinstance(node, Conv) and node.name in weights:
            weight, x, out = weights[node.name], model.tensors[node.input], node.output
            r = model.tensors[out].grid.exponent - x.grid.exponent - node.z.astype(np.int64)
            bits = accumulator_bits(weight, node.bias, x.grid, r)
            own = replace(node, weight=weight, format=ShiftFormat(4, 2, "SEL"), acc_bits=bits)
            nodes.append(own)
        else:
            nodes.append(node)
    changed = replace(model, nodes=tuple(nodes))
    verify(changed)
    return changed


def with_room(model: QuantizedModel) -> QuantizedModel:
    """The network of convolutions with codes of eight bits and few sums outside of them, so that
    nearly every difference of two sums shows."""
    tensors, nodes = dict(model.tensors), []
    for conv in model.conv_nodes():
        x, out = tensors[conv.input], tensors[conv.output]
        outputs = len(conv.bias)
        deviation = np.median(
            np.sqrt(np.square(conv.weight.reshape(outputs, -1) / 1.0).sum(axis=1))
        )
        exponent = int(np.ceil(np.log2(deviation * x.grid.qmax / 2 * 2 / 127)))
        grid = Grid(8, True, x.grid.exponent + exponent)
        z, bias = np.zeros(outputs, np.int8), np.zeros(outputs, np.int32)
        bits = accumulator_bits(conv.weight, bias, x.grid, np.full(outputs, exponent))
        own = replace(conv, z=z, bias=bias, lo=-128, hi=127, acc_bits=bits)
        tensors[conv.output] = replace(out, grid=grid)
        nodes.append(own)
    changed = replace(model, tensors=tensors, nodes=tuple(nodes))
    verify(changed)
    return changed
