"""TWN: ternary weight networks (Li, Zhang and Liu, 2016).

Delta = 0.7 E|W|; w is alpha * sign(w) where |w| > Delta and 0 elsewhere, with alpha the mean |w|
above Delta. The gradient passes straight through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.schemes.base import Scheme, WeightQuantiser
from shiftforge.quant.schemes.levels import (
    Granularity,
    Scale,
    ScaledIntegers,
    Through,
    by_channel,
    check_choice,
    power_of_two,
)
from shiftforge.quant.schemes.shift import two_terms

__all__ = ["Twn", "TwnQuantiser"]

_SHARE = 0.7


class TwnQuantiser(ScaledIntegers):
    """No state: Delta and alpha follow the masters."""

    def __init__(self, scheme: Twn, layer: str) -> None:
        super().__init__(scheme, layer, ShiftFormat(3, 1, "S1"), 2)
        self.scale_kind, self.granularity = scheme.scale, scheme.granularity

    def integer_levels(self) -> NDArray[np.int64]:
        """-1, 0, 1."""
        return np.array([-1, 0, 1], dtype=np.int64)

    def _rows(self, weight: torch.Tensor) -> torch.Tensor:
        return (
            weight.abs().flatten(1)
            if self.granularity == "channel"
            else weight.abs().reshape(1, -1)
        )

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """alpha, rounded to the nearest power of two (of its logarithm) where asked for."""
        rows = self._rows(weight)
        above = rows > _SHARE * rows.mean(1, keepdim=True)
        alpha = (rows * above).sum(1) / above.sum(1).clamp(min=1)
        alpha = torch.where(alpha > 0, alpha, 1.0)  # a row of zeros takes any scale
        if self.scale_kind == "pow2":
            alpha = power_of_two(torch.log2(alpha))
        return by_channel(alpha, weight)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """sign(w) above Delta."""
        delta = _SHARE * by_channel(self._rows(weight).mean(1), weight)
        return torch.sign(weight) * (weight.abs() > delta)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The level, straight through."""
        value = self.integers(weight) * self.scale(weight)
        found: torch.Tensor = Through.apply(weight, value)  # type: ignore[no-untyped-call]
        return found

    def shifts_per_weight(self, weight: torch.Tensor) -> float:
        """None: weights are signs."""
        return 0.0


@dataclass(frozen=True)
class Twn(Scheme):
    """The paper's Delta and alpha are a layer's; alpha is real there."""

    scale: Scale = "pow2"
    granularity: Granularity = "channel"

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, ("pow2", "real"))
        check_choice("granularity", self.granularity, ("channel", "layer"))

    @property
    def name(self) -> str:
        """twn"""
        return "twn"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return TwnQuantiser(self, name)

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)
