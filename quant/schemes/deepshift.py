"""DeepShift-Q and DeepShift-PS (Elhoushi et al., CVPR Workshops 2021): powers of two without scale.

b bits hold a sign and 2**(b-1) - 1 exponents -(2**(b-1) - 2) .. 0. Q rounds master weights:
sign(w) * 2**round(log2 |w|), exponents clipped at both ends, so that only w = 0 is 0; the gradient
passes straight through. PS trains the exponent P and the sign S themselves, both as real numbers:
w = sign(round(S)) * 2**round(P), where -1/2 <= S <= 1/2 is the weight 0. With g the gradient at w,
P gets g * w * ln 2, and S gets g itself, not g * 2**P (the published code's choice).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.graph.types import ShiftFormat, WeightFormat
from shiftforge.quant.schemes.base import Scheme, Sites, WeightQuantiser
from shiftforge.quant.schemes.levels import ScaledIntegers, Through, check_choice
from shiftforge.quant.schemes.shift import two_terms

__all__ = ["DeepShift", "DeepShiftPs", "DeepShiftQ"]


def _power(exponent: torch.Tensor) -> torch.Tensor:
    return torch.ldexp(torch.ones_like(exponent), exponent.to(torch.int32))


class _Unscaled(ScaledIntegers):
    """Integers 2**(p - lowest), the scale 2**lowest."""

    def __init__(self, scheme: DeepShift, layer: str) -> None:
        self.lowest = 2 - (1 << (scheme.bits - 1))
        fmt: WeightFormat | str = ShiftFormat(4, 1, "S1")
        if scheme.bits > 4:
            fmt = f"{1 - self.lowest} exponents: the shift array's four bits hold 7"
        super().__init__(scheme, layer, fmt, scheme.bits)

    def integer_levels(self) -> NDArray[np.int64]:
        """0 and +-2**e, 0 <= e < 2**(b-1) - 1."""
        powers = 2 ** np.arange(1 - self.lowest, dtype=np.int64)
        return np.concatenate([-powers[::-1], [0], powers])

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """2**lowest."""
        return weight.new_tensor(2.0**self.lowest)


class DeepShiftQ(_Unscaled):
    """Rounded masters."""

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """sign(w) * 2**(p - lowest)."""
        exponent = torch.round(torch.log2(weight.abs())).clamp(self.lowest, 0)
        return torch.sign(weight) * _power(exponent - self.lowest)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The level, straight through."""
        value = self.integers(weight) * self.scale(weight)
        found: torch.Tensor = Through.apply(weight, value)  # type: ignore[no-untyped-call]
        return found


class _SignedPower(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, exponent: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        value = torch.sign(torch.round(sign)) * _power(torch.round(exponent))
        ctx.save_for_backward(value)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (value,) = ctx.saved_tensors
        return grads[0] * value * math.log(2), grads[0]


class DeepShiftPs(_Unscaled):
    """shift, sign: the parameters, of the weight's shape; the masters get no gradient."""

    def __init__(self, scheme: DeepShift, layer: str, weight: torch.Tensor) -> None:
        super().__init__(scheme, layer)
        size = weight.detach().abs().clamp(min=2.0 ** (self.lowest - 1))
        self.shift = nn.Parameter(torch.log2(size).clamp(self.lowest, 0))
        # +-1 stands well inside its rounding cell; weights that Q would round below the lowest
        # exponent start at 0.
        sign = torch.sign(weight.detach())
        small = weight.detach().abs() < 2.0 ** (self.lowest - 0.5)
        self.sign = nn.Parameter(torch.where(small, 0.0, sign))

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """sign * 2**(p - lowest)."""
        exponent = torch.round(self.shift).clamp(self.lowest, 0)
        return torch.sign(torch.round(self.sign)) * _power(exponent - self.lowest)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """sign * 2**p; the masters only give the shape."""
        found: torch.Tensor = _SignedPower.apply(  # type: ignore[no-untyped-call]
            self.shift.clamp(self.lowest, 0), self.sign
        )
        return found

    @torch.no_grad()
    def masters(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights that the parameters stand for."""
        return self(weight)  # type: ignore[no-any-return]

    @torch.no_grad()
    def clamp(self) -> None:
        """Exponents and signs back into their ranges."""
        self.shift.clamp_(self.lowest, 0)
        self.sign.clamp_(-1, 1)


@dataclass(frozen=True)
class DeepShift(Scheme):
    """variant: "Q" or "PS". bits: 2..5; 5 in the paper."""

    bits: int = 5
    variant: str = "Q"

    def __post_init__(self) -> None:
        check_choice("DeepShift weights of bits", self.bits, (2, 3, 4, 5))
        check_choice("DeepShift variant", self.variant, ("Q", "PS"))

    @property
    def name(self) -> str:
        """Such as "deepshift-q5"."""
        return f"deepshift-{self.variant.lower()}{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        if self.variant == "Q":
            return DeepShiftQ(self, name)
        return DeepShiftPs(self, name, weight)

    def after_step(self, sites: Sites) -> None:
        """PS: parameters back into their ranges."""
        for site in sites.values():
            if isinstance(site.quantiser, DeepShiftPs):
                site.quantiser.clamp()

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)
