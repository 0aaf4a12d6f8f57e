"""Small models built straight from the types, for the tests of the integer reference."""

from __future__ import annotations

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
    WeightFormat,
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
    weight: NDArray[Any],
    x: Tensor,
    *,
    out: Grid = WIDE,
    bias: NDArray[Any] | None = None,
    z: NDArray[Any] | None = None,
    stride: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: int = 1,
    groups: int = 1,
    lo: int | None = None,
    hi: int | None = None,
    acc_bits: int = 62,
    weight_format: WeightFormat | None = None,
    multiplier: NDArray[Any] | None = None,
    shift: NDArray[Any] | None = None,
) -> QuantizedModel:
    """A model of one convolution, "conv", from ``x`` to "y"; by default y is the accumulator."""
    outputs, _, kernel_h, kernel_w = weight.shape
    top, left, bottom, right = padding
    height = (x.height + top + bottom - dilation * (kernel_h - 1) - 1) // stride + 1
    width = (x.width + left + right - dilation * (kernel_w - 1) - 1) // stride + 1
    node = Conv(
        name="conv",
        source="net.conv",
        input=x.name,
        output="y",
        weight=weight.astype(np.int8),
        z=np.full(outputs, -x.grid.exponent, np.int8) if z is None else z.astype(np.int8),
        bias=np.zeros(outputs, np.int32) if bias is None else bias.astype(np.int32),
        format=weight_format or IntFormat(8),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        lo=out.qmin if lo is None else lo,
        hi=out.qmax if hi is None else hi,
        acc_bits=np.full(outputs, acc_bits, np.uint8),
        multiplier=multiplier,
        shift=shift,
    )
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
