"""One-bit weights: BinaryConnect (Courbariaux et al., 2015) and XNOR-Net (Rastegari et al., 2016).

BinaryConnect: +-1, by the sign, or drawn in training with P(+1) = clip((w + 1) / 2, 0, 1) (in
evaluation by the sign); the gradient is g * 1[|w| <= 1], and masters are clipped to [-1, 1] after
every step. XNOR-Net's weights: alpha sign(w), alpha the mean |w| of a filter, through which the
gradient flows too. A weight of 0 counts as positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.schemes.activations import BinaryActivations
from shiftforge.quant.schemes.base import Scheme, Sites, WeightQuantiser
from shiftforge.quant.schemes.levels import (
    Scale,
    ScaledIntegers,
    by_channel,
    check_choice,
    power_of_two,
)
from shiftforge.quant.schemes.shift import two_terms

__all__ = ["BinaryConnect", "BinaryQuantiser", "Xnor"]


class BinaryQuantiser(ScaledIntegers):
    """mean: scale by the filter's mean magnitude; otherwise the scale is 1."""

    def __init__(
        self, scheme: Scheme, layer: str, *, mean: bool, pow2: bool = True, stochastic: bool = False
    ) -> None:
        super().__init__(scheme, layer, ShiftFormat(3, 1, "S1"), 1)
        self.mean, self.pow2, self.stochastic = mean, pow2, stochastic

    def integer_levels(self) -> NDArray[np.int64]:
        """-1 and 1."""
        return np.array([-1, 1], dtype=np.int64)

    def _alpha(self, weight: torch.Tensor) -> torch.Tensor:
        if not self.mean:
            return weight.new_ones(())
        alpha = weight.abs().flatten(1).mean(1).clamp(min=2.0**-40)
        return by_channel(power_of_two(torch.log2(alpha)) if self.pow2 else alpha, weight)

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """alpha, or 1."""
        return self._alpha(weight)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """The signs, as in evaluation."""
        return torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """alpha times the sign; in training the drawn one where stochastic, from torch's global
        generator.
        """
        sign = self.integers(weight)
        if self.stochastic and self.training:
            chance = ((weight.detach() + 1) / 2).clamp(0, 1)
            sign = torch.where(torch.rand_like(chance) < chance, 1.0, -1.0)
        inside = weight.clamp(-1, 1)
        return (sign + (inside - inside.detach())) * self._alpha(weight)

    def shifts_per_weight(self, weight: torch.Tensor) -> float:
        """None: weights are signs."""
        return 0.0


@dataclass(frozen=True)
class BinaryConnect(Scheme):
    """Signs without scale: layers need a batch norm behind them."""

    stochastic: bool = False

    @property
    def name(self) -> str:
        """binaryconnect, or binaryconnect-stochastic."""
        return "binaryconnect-stochastic" if self.stochastic else "binaryconnect"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return BinaryQuantiser(self, name, mean=False, stochastic=self.stochastic)

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)

    def after_step(self, sites: Sites) -> None:
        """Masters stay within [-1, 1]."""
        for site in sites.values():
            site.weight.clamp_(-1, 1)


@dataclass(frozen=True)
class Xnor(Scheme):
    """XNOR-Net's binary weights; with `BinaryActivations` its inputs too."""

    scale: Scale = "pow2"

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, ("pow2", "real"))

    @property
    def name(self) -> str:
        """xnor, or bwn where activations are not binary."""
        return "xnor" if isinstance(self.activations, BinaryActivations) else "bwn"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return BinaryQuantiser(self, name, mean=True, pow2=self.scale == "pow2")

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)
