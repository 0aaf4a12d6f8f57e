"""Uniform integer weights with a learned step: LSQ (Esser et al., ICLR 2020).

v = w / s clipped to [-Qn, Qp], rounded half to even, times s. Published levels are
-2**(b-1) .. 2**(b-1) - 1 (``narrow=False``); the integer graph's are symmetric, without the lowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.graph.types import IntFormat, WeightFormat
from shiftforge.quant.schemes.activations import lsq
from shiftforge.quant.schemes.base import Scheme, WeightQuantiser
from shiftforge.quant.schemes.levels import (
    Granularity,
    Scale,
    ScaledIntegers,
    best_scale,
    by_channel,
    check_choice,
    power_of_two,
    scaled_gradient,
)

__all__ = ["Uniform", "UniformQuantiser"]


class UniformQuantiser(ScaledIntegers):
    """step: the parameter, (O,) or (1,); its log2 where steps are powers of two."""

    least: torch.Tensor

    def __init__(self, scheme: Uniform, layer: str, weight: torch.Tensor) -> None:
        fmt: WeightFormat | str = IntFormat(scheme.bits)
        if not scheme.narrow:
            fmt = f"the level -2**{scheme.bits - 1} has no counterpart: train with narrow=True"
        super().__init__(scheme, layer, fmt, scheme.bits)
        self.high = (1 << (scheme.bits - 1)) - 1
        self.low = -self.high if scheme.narrow else -self.high - 1
        self.scale_kind = scheme.scale
        self.register_buffer("least", torch.full((1,), 2.0**-40))
        start = self._start(weight, scheme)
        self.step = nn.Parameter(
            torch.log2(start) if scheme.scale == "pow2" else start, requires_grad=scheme.learned
        )

    def _start(self, weight: torch.Tensor, scheme: Uniform) -> torch.Tensor:
        if scheme.start == "mse":
            symmetric = np.arange(-self.high, self.high + 1)
            return best_scale(weight, symmetric, scheme.scale, scheme.granularity)
        rows = weight.detach().abs().flatten(1).mean(1)
        size = rows if scheme.granularity == "channel" else rows.mean().reshape(1)
        # A channel of zeros takes any step.
        return (2 * size / math.sqrt(self.high)).clamp(min=2.0**-40)

    def integer_levels(self) -> NDArray[np.int64]:
        """low..high."""
        return np.arange(self.low, self.high + 1, dtype=np.int64)

    def _step(self, weight: torch.Tensor, factor: float) -> torch.Tensor:
        step = scaled_gradient(self.step, factor)
        real = power_of_two(step) if self.scale_kind == "pow2" else step
        bound = self.least if real.numel() > 1 else self.least.max()
        return by_channel(torch.maximum(real, bound), weight)

    @torch.no_grad()
    def limit_scale(self, least: torch.Tensor) -> None:
        """Steps below are not used; their gradient is then 0."""
        self.least = least.to(self.step)

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """The step."""
        return self._step(weight, 1.0)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """Rounded half to even."""
        return torch.round((weight / self.scale(weight)).clamp(self.low, self.high))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """LSQ; the step's gradient is scaled by 1/sqrt(N Qp), N the weights that share a step."""
        sharing = weight.numel() / self.step.numel()
        step = self._step(weight, 1 / math.sqrt(sharing * self.high))
        return lsq(weight, step, self.low, self.high)

    def adds_per_weight(self, weight: torch.Tensor) -> float:
        """Rows of an array multiplier: one for each magnitude bit."""
        return float(max(1, self.stored_bits - 1))


@dataclass(frozen=True)
class Uniform(Scheme):
    """INT-b weights, b = 2..8. learned: whether the step is trained. start: the step's first value,
    of least squared error ("mse") or LSQ's 2 mean|w| / sqrt(Qp) ("lsq").
    """

    bits: int = 8
    scale: Scale = "pow2"
    granularity: Granularity = "channel"
    learned: bool = True
    narrow: bool = True
    start: str = "mse"

    def __post_init__(self) -> None:
        check_choice("integer weights of bits", self.bits, tuple(range(2, 9)))
        check_choice("scale", self.scale, ("pow2", "real"))
        check_choice("granularity", self.granularity, ("channel", "layer"))
        check_choice("start", self.start, ("mse", "lsq"))

    @property
    def name(self) -> str:
        """Such as "int4"."""
        return f"int{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return UniformQuantiser(self, name, weight)
