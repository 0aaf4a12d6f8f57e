"""Small models built straight from the types, for the tests of the integer reference."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import (
    Conv,
    Grid,
    IntFormat,
    Node,
    Preprocess,
    QuantizedModel,
    Tensor,
)

WIDE = Grid(32, True, 0)


def round_exact(numerator: int, denominator: Fraction | int, lo: int, hi: int) -> int:
    """Clamped quotient by exact fractions; Python's ``round`` of a fraction is half to even."""
    return min(max(round(Fraction(numerator) / Fraction(denominator)), lo), hi)


def one_node(node: Node, *tensors: Tensor) -> QuantizedModel:
    """A model of one node; the first tensor is its input, the last its output."""
    first = tensors[0]
    ones = (1.0,) * first.channels
    preprocess = Preprocess(first.channels, first.height, first.width, ones, ones)
    table = {tensor.name: tensor for tensor in tensors}
    return QuantizedModel("one", preprocess, first.name, node.output, table, (node,))


def one_conv(
    weight: NDArray[Any], x: Tensor, *, out: Grid = WIDE, z: NDArray[Any] | None = None,
    **fields: Any,
) -> QuantizedModel:  # fmt: skip
    """A model of one convolution, "conv", from ``x`` to "y"; by default y is the accumulator.

    fields: of ``Conv``; format: by default 8-bit integers; acc_bits: one for all outputs.
    """
    outputs, _, kernel_h, kernel_w = weight.shape
    node = Conv(
        **{
            "name": "conv",
            "source": "net.conv",
            "input": x.name,
            "output": "y",
            "weight": weight.astype(np.int8),
            "z": np.full(outputs, -x.grid.exponent) if z is None else z,
            "bias": np.zeros(outputs),
            "format": IntFormat(8),
            "stride": 1,
            "padding": (0, 0, 0, 0),
            "dilation": 1,
            "groups": 1,
            "lo": out.qmin,
            "hi": out.qmax,
            "acc_bits": 62,
            **fields,
        }
    )
    node = replace(
        node,
        z=node.z.astype(np.int8),
        bias=node.bias.astype(np.int32),
        acc_bits=np.full(outputs, node.acc_bits, np.uint8),
    )
    top, left, bottom, right = node.padding
    height = (x.height + top + bottom - node.dilation * (kernel_h - 1) - 1) // node.stride + 1
    width = (x.width + left + right - node.dilation * (kernel_w - 1) - 1) // node.stride + 1
    return one_node(node, x, Tensor("y", outputs, height, width, out))


def random_codes(
    rng: np.random.Generator, tensor: Tensor, frames: int | None = None
) -> NDArray[Any]:
    """Uniform codes over a tensor's whole grid, extremes included where there is room."""
    shape = tensor.shape if frames is None else (frames, *tensor.shape)
    codes = rng.integers(tensor.grid.qmin, tensor.grid.qmax + 1, shape, dtype=np.int64)
    codes.flat[0] = tensor.grid.qmin
    codes.flat[-1] = tensor.grid.qmax
    return codes
