"""Straight-through training: round to the nearest level, pass the gradient as if nothing happened.

Masters are kept in units of the channel's scale 2**z, so that one learning rate fits all channels:
a master of 3.2 is the level 3, and moves by about the rate times the gradient's sign under Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.formats.encode import choose_exponent, encode, format_levels
from shiftforge.quant.graph.types import WeightFormat
from shiftforge.quant.schemes.folded import FoldedQuantiser, StartCodes, inside

__all__ = ["StraightThrough", "SteWeights"]


class SteWeights(FoldedQuantiser):
    """Masters v of one convolution in units of 2**z; the level nearest to v is used."""

    scale: torch.Tensor
    magnitudes: torch.Tensor
    middles: torch.Tensor

    def __init__(self, node: FloatConv, fmt: WeightFormat, start: StartCodes | None) -> None:
        super().__init__()
        levels = format_levels(fmt)
        self.fmt = fmt
        self.z = choose_exponent(node.weight, levels) if start is None else start[1]
        positive = levels[levels >= 0].astype(np.float32)
        exponents = self.z.astype(np.int64).reshape(-1, 1, 1, 1)
        v = np.ldexp(node.weight, -exponents)
        if start is not None:
            v = inside(v, start[0], positive)
        v = np.clip(v, -positive[-1], positive[-1])
        self.v = nn.Parameter(torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)))
        one = np.ones(exponents.shape, dtype=np.float32)
        self.register_buffer("scale", torch.from_numpy(np.ldexp(one, exponents)))
        self.register_buffer("magnitudes", torch.from_numpy(positive))
        self.register_buffer("middles", torch.from_numpy((positive[1:] + positive[:-1]) / 2))

    def forward(self) -> torch.Tensor:
        # right=False: a value in the middle keeps the smaller magnitude, as encode does.
        place = torch.bucketize(self.v.detach().abs().contiguous(), self.middles)
        rounded = torch.copysign(self.magnitudes[place], self.v.detach())
        # In this order the value is exactly the level, whatever v is.
        return (rounded + (self.v - self.v.detach())) * self.scale

    def codes(self) -> StartCodes:
        return encode(self.masters(), self.z, self.fmt), self.z

    def masters(self) -> NDArray[np.float32]:
        real: NDArray[np.float32] = (self.v * self.scale).detach().cpu().numpy()
        return np.ascontiguousarray(real)

    def saturate(self) -> None:
        """Bring masters that left the levels back to the outermost one."""
        top = float(self.magnitudes[-1])
        with torch.no_grad():
            self.v.clamp_(-top, top)


@dataclass(frozen=True)
class StraightThrough:
    """The plain straight-through estimator: no penalty, no other parameters."""

    name: str = "ste"

    def quantiser(
        self, node: FloatConv, fmt: WeightFormat, start: StartCodes | None
    ) -> FoldedQuantiser:
        """Masters from the node's weights, inside the rounding cells of start where given."""
        return SteWeights(node, fmt, start)

    def loss(self, task: torch.Tensor, quantisers: Mapping[str, FoldedQuantiser]) -> torch.Tensor:
        """The task's loss, unchanged."""
        return task

    def after_step(self, quantisers: Mapping[str, FoldedQuantiser]) -> None:
        """Masters stay within the outermost levels, where they can still come back."""
        for quantiser in quantisers.values():
            if isinstance(quantiser, SteWeights):
                quantiser.saturate()
