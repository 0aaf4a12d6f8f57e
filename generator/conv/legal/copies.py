"""Convolutions that copy: each output channel is an input channel, one weight a channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
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
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Conv:  # fmt: skip
        weight = np.full((x.channels, 1, 1, 1), 1 << self.places, np.int8)
        z = np.full(x.channels, -self.places, np.int8)
        bias = np.full(x.channels, offset << self.places, np.int32)
        right = np.full(x.channels, out.grid.exponent - x.grid.exponent + self.places, np.int64)
        return Conv(
            name=name, source=source, input=x.name, output=out.name, weight=weight, z=z, bias=bias,
            format=self.format, stride=stride, padding=padding, dilation=1,
            groups=x.channels, lo=out.grid.qmin, hi=out.grid.qmax,
            acc_bits=accumulator_bits(weight, bias, x.grid, right),
        )  # fmt: skip
