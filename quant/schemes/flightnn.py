"""FLightNN (Ding et al., DAC 2019): the number of powers of two, k = 0, 1 or 2, a filter.

Q(w_i) = sum over j < k of 1[||r_ij|| > t_j] R(r_ij), with r_i0 = w_i the filter, R rounding each
weight to a power of two and r_i(j+1) the residual; a term counts only where those before it do.
The thresholds t_j = exp(theta_j) of a layer are learned through the relaxation
sigmoid((||r|| - t) / (tau t)) of the indicator. The penalty sum_j lambda_j sum_i ||r_ij|| pulls
filters toward few terms.

Norms are root mean squares in units of the smallest magnitude that a channel's scale represents
(the paper's are Euclidean norms of unscaled weights): one tau then fits all layers. For comparisons
at equal cost the share of weights in two-term filters may be limited as in DTSSQ.
"""

from __future__ import annotations

import math
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

# Logarithms of the least and the largest threshold, in units of the smallest magnitude.
_LOWEST, _HIGHEST = math.log(1e-2), math.log(1e4)


class FLightQuantiser(ShiftQuantiser):
    """theta: the parameters, logarithms of the thresholds t_0 and t_1."""

    budget: torch.Tensor

    def __init__(self, scheme: FLightNN, layer: str, weight: torch.Tensor) -> None:
        super().__init__(scheme, layer, weight, shift_format(scheme.bits, 2, "SEL"))
        self.tau, self.rate = scheme.tau, scheme.threshold_rate
        self.theta = nn.Parameter(torch.full((2,), _LOWEST))
        self.register_buffer("budget", torch.tensor(2.0))
        self.steps = 0

    def thresholds(self) -> torch.Tensor:
        """t_0 and t_1, (2,), without gradient; the lowest cut nothing but filters of zeros."""
        return torch.exp(self.theta.detach())

    def norms(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Norms of the filters and of their residuals, (O,) each, with gradients to the weights."""
        v = weight / self.scale(weight)
        first, _ = self.split(v.detach())
        return _rms(v), _rms(v - first)

    @torch.no_grad()
    def _masks(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, residual = self.norms(weight)
        t = self.thresholds()
        one = whole > t[0]
        return by_channel(one, weight), by_channel(one & (residual > t[1]), weight)

    @torch.no_grad()
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """The terms of each filter."""
        first, second = self.split(weight / self.scale(weight))
        one, two = self._masks(weight)
        return first * one + second * two

    def _soft(self, weight: torch.Tensor, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, residual = self.norms(weight.detach())
        t = torch.exp(theta)
        width = self.tau * t.detach()
        one = torch.sigmoid((whole - t[0]) / width[0])
        two = torch.sigmoid((residual - t[1]) / width[1])
        return by_channel(one, weight), by_channel(two, weight)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The levels; straight through to the masters, by the sigmoids to the thresholds."""
        result = super().forward(weight)
        if torch.is_grad_enabled():
            scale = self.scale(weight)
            first, second = self.split((weight / scale).detach())
            hard_one, _ = self._masks(weight)
            one, two = self._soft(weight, scaled_gradient(self.theta, self.rate))
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
        """Thresholds back into the range of norms."""
        self.theta.clamp_(_LOWEST, _HIGHEST)

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """Thresholds, budget and gradient scale."""
        super().follow(trained, weight)
        if isinstance(trained, FLightQuantiser):
            with torch.no_grad():
                self.theta.copy_(trained.theta)
                self.budget.copy_(trained.budget)


def _rms(v: torch.Tensor) -> torch.Tensor:
    # The offset keeps the gradient finite where a filter is exactly on its levels.
    return (v.square().flatten(1).mean(1) + 1e-12).sqrt()


@dataclass(frozen=True)
class FLightNN(Shift):
    """lambdas: weights of the penalty on filters and on their residuals. tau: of the
    sigmoid, as a share of the threshold.
    threshold_rate, target, anneal, every: as in DTSSQ; target None leaves the cost to the penalty.
    A rate of 1, as published: whole filters change at once, and higher rates did worse in trials.
    """

    terms: int = 2
    tau: float = 0.25
    threshold_rate: float = 1.0
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
        """sum_j lambda_j sum_i ||r_ij||, and Omega where it is wanted."""
        extra = super().penalty(sites)
        parts = [] if extra is None else [extra]
        for site, quantiser in _own(sites):
            if not any(self.lambdas):
                break
            whole, residual = quantiser.norms(site.weight)
            parts.append(self.lambdas[0] * whole.sum() + self.lambdas[1] * residual.sum())
        return torch.stack(parts).sum() if parts else None

    def after_step(self, sites: Sites) -> None:
        """Thresholds back into their range; every so often the limit."""
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

    @torch.no_grad()
    def _tighten(self, own: list[tuple[Site, FLightQuantiser]]) -> None:
        if self.target is None or not own:
            return
        ratios, counts = [], []
        for site, quantiser in own:
            two = quantiser.two_terms(site.weight)
            residual = quantiser.norms(site.weight)[1].detach()[two]
            ratios.append((residual / quantiser.thresholds()[1]).cpu())
            counts.append(torch.full(residual.shape, site.weight[0].numel()))
        total = sum(site.weight.numel() for site, _ in own)
        factor = tightening(ratios, counts, total, float(own[0][1].budget))
        if factor > 1:
            for _, quantiser in own:
                quantiser.theta[1] += math.log(factor) + 1e-5


def _own(sites: Sites) -> list[tuple[Site, FLightQuantiser]]:
    return [
        (site, site.quantiser)
        for site in sites.values()
        if isinstance(site.quantiser, FLightQuantiser)
    ]
