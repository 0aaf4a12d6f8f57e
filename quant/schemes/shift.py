"""Weights that are sums of one or two powers of two, every weight alike.

b bits hold a sign and E = 2**(b-1) - 1 exponents, and zero. (The paper's Eq. 1 lists 2**b + 1
values, which do not fit b bits.) Weights are counted in units of the channel's scale: a term is
+-2**e with 0 <= e < E, the second one that of the residual. Plain straight-through training of
shift weights, and LightNN (Ding et al., GLSVLSI 2017) with k = 1 or 2 terms and log rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import ShiftFormat, WeightFormat
from shiftforge.quant.schemes.base import Scheme, Sites, WeightQuantiser
from shiftforge.quant.schemes.ewgs import GradientScale
from shiftforge.quant.schemes.levels import (
    Granularity,
    Scale,
    ScaledIntegers,
    best_scale,
    by_channel,
    check_choice,
    nearest,
)

__all__ = [
    "Gradient",
    "Rounding",
    "Shift",
    "ShiftQuantiser",
    "shift_format",
    "shift_levels",
    "two_terms",
]

Rounding: TypeAlias = Literal["linear", "log"]
Gradient: TypeAlias = Literal["ste", "ewgs", "fisher", "hessian"]


def shift_levels(bits: int, terms: int) -> NDArray[np.int64]:
    """Sums of at most `terms` (1 or 2) of +-2**e, 0 <= e < 2**(bits-1) - 1, ascending."""
    check_choice("shift weights of bits", bits, (2, 3, 4, 5))
    check_choice("shift weights of terms", terms, (1, 2))
    return _levels(bits, terms).copy()


@cache
def _levels(bits: int, terms: int) -> NDArray[np.int64]:
    powers = 2 ** np.arange((1 << (bits - 1)) - 1, dtype=np.int64)
    one = np.concatenate([-powers, [0], powers])
    if terms == 1:
        return np.sort(one)
    # The second exponent is below the first: the sum 2 * 2**(E-1) does not exist.
    apart = np.abs(one[:, None]) > np.abs(one[None, :])
    return np.unique(np.concatenate([[0], (one[:, None] + one[None, :])[apart]]))


def shift_format(bits: int, terms: int, mode: Literal["S1", "S2", "SEL"]) -> WeightFormat | str:
    """The shift array's format, or why it has none."""
    if bits in (3, 4):
        return ShiftFormat(bits, terms, mode)
    return f"the shift array decodes 3 or 4 bits a term, not {bits}"


