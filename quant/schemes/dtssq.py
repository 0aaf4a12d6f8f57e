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

So trained, a layer is stored as first terms, a mask and packed second terms: b + 1 + b f bits a
weight for a share f of second terms.

On an array with one shifter a lane second terms cost by weight word instead: layers that have been
given their words (:meth:`DtssqQuantiser.take_words`) decide by block (see `blocks`), what is held
against t is a block's score, and `target` is f, the share of array cycles that second words add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional

from shiftforge.errors import InputError, Problem
from shiftforge.quant.schemes.base import Scheme, Site, Sites, WeightQuantiser
from shiftforge.quant.schemes.blocks import block_tightening
from shiftforge.quant.schemes.dtssq_layer import DtssqQuantiser
from shiftforge.quant.schemes.levels import check_choice
from shiftforge.quant.schemes.relax import LEAST, tightening
from shiftforge.quant.schemes.shift import Shift

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


@dataclass(frozen=True)
class DTSSQ(Shift):
    """The paper's scheme; see the module. Options for its ablation are options here.

    terms: 2, always. gradient, delta, scale, rounding: as in `Shift`. threshold: "learned" or
    "fixed" (one value for all layers, moved by the budget alone). threshold_start: t at the start,
    in squared units of the smallest magnitude (1/4: every second term that helps). tau: width of
    the relaxed mask as a share of t. threshold_rate: factor of theta's gradient. omega: lambda of
    Omega, 0 for none. target: share of second terms at the end, over all layers of the scheme
    together, or with weight words of added array cycles; None for no limit. anneal: share of the
    epochs in which the limit falls. every: steps between two checks of the limit.
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
                ("anneal", self.anneal, 0 < self.anneal <= 1, "give a share of the epochs"),
                ("every", self.every, self.every >= 1, "check every step or less often"),
                (
                    "target",
                    self.target,
                    self.target is None or 0 <= self.target <= 1,
                    "give a share, 0 to 1",
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
        return DtssqQuantiser(
            self,
            name,
            weight,
            start=self.threshold_start,
            tau=self.tau,
            rate=self.threshold_rate,
            learned=self.threshold == "learned",
        )

    def after_step(self, sites: Sites) -> None:
        """Thresholds back into their range; every so often the limit, and delta's cheap form."""
        own = _own(sites)
        for _, quantiser in own:
            quantiser.clamp()
            quantiser.steps += 1
        if own and own[0][1].steps % self.every == 0:
            self.tighten(sites)
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
        self.tighten(sites)

    @torch.no_grad()
    def tighten(self, sites: Sites, *, last: bool = False) -> None:
        """Let all thresholds grow by one factor where more than the limit stands.

        last: after training, where the cycle that a layer's free words may add once counts too.
        """
        own = _own(sites)
        if self.target is None or not own:
            return
        budget = float(own[0][1].budget)
        blocks = own[0][1].blocks
        if blocks is not None:
            layers = [quantiser.candidates(site.weight) for site, quantiser in own]
            once = sum(layer.blocks.once for layer in layers) if last else 0
            factor = block_tightening(layers, budget * blocks.total - blocks.spent - once)
        else:
            ratios = [quantiser.ratios(site.weight).cpu() for site, quantiser in own]
            total = sum(site.weight.numel() for site, _ in own)
            factor = tightening(ratios, None, total, budget)
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
