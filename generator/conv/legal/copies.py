"""Convolutions that copy: each output channel is an input channel, one weight a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shiftforge.generator.conv.averages import MOST_DIGITS, Average, find_average
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Conv,
    IntFormat,
    MaxPool,
    QuantizedModel,
    ShiftFormat,
    Tensor,
    Upsample,
    WeightFormat,
)

__all__ = ["WINDOW", "Averaged", "Copies"]

_MOST_PLACES = 6
_LEFT, _RIGHT = 8, 10
"""Shifts of an 8-bit code beyond which it is 0, or past every 8-bit code, whatever the shift."""
WINDOW = 3
"""Rows and columns of a window of the line buffer."""


@dataclass(frozen=True, eq=False)
class Averaged:
    """conv: the geometry of an average's windows, its bias and requantisation, with weights of its
    single digit, or of 1 where it has several. digits: of its constant, the highest first."""

    conv: Conv
    digits: tuple[int, ...]


@dataclass(frozen=True)
class Copies:
    """How a network's copies are weighted. places: weights are 2**places, so that the shift of a
    copy is one that the network's convolutions have, too. shifts: the least and the most of these.
    digits: that a weight can be, of an average's constant.
    """

    format: WeightFormat
    places: int
    shifts: tuple[int, int]
    digits: tuple[int, ...]

    @classmethod
    def of(cls, model: QuantizedModel) -> Copies:
        """For a network."""
        convs = model.conv_nodes()
        if any(isinstance(own.format, IntFormat) for own in convs):
            # Weights of multipliers have four bits at least in the array.
            return cls(IntFormat(2), 0, (0, 31), tuple(range(1, 8)))
        shifts = [
            model.tensors[own.output].grid.exponent - model.tensors[own.input].grid.exponent
            - own.z.astype(np.int64)
            for own in convs if own.multiplier is None
        ]  # fmt: skip
        least = min((int(own.min()) for own in shifts), default=0)
        most = max((int(own.max()) for own in shifts), default=31)
        places = min(max(least, 0), _MOST_PLACES)
        digits = tuple(1 << e for e in range(_MOST_PLACES + 1))
        return cls(ShiftFormat(4, 1, "S1"), places, (least, most), digits)

    def subsample(self, name: str, source: str, x: Tensor, out: Tensor, stride: int) -> Conv:
        """Every ``stride``-th row and column of a map, from the first on."""
        return self._copy(name, source, x, out, stride=stride)

    def moved(self, name: str, source: str, x: Tensor, out: Tensor, offset: int) -> Conv:
        """The map's codes and so much more."""
        return self._copy(name, source, x, out, offset=offset)

    def padded(
        self, name: str, source: str, x: Tensor, out: Tensor, padding: tuple[int, int, int, int]
    ) -> Conv:
        """The map with zeros around it."""
        return self._copy(name, source, x, out, padding=padding)

    def rescaled(self, name: str, source: str, x: Tensor, out: Tensor) -> Conv:
        """The map on another grid, channel by channel, or as it is."""
        return self._copy(name, source, x, out)

    def chosen(self, name: str, source: str, x: Tensor, out: Tensor, order: Sequence[int]) -> Conv:
        """Channel order[i] of a map as channel i, on any grid. Reads all channels."""
        return self._copy(name, source, x, out, order=order)

    def doubled(self, node: Add, x: Tensor, out: Tensor) -> Conv:
        """The sum of a map with itself."""
        return self._copy(node.name, node.source, x, out, places=1, bounds=(node.lo, node.hi))

    def largest(self, node: MaxPool, x: Tensor) -> Conv:
        """What follows the largest of a window's codes: no more than a copy has."""
        weight = np.full((x.channels, 1, *node.kernel), 1 << self.places, np.int8)
        bits = accumulator_bits(weight[:, :, :1, :1], np.zeros(x.channels), x.grid, self.places)
        return Conv(
            name=node.name, source=node.source, input=node.input, output=node.output,
            weight=weight, z=np.full(x.channels, -self.places, np.int8),
            bias=np.zeros(x.channels, np.int32), format=self.format, stride=node.stride[1],
            padding=node.padding, dilation=1, groups=x.channels, lo=x.grid.qmin, hi=x.grid.qmax,
            acc_bits=bits,
        )  # fmt: skip

    def enlarged(self, node: Upsample, x: Tensor, out: Tensor) -> Conv:
        """What copies the rows and columns that an enlarged map has."""
        whole = replace(x, height=out.height, width=out.width)
        return self._copy(node.name, node.source, whole, out)

    def constant(self, node: AveragePool, x: Tensor) -> Average | None:
        """The constant of a pool, of a single digit where its windows are larger than the line
        buffer's; None where there is none."""
        count, multiplier, shift = node.constants[0]
        weights = tuple(sign * own for own in self.digits for sign in (1, -1))
        return find_average(
            (count * x.grid.qmin, count * x.grid.qmax), multiplier, shift, (node.lo, node.hi),
            self.shifts, weights, MOST_DIGITS if max(node.kernel) <= WINDOW else 1,
        )  # fmt: skip

    def average(self, node: AveragePool, x: Tensor, out: Tensor) -> Averaged:
        """A pool of one constant as sums of windows times its digits."""
        own = self.constant(node, x) or Average((1,), 0, 0)  # refused, see ``average_problems``
        kernel = x.channels, 1, *node.kernel
        weight = np.full(kernel, own.digits[0] if len(own.digits) == 1 else 1, np.int8)
        bias = np.full(x.channels, own.bias, np.int32)
        places_right = np.full(x.channels, own.right, np.int64)
        z = np.full(x.channels, out.grid.exponent - x.grid.exponent - own.right, np.int8)
        product = np.full(kernel, own.constant, np.int64)
        conv = Conv(
            name=node.name, source=node.source, input=x.name, output=out.name, weight=weight, z=z,
            bias=bias, format=self.format, stride=node.stride[1],
            padding=node.padding, dilation=1, groups=x.channels, lo=node.lo, hi=node.hi,
            acc_bits=accumulator_bits(product, bias, x.grid, places_right),
        )  # fmt: skip
        return Averaged(conv, own.digits)

    def _copy(
        self, name: str, source: str, x: Tensor, out: Tensor, *, stride: int = 1, offset: int = 0,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0), order: Sequence[int] | None = None,
        places: int = 0, bounds: tuple[int, int] | None = None,
    ) -> Conv:  # fmt: skip
        """places: by which codes are moved left besides. bounds: of the clamp; None for the
        grid's."""
        one = 1 << self.places
        if order is None:
            weight, groups = np.full((x.channels, 1, 1, 1), one, np.int8), x.channels
        else:
            weight, groups = np.zeros((len(order), x.channels, 1, 1), np.int8), 1
            weight[np.arange(len(order)), list(order)] = one
        apart = out.grid.exponent - x.grid.exponent
        right = min(max(apart - places, -_LEFT), _RIGHT) + self.places
        bias = np.full(len(weight), offset << self.places, np.int32)
        bits = accumulator_bits(weight, bias, x.grid, np.full(len(weight), right))
        lo, hi = bounds or (out.grid.qmin, out.grid.qmax)
        return Conv(
            name=name, source=source, input=x.name, output=out.name, weight=weight,
            z=np.full(len(weight), apart - right, np.int8), bias=bias,
            format=self.format, stride=stride, padding=padding, dilation=1,
            groups=groups, lo=lo, hi=hi, acc_bits=bits,
        )  # fmt: skip
