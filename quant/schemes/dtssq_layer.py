"""One layer of DTSSQ: its threshold, its mask, and the gradients to both (see `dtssq`)."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

from shiftforge.quant.schemes.base import WeightQuantiser
from shiftforge.quant.schemes.blocks import BlockMask, Candidates
from shiftforge.quant.schemes.levels import scaled_gradient
from shiftforge.quant.schemes.relax import LEAST, inverse_softplus, soft_mask
from shiftforge.quant.schemes.shift import Shift, ShiftQuantiser, shift_format

__all__ = ["DtssqQuantiser"]

# Of a threshold by block: a mean of squares, which may be as small as it likes.
_LOWEST = 1e-12
# Of softplus(theta) there.
_SPAN = (1e-3, 1e3)


class DtssqQuantiser(ShiftQuantiser):
    """One layer: theta is the threshold's parameter (a buffer where it is not learned).

    start: the threshold. tau: of `soft_mask`. rate: factor of theta's gradient.
    """

    theta: torch.Tensor
    unit: torch.Tensor
    budget: torch.Tensor

    def __init__(
        self,
        scheme: Shift,
        layer: str,
        weight: torch.Tensor,
        *,
        start: float,
        tau: float,
        rate: float,
        learned: bool = True,
    ) -> None:
        super().__init__(scheme, layer, weight, shift_format(scheme.bits, 2, "SEL"))
        self.tau = tau
        self.rate = rate
        theta = torch.tensor(inverse_softplus(1.0))
        if learned:
            self.theta = nn.Parameter(theta)
        else:
            self.register_buffer("theta", theta)
        # c: the threshold at softplus(theta) = 1.
        self.register_buffer("unit", torch.tensor(max(start, LEAST)))
        # The share of second terms allowed now; above 1 for no limit.
        self.register_buffer("budget", torch.tensor(2.0))
        # Steps since the epoch began; not state: training resumes between epochs.
        self.steps = 0
        # The weight words whose weights share a decision; without them every weight has its own.
        self.blocks: BlockMask | None = None

    @property
    def lowest(self) -> float:
        """The least threshold."""
        return LEAST if self.blocks is None else _LOWEST

    @torch.no_grad()
    def take_words(self, blocks: BlockMask, unit: float) -> None:
        """Decide by block from now on, beginning with the threshold ``unit``."""
        self.blocks = blocks.to(self.unit.device)
        self.unit.fill_(max(unit, _LOWEST))
        self.theta.fill_(inverse_softplus(1.0))

    def threshold(self) -> torch.Tensor:
        """t, 0-d, in squared units of the smallest magnitude, at least `lowest`."""
        return (self.unit * functional.softplus(self.theta.detach())).clamp(min=self.lowest)

    @torch.no_grad()
    def counts(self, weight: torch.Tensor) -> tuple[int, ...]:
        """Second words of each group. Raises TypeError where weights decide for themselves."""
        if self.blocks is None:
            raise TypeError(f"{self.layer} has no weight words")
        scores = self.blocks.scores(self.parts(weight)[2])
        return self.blocks.selected(scores, self.threshold())

    def scores(self, square: torch.Tensor) -> torch.Tensor:
        """What is held against t: squared residuals, or their blocks' scores (groups, blocks)."""
        return square if self.blocks is None else self.blocks.scores(square)

    @torch.no_grad()
    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """T, bool, as the weights."""
        if self.blocks is None:
            return scores > self.threshold()
        return self.blocks.mask(self.blocks.selected(scores, self.threshold()))

    def soft(self, scores: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """The relaxed mask, as the weights, with a gradient to theta alone."""
        if self.blocks is None:
            return soft_mask(scores, theta, self.unit, self.tau)
        mask = soft_mask(scores.to(theta.dtype), theta, self.unit, self.tau, self.lowest)
        return self.blocks.spread(mask)

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
        return first + second * self.mask(self.scores(square))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Wq, with EWGS (or plain) gradients to W and the relaxed mask's gradient to theta."""
        first, second, square = self.parts(weight)
        scale, scores = self.scale(weight), self.scores(square)
        value = (first + second * self.mask(scores)) * scale
        result: torch.Tensor = self.gradient(weight, value, self.span(weight))
        fixed = self.blocks is not None and self.blocks.free
        if self.theta.requires_grad and torch.is_grad_enabled() and not fixed:
            mask = self.soft(scores, scaled_gradient(self.theta, self.rate))
            result = result + scale * second * (mask - mask.detach())  # exactly 0
        return result

    def relaxed(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights with the relaxed mask: the objective whose gradient theta descends."""
        first, second, square = self.parts(weight)
        return (first + second * self.soft(self.scores(square), self.theta)) * self.scale(weight)

    @torch.no_grad()
    def second_fraction(self, weight: torch.Tensor) -> float:
        """Share of weights with two terms."""
        _, second, square = self.parts(weight)
        return float(((second != 0) & self.mask(self.scores(square))).double().mean())

    def bits_per_weight(self, weight: torch.Tensor) -> float:
        """b + 1 + b f: first terms, mask, packed second terms; or b for each word's."""
        if self.blocks is not None:
            mask = self.blocks.mask(self.counts(weight))
            return self.bits * (1 + float(mask.double().mean()))
        return self.bits + 1 + self.bits * self.second_fraction(weight)

    @torch.no_grad()
    def ratios(self, weight: torch.Tensor) -> torch.Tensor:
        """Squared residuals over the threshold, of the weights that a second term would change."""
        _, second, square = self.parts(weight)
        return square[second != 0] / self.threshold()

    @torch.no_grad()
    def candidates(self, weight: torch.Tensor) -> Candidates:
        """The blocks' scores over the threshold. Raises TypeError where there are no blocks."""
        if self.blocks is None:
            raise TypeError(f"{self.layer} has no weight words")
        scores = self.blocks.scores(self.parts(weight)[2])
        return Candidates(self.blocks, scores / self.threshold().double())

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
        if self.blocks is not None:
            self.theta.clamp_(*map(inverse_softplus, _SPAN))
            return
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
