"""Isotonic regression: the non-increasing sequence nearest to given scores.

Pool adjacent violators gives y_i = min over a <= i of max over b >= i of mean(x_a .. x_b) (Barlow
et al., Statistical Inference under Order Restrictions, 1972), which is computed here as it stands:
values of one pool are then the same number, bit for bit, so that whatever is above a threshold is a
prefix.
"""

from __future__ import annotations

import math

import torch

__all__ = ["non_increasing"]

_ELEMENTS = 1 << 20


@torch.no_grad()
def non_increasing(scores: torch.Tensor) -> torch.Tensor:
    """Each row of (groups, blocks), float64, made non-increasing with the least squared change."""
    count = scores.shape[1]
    ends = torch.nn.functional.pad(scores.double().cumsum(1), (1, 0))
    place = torch.arange(count, device=scores.device)
    length = place[None, :] - place[:, None] + 1
    before = (length < 1)[None]
    # As many groups at a time as keep the matrices of their means, quadratic in the blocks, small.
    rows = []
    for part in torch.split(ends, max(1, _ELEMENTS // count**2)):
        means = (part[:, None, 1:] - part[:, :-1, None]) / length.clamp(min=1)
        highest = means.masked_fill(before, -math.inf).flip(2).cummax(2).values.flip(2)
        rows.append(highest.masked_fill(before, math.inf).amin(1))
    return torch.cat(rows)
