"""INQ: incremental network quantisation (Zhou et al., ICLR 2017).

Levels of a layer with largest magnitude s, at b bits: 0 and +-2**n1 .. +-2**n2 with
n1 = floor(log2(4 s / 3)) and n2 = n1 + 1 - 2**(b-2); one of the b bits says zero. Rounding (Eq. 4)
is to the linearly nearest level. In phases the largest weights are fixed at their levels and the
others trained on: 30, 60, 80 and 100 % of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import ShiftFormat, WeightFormat
from shiftforge.quant.schemes.base import Scheme, Sites, WeightQuantiser
from shiftforge.quant.schemes.levels import ScaledIntegers, check_choice, nearest
from shiftforge.quant.schemes.shift import two_terms

__all__ = ["Inq", "InqQuantiser", "portion_at"]


def portion_at(portions: tuple[float, ...], epoch: int, epochs: int) -> float:
    """Share of weights fixed during an epoch (from 0): equal phases, all of it in the last."""
    return portions[math.ceil((epoch + 1) * len(portions) / epochs) - 1]


class InqQuantiser(ScaledIntegers):
    """Buffers: the largest exponent n1, which weights are fixed, and their values."""

    top: torch.Tensor
    fixed: torch.Tensor
    values: torch.Tensor
    magnitudes: torch.Tensor

    def __init__(self, scheme: Inq, layer: str, weight: torch.Tensor) -> None:
        self.count = 1 << (scheme.bits - 2)
        fmt: WeightFormat | str = ShiftFormat(4, 1, "S1")
        if self.count > 7:
            fmt = f"{self.count} exponents: the shift array's four bits hold 7"
        super().__init__(scheme, layer, fmt, scheme.bits)
        peak = float(weight.detach().abs().max()) or 1.0
        self.register_buffer("top", torch.tensor(math.floor(math.log2(4 * peak / 3))))
        self.register_buffer("fixed", torch.zeros_like(weight, dtype=torch.bool))
        self.register_buffer("values", torch.zeros_like(weight))
        powers = torch.ldexp(torch.ones(self.count), torch.arange(self.count))
        self.register_buffer("magnitudes", torch.cat([torch.zeros(1), powers]))

    def integer_levels(self) -> NDArray[np.int64]:
        """0 and +-2**e, 0 <= e < 2**(b-2)."""
        powers = 2 ** np.arange(self.count, dtype=np.int64)
        return np.concatenate([-powers[::-1], [0], powers])

    @torch.no_grad()
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """2**n2."""
        return torch.ldexp(torch.ones((), device=weight.device), self.top + 1 - self.count)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """Those fixed, and the nearest levels of the others."""
        scale = self.scale(weight)
        held = torch.where(self.fixed, self.values, weight)
        return nearest(held / scale, self.magnitudes)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Fixed weights at their levels, without gradient; the others as they are."""
        return torch.where(self.fixed, self.values, weight)

    @torch.no_grad()
    def fix(self, weight: torch.Tensor, portion: float) -> None:
        """Fix the largest of the weights still trained, until `portion` of all are fixed."""
        wanted = math.floor(portion * weight.numel() + 0.5)
        size = torch.where(self.fixed, torch.inf, weight.abs()).flatten()
        chosen = size.argsort(descending=True, stable=True)[:wanted]
        mask = self.fixed.flatten().clone()
        mask[chosen] = True
        fresh = mask.view_as(self.fixed) & ~self.fixed
        levels = nearest(weight / self.scale(weight), self.magnitudes) * self.scale(weight)
        self.values.copy_(torch.where(fresh, levels, self.values))
        self.fixed |= fresh

    @torch.no_grad()
    def masters(self, weight: torch.Tensor) -> torch.Tensor:
        """Fixed values, and the masters of the others."""
        return torch.where(self.fixed, self.values, weight)

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """As many weights fixed."""
        if isinstance(trained, InqQuantiser):
            self.fix(weight, float(trained.fixed.double().mean()))


@dataclass(frozen=True)
class Inq(Scheme):
    """bits: 3..5 (4: four exponents; the paper's 5: eight). portions: fixed in each phase."""

    bits: int = 5
    portions: tuple[float, ...] = (0.3, 0.6, 0.8, 1.0)

    def __post_init__(self) -> None:
        check_choice("INQ weights of bits", self.bits, (3, 4, 5))
        ordered = list(self.portions) == sorted(self.portions)
        if not self.portions or not ordered or self.portions[0] < 0 or self.portions[-1] != 1:
            raise InputError(Problem(f"portions {self.portions}", "give rising shares up to 1"))

    @property
    def name(self) -> str:
        """Such as "inq5"."""
        return f"inq{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return InqQuantiser(self, name, weight.detach())

    def at_epoch(self, sites: Sites, epoch: int, epochs: int) -> None:
        """Fix this phase's portion."""
        portion = portion_at(self.portions, epoch, epochs)
        for site in sites.values():
            if isinstance(site.quantiser, InqQuantiser):
                site.quantiser.fix(site.weight, portion)

    def wide(self) -> Scheme | None:
        """Two shift terms."""
        return two_terms(self)
