"""Convolutions that copy: each output channel is an input channel, one weight a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    IntFormat,
    MaxPool,
    QuantizedModel,
    ShiftFormat,
    Tensor,
    WeightFormat,
)

__all__ = ["Copies"]

_MOST_PLACES = 6
_LEFT, _RIGHT = 8, 10
"""Shifts of an 8-bit code beyond which it is 0, or past every 8-bit code, whatever the shift."""


@dataclass(frozen=True)
class Copies:
    """How a network's copies are weighted. places: weights are 2**places, so that the shift of a
    copy is one that the network's convolutions have, too."""

    format: WeightFormat
    places: int

    @classmethod
    def of(cls, model: QuantizedModel) -> Copies:
        """For a network."""
        convs = model.conv_nodes()
        if any(isinstance(own.format, IntFormat) for own in convs):
            return cls(IntFormat(2), 0)
        shifts = [
            model.tensors[own.output].grid.exponent - model.tensors[own.input].grid.exponent
            - own.z.astype(np.int64)
            for own in convs if own.multiplier is None
        ]  # fmt: skip
        least = min((int(own.min()) for own in shifts), default=0)
        return cls(ShiftFormat(4, 1, "S1"), min(max(least, 0), _MOST_PLACES))

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
