"""FLightNN (Ding et al., DAC 2019): the number of powers of two, k = 0, 1 or 2, a filter.

Q(w_i) = sum over j < k of 1[||r_ij|| > t_j] R(r_ij), with r_i0 = w_i the filter, R rounding each
weight to a power of two and r_i(j+1) the residual; a term counts only where those before it do.
The thresholds t_j of a layer are learned through the relaxation sigmoid((||r|| - t) / tau) of the
indicator. The penalty sum_j lambda_j sum_i ||r_ij|| pulls filters toward few terms.

Norms are root mean squares in units of the smallest magnitude that a channel's scale represents
(the paper's are Euclidean norms of unscaled weights): one tau then fits all layers. For comparisons
at equal cost the share of weights in two-term filters may be limited as in DTSSQ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.schemes.base import Site, Sites, WeightQuantiser
from shiftforge.quant.schemes.dtssq import budget_at
from shiftforge.quant.schemes.levels import by_channel, scaled_gradient
from shiftforge.quant.schemes.relax import tightening
from shiftforge.quant.schemes.shift import Shift, ShiftQuantiser, shift_format

__all__ = ["FLightNN", "FLightQuantiser"]


class FLightQuantiser(ShiftQuantiser):
    """thresholds: the parameters t_0, t_1."""

    budget: torch.Tensor

    def __init__(self, scheme: FLightNN, layer: str, weight: torch.Tensor) -> None:
        super().__init__(scheme, layer, weight, shift_format(scheme.bits, 2, "FLT"))
        self.tau, self.rate = scheme.tau, scheme.threshold_rate
        self.thresholds = nn.Parameter(torch.zeros(2))
        self.register_buffer("budget", torch.tensor(2.0))
        self.steps = 0

    def norms(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Norms of the filters and of their residuals, (O,) each, with gradients to the weights."""
        v = weight / self.scale(weight)
        first, _ = self.split(v.detach())
        return _rms(v), _rms(v - first)

    @torch.no_grad()
    def _masks(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, residual = self.norms(weight)
        one = whole > self.thresholds[0]
        return by_channel(one, weight), by_channel(one & (residual > self.thresholds[1]), weight)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """The terms of each filter."""
        first, second = self.split(weight / self.scale(weight))
        one, two = self._masks(weight)
        return first * one + second * two

    def _soft(
        self, weight: torch.Tensor, thresholds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        whole, residual = self.norms(weight.detach())
        one = torch.sigmoid((whole - thresholds[0]) / self.tau)
        two = torch.sigmoid((residual - thresholds[1]) / self.tau)
        return by_channel(one, weight), by_channel(two, weight)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The levels; straight through to the masters, by the sigmoids to the thresholds."""
        result = super().forward(weight)
        if torch.is_grad_enabled():
            scale = self.scale(weight)
            first, second = self.split((weight / scale).detach())
            hard_one, _ = self._masks(weight)
            one, two = self._soft(weight, scaled_gradient(self.thresholds, self.rate))
            result = result + scale * first * (one - one.detach())
            result = result + scale * second * hard_one * (two - two.detach())
        return result

    @torch.no_grad()
    def two_terms(self, weight: torch.Tensor) -> torch.Tensor:
        """Which filters have two terms, bool (O,)."""
        return self._masks(weight)[1].reshape(-1)

    @torch.no_grad()
    def terms_of_filters(self, weight: torch.Tensor) -> torch.Tensor:
        """k of every filter, (O,)."""
        one, two = self._masks(weight)
        return (one.long() + two.long()).reshape(-1)

    def bits_per_weight(self, weight: torch.Tensor) -> float:
        """b k, the mean over filters; k itself is stored once a filter and left out."""
        return self.bits * float(self.terms_of_filters(weight).double().mean())

    @torch.no_grad()
    def clamp(self) -> None:
        """Thresholds are norms."""
        self.thresholds.clamp_(min=0)

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """Thresholds, budget and gradient scale."""
        super().follow(trained, weight)
        if isinstance(trained, FLightQuantiser):
            with torch.no_grad():
                self.thresholds.copy_(trained.thresholds)
                self.budget.copy_(trained.budget)


def _rms(v: torch.Tensor) -> torch.Tensor:
    # The offset keeps the gradient finite where a filter is exactly on its levels.
    return (v.square().flatten(1).mean(1) + 1e-12).sqrt()


@dataclass(frozen=True)
class FLightNN(Shift):
    """lambdas: weights of the penalty on filters and on their residuals. tau: of the sigmoid.
    threshold_rate, target, anneal, every: as in DTSSQ; target None leaves the cost to the penalty.
    """

    terms: int = 2
    tau: float = 0.1
    threshold_rate: float = 100.0
    lambdas: tuple[float, float] = (0.0, 1e-4)
    target: float | None = None
    anneal: float = 0.5
    every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tau > 0 or min(self.lambdas) < 0 or self.terms != 2:
            raise InputError(
                Problem(
                    f"FLightNN with tau {self.tau}, lambdas {self.lambdas}, {self.terms} terms",
                    "give tau above 0, lambdas of 0 or more, and two terms",
                )
            )

    @property
    def name(self) -> str:
        """Such as "flightnn4"."""
        return f"flightnn{self.bits}"

    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """One layer's."""
        return FLightQuantiser(self, name, weight)

    def penalty(self, sites: Sites) -> torch.Tensor | None:
        """sum_j lambda_j sum_i ||r_ij||."""
        parts = []
        for site, quantiser in _own(sites):
            whole, residual = quantiser.norms(site.weight)
            parts.append(self.lambdas[0] * whole.sum() + self.lambdas[1] * residual.sum())
        return torch.stack(parts).sum() if parts and any(self.lambdas) else None

    def after_step(self, sites: Sites) -> None:
        """Thresholds back to 0 or more; every so often the limit."""
        own = _own(sites)
        for _, quantiser in own:
            quantiser.clamp()
            quantiser.steps += 1
        if own and own[0][1].steps % self.every == 0:
            self._tighten(own)

    def at_epoch(self, sites: Sites, epoch: int, epochs: int) -> None:
        """New scales, and this epoch's limit."""
        super().at_epoch(sites, epoch, epochs)
        own = _own(sites)
        for _, quantiser in own:
            quantiser.steps = 0
            if self.target is not None:
                quantiser.budget.fill_(budget_at(epoch, epochs, self.target, self.anneal))
        self._tighten(own)

    def _tighten(self, own: list[tuple[Site, FLightQuantiser]]) -> None:
        if self.target is None or not own:
            return
        ratios, counts = [], []
        for site, quantiser in own:
            two = quantiser.two_terms(site.weight)
            residual = quantiser.norms(site.weight)[1].detach()[two]
            # A threshold of 0 has no ratio: it starts where it would cut nothing.
            quantiser.thresholds.data[1].clamp_(min=1e-3)
            ratios.append((residual / quantiser.thresholds.detach()[1]).cpu())
            counts.append(torch.full(residual.shape, site.weight[0].numel()))
        total = sum(site.weight.numel() for site, _ in own)
        factor = tightening(ratios, counts, total, float(own[0][1].budget))
        if factor > 1:
            for _, quantiser in own:
                quantiser.thresholds.data[1] *= factor * (1 + 1e-5)


def _own(sites: Sites) -> list[tuple[Site, FLightQuantiser]]:
    return [
        (site, site.quantiser)
        for site in sites.values()
        if isinstance(site.quantiser, FLightQuantiser)
    ]
