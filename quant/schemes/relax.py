"""The differentiable threshold of DTSSQ: the paper's Eq. 12-13, made local.

The hard mask T = 1[R**2 > t] has no useful derivative. Its relaxation here is

    m = (1 + tanh((R**2 - t) / tau)) / 2,      dm/dt = -(1 - tanh(.)**2) / (2 tau),

with t = c softplus(theta) > 0 (c a constant; t = softplus(theta) in the plain form). The paper
writes tanh'(R**2 - t) without tau; residuals of real weights being near 0, that is about 1 for
every weight, and the gradient of the threshold then sees weights far from it as much as those about
to change group. So R is taken in units of the smallest magnitude that the channel's scale can
represent, and tau is a share of t.

A second term rounds the residual to at least that smallest magnitude 1, and makes the error smaller
only where |R| > 1/2: t stays at or above `LEAST` = 1/4. (The paper's own example, 0.128 given the
second term 2**-5 beside 2**-3, raises the error from 0.003 to 0.028; it is no case to reproduce.)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional

__all__ = ["LEAST", "inverse_softplus", "soft_mask", "tightening"]

LEAST = 0.25


def inverse_softplus(t: float) -> float:
    """theta with softplus(theta) = t, for t > 0."""
    return t + math.log(-math.expm1(-t))


def soft_mask(
    square: torch.Tensor,
    theta: torch.Tensor,
    unit: torch.Tensor,
    tau: float,
    lowest: float = LEAST,
) -> torch.Tensor:
    """m for squared residuals (any shape), with a gradient to theta (0-d) alone.

    unit: c in t = c softplus(theta). tau: as a share of the threshold, a constant there. lowest:
    threshold for that.
    """
    t = unit * functional.softplus(theta)
    bound = t.detach().clamp(min=lowest)
    return (1 + torch.tanh((square.detach() - t) / (tau * bound))) / 2


def tightening(
    ratios: list[torch.Tensor], counts: list[torch.Tensor] | None, total: int, budget: float
) -> float:
    """Factor >= 1 by which all thresholds must grow so that at most budget * total remain above.

    ratios: for each layer, how many times its threshold every candidate is. counts: what each
    candidate counts for; None counts one each. total: all there are, candidates or not.
    """
    ratio = torch.cat([r.reshape(-1) for r in ratios])
    above = ratio > 1
    ratio = ratio[above]
    allowed = budget * total
    if counts is None:
        # Whole numbers: the product may lie a rounding below the integer that is meant.
        surplus = ratio.numel() - math.floor(allowed + 1e-6)
        return float(torch.kthvalue(ratio, surplus).values) if surplus > 0 else 1.0
    size = torch.cat([c.reshape(-1) for c in counts])[above].double()
    order = ratio.argsort(stable=True)
    rest = size.sum() - size[order].cumsum(0)
    if float(size.sum()) <= allowed + 1e-6:
        return 1.0
    return float(ratio[order[int((rest > allowed + 1e-6).sum())]])
