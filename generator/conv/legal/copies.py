"""Convolutions that copy: each output channel is an input channel, one weight a channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Conv,
    IntFormat,
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
        weight = np.full((x.channels, 1, 1, 1), 1 << self.places, np.int8)
        z = np.full(x.channels, -self.places, np.int8)
        bias = np.zeros(x.channels, np.int32)
        right = np.full(x.channels, out.grid.exponent - x.grid.exponent + self.places, np.int64)
        return Conv(
            name=name, source=source, input=x.name, output=out.name, weight=weight, z=z, bias=bias,
            format=self.format, stride=stride, padding=(0, 0, 0, 0), dilation=1,
            groups=x.channels, lo=out.grid.qmin, hi=out.grid.qmax,
            acc_bits=accumulator_bits(weight, bias, x.grid, right),
        )  # fmt: skip