class ShiftQuantiser(ScaledIntegers):
    """One layer of shift weights; the scale, a buffer, may be chosen again every epoch."""

    magnitudes: torch.Tensor
    channel_scale: torch.Tensor
    least: torch.Tensor

    def __init__(
        self,
        scheme: Shift,
        layer: str,
        weight: torch.Tensor,
        fmt: WeightFormat | str,
    ) -> None:
        super().__init__(scheme, layer, fmt, scheme.bits * scheme.terms)
        self.bits, self.terms_most = scheme.bits, scheme.terms
        self.rounding, self.scale_kind = scheme.rounding, scheme.scale
        self.granularity = scheme.granularity
        self.gradient = GradientScale(
            0.0 if scheme.gradient == "ste" else scheme.delta,
            scheme.gradient if scheme.gradient in ("fisher", "hessian") else "no",
            scheme.samples,
        )
        exponents = (1 << (scheme.bits - 1)) - 1
        powers = torch.ldexp(torch.ones(exponents), torch.arange(exponents))
        self.register_buffer("magnitudes", torch.cat([torch.zeros(1), powers]))
        self.register_buffer("least", torch.zeros(1))
        self.register_buffer("channel_scale", self._searched(weight))

    def _searched(self, weight: torch.Tensor) -> torch.Tensor:
        found = best_scale(weight, self.integer_levels(), self.scale_kind, self.granularity)
        return torch.maximum(found, self.least.max() if found.numel() == 1 else self.least)

    @torch.no_grad()
    def limit_scale(self, least: torch.Tensor) -> None:
        """Now and whenever scales are chosen again."""
        self.least = least.to(self.channel_scale)
        bound = self.least.max() if self.channel_scale.numel() == 1 else self.least
        self.channel_scale.copy_(torch.maximum(self.channel_scale, bound))

    @torch.no_grad()
    def rescale(self, weight: torch.Tensor) -> None:
        """Choose the scales of least squared error again."""
        self.channel_scale.copy_(self._searched(weight))

    @torch.no_grad()
    def take_exponents(self, z: NDArray[np.integer]) -> None:
        """Scales 2**z (O,) from elsewhere; `rescale` would choose others again."""
        if self.granularity == "channel":
            found = np.ldexp(np.ones(len(z), np.float32), z.astype(np.int64))
            self.channel_scale.copy_(torch.from_numpy(found))

    def integer_levels(self) -> NDArray[np.int64]:
        """As `shift_levels`."""
        return shift_levels(self.bits, self.terms_most)

    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """(O, 1, ...) or (1, 1, ...)."""
        return by_channel(self.channel_scale, weight)

    def split(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both terms (the paper's Eq. 2-5 and 7) of weights in units of the scale.

        The second is that of the residual, without any selection; 0 where there is but one.
        "linear" takes the nearest level (ties to the smaller magnitude), "log" rounds log2 |v|,
        keeping the second exponent below the first.
        """
        if self.rounding == "linear":
            first = nearest(v, self.magnitudes)
            if self.terms_most == 1:
                return first, torch.zeros_like(v)
            second = nearest(v - first, self.magnitudes)
            # Binding only beyond the largest level: two equal terms are no code of the format.
            most = torch.floor(first.abs() / 2)
            return first, torch.maximum(torch.minimum(second, most), -most)
        top = torch.full_like(v, float(self.magnitudes.numel() - 2))
        first, exponent = _log_term(v, top)
        if self.terms_most == 1:
            return first, torch.zeros_like(v)
        second, _ = _log_term(v - first, exponent - 1)
        return first, torch.where(first == 0, 0.0, second)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """Both terms' sum."""
        first, second = self.split(weight / self.scale(weight))
        return first + second

    def span(self, weight: torch.Tensor) -> torch.Tensor:
        """Distance of the outermost levels in real values, broadcastable."""
        return 2.0 * float(self.integer_levels()[-1]) * self.scale(weight)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The levels, with the straight-through or the EWGS gradient."""
        value = self.integers(weight) * self.scale(weight)
        found: torch.Tensor = self.gradient(weight, value, self.span(weight))
        return found

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """The gradient's scale; the channels' scales are those of the folded weights."""
        if isinstance(trained, ShiftQuantiser):
            self.gradient.load_state_dict(trained.gradient.state_dict())


def _log_term(v: torch.Tensor, top: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """sign(v) 2**round(log2 |v|), the exponent at most top; 0 below exponent 0 (Eq. 2-4)."""
    exponent = torch.round(torch.log2(v.abs()))
    alive = (exponent >= 0) & (top >= 0)
    clipped = torch.minimum(torch.where(alive, exponent, 0.0), top.clamp(min=0))
    power = torch.ldexp(torch.ones_like(v), clipped.to(torch.int32))
    return torch.where(alive, torch.copysign(power, v), 0.0), clipped


@dataclass(frozen=True)
class Shift(Scheme):
    """Shift weights with a fixed number of terms; LightNN-k with ``rounding="log"``.

    bits: 2..5 a term (the shift array takes 3 and 4). terms: 1 or 2. scale: power of two or real;
    of least squared error a channel or a layer, chosen again before every epoch (`rescale`).
    gradient: "ste"; "ewgs" with the fixed delta; adaptive delta by "fisher" or "hessian".
    samples: training batch size, for "fisher". omega: lambda of Omega = sum over layers of
    ||W - stopgrad(Wq)||**2, which draws the masters to their levels; 0 for none.
    """

    bits: int = 4
    terms: int = 1
    rounding: Rounding = "linear"
    scale: Scale = "pow2"
    granularity: Granularity = "channel"
    gradient: Gradient = "ste"
    delta: float = 1e-3
    samples: int = 128
    rescale: bool = True
    omega: float = 0.0

    def __post_init__(self) -> None:
        shift_levels(self.bits, self.terms)
        check_choice("rounding", self.rounding, ("linear", "log"))
        check_choice("scale", self.scale, ("pow2", "real"))
        check_choice("granularity", self.granularity, ("channel", "layer"))
        check_choice("gradient", self.gradient, ("ste", "ewgs", "fisher", "hessian"))
        if not self.omega >= 0:
            raise InputError(Problem(f"omega {self.omega}", "give 0 or more"))

    @property
    def name(self) -> str:
        """Such as "shift4x1"; "lightnn4x2" for log rounding."""
        return f"{'shift' if self.rounding == 'linear' else 'lightnn'}{self.bits}x{self.terms}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        mode: Literal["S1", "S2"] = "S1" if self.terms == 1 else "S2"
        return ShiftQuantiser(self, name, weight, shift_format(self.bits, self.terms, mode))

    def penalty(self, sites: Sites) -> torch.Tensor | None:
        """lambda * Omega."""
        if not self.omega or not sites:
            return None
        parts = []
        for site in sites.values():
            parts.append((site.weight - site.quantised.detach()).square().sum())
        return self.omega * torch.stack(parts).sum()

    def at_epoch(self, sites: Sites, epoch: int, epochs: int) -> None:
        """New scales, and the cheap form's delta."""
        del epoch, epochs
        for site in sites.values():
            if isinstance(site.quantiser, ShiftQuantiser):
                if self.rescale:
                    site.quantiser.rescale(site.weight)
                site.quantiser.gradient.adapt()

    def wide(self) -> Scheme | None:
        """Two terms of the same bits for every weight."""
        return Shift(
            self.bits, 2, self.rounding, self.scale, self.granularity, activations=self.activations
        )


def two_terms(scheme: Scheme) -> Scheme:
    """Two SHIFT4 terms for every weight: what the first and last layers of a network take whose
    others need no multiplier either.
    """
    return Shift(4, 2, activations=scheme.activations)
