"""DTSSQ: differentiable-threshold selective shift quantisation, after "Hardware acceleration method
for lightweight convolutional neural networks", Computer Engineering and Design, 2024(3).

Three groups of weights: two terms, one term, zero. In units v = W / 2**z of the channel's scale:

    first    Quant(v)                         Eq. 2-4 (log rounding), or the linearly nearest level
    residual R = v - Quant(v)                 Eq. 5
    mask     T = 1[R**2 > t]                  Eq. 6, squared: the form that Eq. 13 is derived from
    weight   Wq = Quant(v) + Quant(R * T)     Eq. 7
    penalty  Omega = sum over layers of ||W - stopgrad(Wq)||**2, times lambda   Eq. 8-9
    gradient g_W by EWGS                      Eq. 11 (see `ewgs`)
             dL/dt = sum g_Wq * Quant(R) * dm/dt, t = c softplus(theta)         Eq. 12-13 (`relax`)

Left alone, the loss has little against second terms, which only ever make the error smaller. What
they cost enters as a budget: the share of second terms in all layers of the scheme together falls
over the epochs to `target`; whenever more stand, all thresholds grow by one common factor, so that
the layers' thresholds keep the ratios that they have learned. That factor is c, no parameter; theta
is learned and stays of the order of 1, whatever the budget. Its gradient is multiplied by
`threshold_rate`: the learning rates that suit trained weights, which need to move by a fraction of
a rounding cell, would leave thresholds where they start. (An optimiser that normalises gradients,
such as Adam, takes no notice of that factor.)

A layer is stored as first terms, a mask and packed second terms: b + 1 + b f bits a weight for a
share f of second terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.schemes.base import Scheme, Site, Sites, WeightQuantiser
from shiftforge.quant.schemes.levels import check_choice, scaled_gradient
from shiftforge.quant.schemes.relax import LEAST, inverse_softplus, soft_mask, tightening
from shiftforge.quant.schemes.shift import Shift, ShiftQuantiser, shift_format

__all__ = ["DTSSQ", "DtssqQuantiser", "budget_at"]

# Common drift of the logarithms of softplus(theta) that is left alone.
_DRIFT = 0.1


def budget_at(epoch: int, epochs: int, target: float, anneal: float) -> float:
    """Allowed share of second terms in an epoch (from 0): half a cosine from 1 to target.

    It ends in epoch anneal * epochs (rounded up), in any case in the last one.
    """
    length = max(1, math.ceil(anneal * epochs))
    progress = min(1.0, (epoch + 1) / length)
    return target + (1 - target) * 0.5 * (1 + math.cos(math.pi * progress))


class DtssqQuantiser(ShiftQuantiser):
    """One layer: theta is the threshold's parameter (a buffer where it is not learned)."""

    theta: torch.Tensor
    unit: torch.Tensor
    budget: torch.Tensor

    def __init__(self, scheme: DTSSQ, layer: str, weight: torch.Tensor) -> None:
        super().__init__(scheme, layer, weight, shift_format(scheme.bits, 2, "SEL"))
        self.tau = scheme.tau
        self.rate = scheme.threshold_rate
        theta = torch.tensor(inverse_softplus(1.0))
        if scheme.threshold == "learned":
            self.theta = nn.Parameter(theta)
        else:
            self.register_buffer("theta", theta)
        # c: the threshold at softplus(theta) = 1.
        self.register_buffer("unit", torch.tensor(max(scheme.threshold_start, LEAST)))
        # The share of second terms allowed now; above 1 for no limit.
        self.register_buffer("budget", torch.tensor(2.0))
        # Steps since the epoch began; not state: training resumes between epochs.
        self.steps = 0

    def threshold(self) -> torch.Tensor:
        """t, 0-d, in squared units of the smallest magnitude, at least `LEAST`."""
        return (self.unit * functional.softplus(self.theta.detach())).clamp(min=LEAST)

    @torch.no_grad()
    def parts(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """First terms, second terms before selection, and squared residuals, in units."""
        v = weight / self.scale(weight)
        first, second = self.split(v)
        return first, second, (v - first).square()

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """Eq. 7."""
        first, second, square = self.parts(weight)
        return first + second * (square > self.threshold())

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Wq, with EWGS (or plain) gradients to W and the relaxed mask's gradient to theta."""
        first, second, square = self.parts(weight)
        scale = self.scale(weight)
        value = (first + second * (square > self.threshold())) * scale
        result: torch.Tensor = self.gradient(weight, value, self.span(weight))
        if self.theta.requires_grad and torch.is_grad_enabled():
            mask = soft_mask(square, scaled_gradient(self.theta, self.rate), self.unit, self.tau)
            result = result + scale * second * (mask - mask.detach())  # exactly 0
        return result

    def relaxed(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights with the relaxed mask: the objective whose gradient theta descends."""
        first, second, square = self.parts(weight)
        return (first + second * soft_mask(square, self.theta, self.unit, self.tau)) * self.scale(
            weight
        )

    @torch.no_grad()
    def second_fraction(self, weight: torch.Tensor) -> float:
        """Share of weights with two terms."""
        _, second, square = self.parts(weight)
        return float(((second != 0) & (square > self.threshold())).double().mean())

    def bits_per_weight(self, weight: torch.Tensor) -> float:
        """b + 1 + b f: first terms, mask, packed second terms."""
        return self.bits + 1 + self.bits * self.second_fraction(weight)

    @torch.no_grad()
    def ratios(self, weight: torch.Tensor) -> torch.Tensor:
        """Squared residuals over the threshold, of the weights that a second term would change."""
        _, second, square = self.parts(weight)
        return square[second != 0] / self.threshold()

    @torch.no_grad()
    def grow_threshold(self, factor: float) -> None:
        """t times a factor: c grows, theta stays."""
        self.unit.mul_(factor)

    @torch.no_grad()
    def move_unit(self, factor: float) -> None:
        """c times a factor and softplus(theta) over it: the same threshold."""
        self.unit.mul_(factor)
        self.theta.fill_(inverse_softplus(float(functional.softplus(self.theta)) / factor))

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep t where a second term can help, and below the largest residual there is."""
        most, unit = float(self.magnitudes[-1]) ** 2, float(self.unit)
        self.theta.clamp_(inverse_softplus(LEAST / unit), inverse_softplus(most / unit))

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """Threshold, budget and gradient scale, which do not depend on the channels' scales."""
        super().follow(trained, weight)
        if isinstance(trained, DtssqQuantiser):
            with torch.no_grad():
                self.theta.copy_(trained.theta)
                self.unit.copy_(trained.unit)
                self.budget.copy_(trained.budget)


@dataclass(frozen=True)
class DTSSQ(Shift):
    """The paper's scheme; see the module. Options for its ablation are options here.

    terms: 2, always. gradient, delta, scale, rounding: as in `Shift`. threshold: "learned" or
    "fixed" (one value for all layers, moved by the budget alone). threshold_start: t at the start,
    in squared units of the smallest magnitude (1/4: every second term that helps). tau: width of
    the relaxed mask as a share of t. threshold_rate: factor of theta's gradient. omega: lambda of
    Omega, 0 for none. target: share of second terms at the end, over all layers of the scheme
    together; None for no limit. anneal: share of the epochs in which the limit falls. every: steps
    between two checks of the limit.
    """

    terms: int = 2
    gradient: Literal["ste", "ewgs", "fisher", "hessian"] = "ewgs"
    threshold: Literal["learned", "fixed"] = "learned"
    threshold_start: float = LEAST
    tau: float = 0.5
    threshold_rate: float = 100.0
    omega: float = 1e-4
    target: float | None = 0.5
    anneal: float = 0.5
    every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("DTSSQ with terms", self.terms, (2,))
        check_choice("threshold", self.threshold, ("learned", "fixed"))
        problems = [
            Problem(f"{what} {given}", remedy)
            for what, given, good, remedy in (
                ("tau", self.tau, self.tau > 0, "give a width above 0"),
                (
                    "threshold_rate",
                    self.threshold_rate,
                    self.threshold_rate >= 0,
                    "give 0 or more",
                ),
                ("omega", self.omega, self.omega >= 0, "give 0 or more"),
                ("anneal", self.anneal, 0 < self.anneal <= 1, "give a share of the epochs"),
                ("every", self.every, self.every >= 1, "check every step or less often"),
                (
                    "target",
                    self.target,
                    self.target is None or 0 <= self.target <= 1,
                    "give a share of the weights, 0 to 1",
                ),
            )
            if not good
        ]
        if problems:
            raise InputError(problems)

    @property
    def name(self) -> str:
        """Such as "dtssq4"."""
        return f"dtssq{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return DtssqQuantiser(self, name, weight)

    def penalty(self, sites: Sites) -> torch.Tensor | None:
        """lambda * Omega."""
        if not self.omega or not sites:
            return None
        parts = []
        for site in sites.values():
            with torch.no_grad():
                quantised = site.quantiser(site.weight)
            parts.append((site.weight - quantised).square().sum())
        return self.omega * torch.stack(parts).sum()

    def after_step(self, sites: Sites) -> None:
        """Thresholds back into their range; every so often the limit, and delta's cheap form."""
        own = _own(sites)
        for _, quantiser in own:
            quantiser.clamp()
            quantiser.steps += 1
        if own and own[0][1].steps % self.every == 0:
            self._tighten(own)
            for _, quantiser in own:
                quantiser.gradient.adapt()

    def at_epoch(self, sites: Sites, epoch: int, epochs: int) -> None:
        """New scales, and this epoch's limit."""
        super().at_epoch(sites, epoch, epochs)
        own = _own(sites)
        for _, quantiser in own:
            quantiser.steps = 0
            if self.target is not None:
                quantiser.budget.fill_(budget_at(epoch, epochs, self.target, self.anneal))
        self._tighten(own)

    def _tighten(self, own: list[tuple[Site, DtssqQuantiser]]) -> None:
        if self.target is None or not own:
            return
        ratios = [quantiser.ratios(site.weight).cpu() for site, quantiser in own]
        total = sum(site.weight.numel() for site, _ in own)
        factor = tightening(ratios, None, total, float(own[0][1].budget))
        if factor > 1:
            for _, quantiser in own:
                # A hair more: c rounds, and the weight at the limit must fall below it.
                quantiser.grow_threshold(factor * (1 + 1e-5))
        if self.threshold == "learned":
            _recentre([quantiser for _, quantiser in own])

    def wide(self) -> Scheme | None:
        """Two terms wherever they help, by the same gradients, without a limit."""
        return Shift(
            self.bits,
            2,
            self.rounding,
            self.scale,
            self.granularity,
            self.gradient,
            self.delta,
            self.samples,
            self.rescale,
            activations=self.activations,
        )


def _own(sites: Sites) -> list[tuple[Site, DtssqQuantiser]]:
    return [
        (site, site.quantiser)
        for site in sites.values()
        if isinstance(site.quantiser, DtssqQuantiser)
    ]


def _recentre(quantisers: list[DtssqQuantiser]) -> None:
    """Move what all thetas have in common into c where it has grown beyond a tenth.

    Only the ratios between layers mean something beside a budget; a common drift of theta, which
    the budget undoes in c, would end where softplus has no slope.
    """
    sizes = torch.stack([functional.softplus(q.theta.detach()) for q in quantisers])
    drift = float(sizes.log().mean().exp())
    if abs(math.log(drift)) > _DRIFT:
        for quantiser in quantisers:
            quantiser.move_unit(drift)
