"""APoT: additive powers of two (Li, Dong and Wang, ICLR 2020), weights standardised first.

b bits: a sign and sums of one element of each of these sets (n = b - 1 magnitude bits), normalised
to a largest value of 1 and multiplied by a learned clip alpha:

    n = 2:  {0, 2**-1, 2**-2, 2**-3}
    n = 3:  {0, 2**-1, 2**-2, 2**-4} + {0, 2**-3}
    n = 4:  {0, 2**-1, 2**-3, 2**-5} + {0, 2**-2, 2**-4, 2**-6}
    n = 5:  {0, 2**-1, 2**-3, 2**-6} + {0, 2**-2, 2**-4, 2**-7} + {0, 2**-5}

Weights are standardised ((w - mean) / std of the layer) before, without which three bits collapse.
The paper leaves the layer's scale to the batch norm behind it; here the standard deviation is
multiplied back, so that layers without batch norm and a trained float start keep their size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.graph.types import IntFormat, ShiftFormat, WeightFormat
from shiftforge.quant.schemes.base import Scheme, WeightQuantiser
from shiftforge.quant.schemes.levels import (
    Scale,
    ScaledIntegers,
    check_choice,
    nearest,
    power_of_two,
)
from shiftforge.quant.schemes.shift import two_terms

__all__ = ["Apot", "ApotQuantiser", "apot_magnitudes"]

# Exponents below 0 of each additive set, and the one of the smallest power: the unit.
_SETS: dict[int, tuple[tuple[tuple[int, ...], ...], int]] = {
    2: (((1, 2, 3),), 3),
    3: (((1, 2, 4), (3,)), 4),
    4: (((1, 3, 5), (2, 4, 6)), 6),
    5: (((1, 3, 6), (2, 4, 7), (5,)), 7),
}


def apot_magnitudes(bits: int) -> NDArray[np.int64]:
    """Magnitudes of b-bit APoT weights in units of the smallest power, ascending from 0."""
    check_choice("APoT weights of bits", bits, (3, 4, 5, 6))
    sets, unit = _SETS[bits - 1]
    choices = [(0, *(1 << (unit - e) for e in own)) for own in sets]
    return np.unique([sum(chosen) for chosen in product(*choices)]).astype(np.int64)


class ApotQuantiser(ScaledIntegers):
    """alpha: the clip in standard deviations, a parameter (0-d)."""

    magnitudes: torch.Tensor

    def __init__(self, scheme: Apot, layer: str) -> None:
        # Six bits have sums of three terms: they fit the integer format, not the shift array.
        fmt: WeightFormat = IntFormat(8) if scheme.bits == 6 else ShiftFormat(4, 2, "S2")
        super().__init__(scheme, layer, fmt, scheme.bits)
        self.scale_kind = scheme.scale
        self.ints = apot_magnitudes(scheme.bits)
        self.register_buffer("magnitudes", torch.from_numpy(self.ints).float())
        self.alpha = nn.Parameter(torch.tensor(scheme.alpha))

    def integer_levels(self) -> NDArray[np.int64]:
        """Both signs of the magnitudes."""
        return np.concatenate([-self.ints[:0:-1], self.ints])

    def _parts(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights less their mean, and the integer 1's value; the layer's moments constant."""
        mean, deviation = weight.detach().mean(), weight.detach().std(correction=0)
        unit = self.alpha.abs() * deviation.clamp(min=1e-12) / float(self.ints[-1])
        if self.scale_kind == "pow2":
            unit = power_of_two(torch.log2(unit))
        return weight - mean, unit

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """The clip over the largest integer."""
        return self._parts(weight)[1].reshape(1)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """The nearest levels; beyond the clip the outermost."""
        centred, unit = self._parts(weight)
        return nearest(centred / unit, self.magnitudes)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Reparameterised clipping (Eq. 6-7): d/dalpha is the level less the weight, or its sign.

        Weights beyond the clip keep their gradient, as in the published code.
        """
        centred, unit = self._parts(weight)
        top = float(self.ints[-1])
        clipped = (centred.detach() / unit).clamp(-top, top)
        # Exactly integers * unit; the brackets carry the gradients to alpha and to the weights.
        result = (self.integers(weight) + (clipped - clipped.detach())) * unit
        return result + (centred - centred.detach())


@dataclass(frozen=True)
class Apot(Scheme):
    """bits: 3..6. alpha: the first clip, in standard deviations. scale: with "pow2" the clip is
    rounded so that the smallest power has a power-of-two value, which the shift array needs.
    """

    bits: int = 4
    scale: Scale = "pow2"
    alpha: float = 3.0

    def __post_init__(self) -> None:
        apot_magnitudes(self.bits)
        check_choice("scale", self.scale, ("pow2", "real"))

    @property
    def name(self) -> str:
        """Such as "apot4"."""
        return f"apot{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return ApotQuantiser(self, name)

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)
