"""DoReFa weights (Zhou et al., 2016).

k > 1 bits (Eq. 9): w = 2 q_k(tanh(w) / (2 max|tanh w|) + 1/2) - 1, with
q_k(x) = round((2**k - 1) x) / (2**k - 1): the odd multiples of 1/(2**k - 1) in [-1, 1], no zero.
k = 1 (Eq. 7): sign(w) * E|w| of the layer. Rounding passes gradients straight through; tanh and its
largest value have their own, as automatic differentiation gives them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.schemes.activations import PactActivations
from shiftforge.quant.schemes.base import Scheme, WeightQuantiser
from shiftforge.quant.schemes.levels import ScaledIntegers, Through, check_choice

__all__ = ["Dorefa", "DorefaQuantiser"]

_REASON = (
    "DoReFa's levels are odd multiples of 1/(2**k - 1), and its range follows the layer's largest "
    "weight: neither is a power of two"
)


class DorefaQuantiser(ScaledIntegers):
    """No state."""

    def __init__(self, scheme: Dorefa, layer: str) -> None:
        super().__init__(scheme, layer, _REASON, scheme.bits)
        self.top = (1 << scheme.bits) - 1

    def integer_levels(self) -> NDArray[np.int64]:
        """The odd integers from -(2**k - 1) to 2**k - 1."""
        return np.arange(-self.top, self.top + 1, 2, dtype=np.int64)

    def _unit(self, weight: torch.Tensor) -> torch.Tensor:
        """tanh(w) over its largest magnitude, in [-1, 1]."""
        squashed = torch.tanh(weight)
        return squashed / squashed.abs().max().clamp(min=1e-12)

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """1 / (2**k - 1); the layer's mean magnitude for one bit."""
        if self.top == 1:
            return weight.abs().mean()
        return weight.new_tensor(1.0 / self.top)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """2 round((2**k - 1) x) - (2**k - 1)."""
        if self.top == 1:
            return torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
        return 2 * torch.round(self.top * (self._unit(weight) / 2 + 0.5)) - self.top

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The levels; k = 1 passes the gradient to the masters unchanged."""
        value = self.integers(weight) * self.scale(weight)
        master = weight if self.top == 1 else self._unit(weight)
        found: torch.Tensor = Through.apply(master, value)  # type: ignore[no-untyped-call]
        return found

    def adds_per_weight(self, weight: torch.Tensor) -> float:
        """Rows of an array multiplier: one for each magnitude bit."""
        return float(max(1, self.stored_bits))


@dataclass(frozen=True)
class Dorefa(Scheme):
    """bits: 1..8."""

    bits: int = 4

    def __post_init__(self) -> None:
        check_choice("DoReFa weights of bits", self.bits, tuple(range(1, 9)))

    @property
    def name(self) -> str:
        """Such as "dorefa4"; "pact4" with PACT's activations."""
        pact = isinstance(self.activations, PactActivations)
        return f"{'pact' if pact else 'dorefa'}{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return DorefaQuantiser(self, name)
