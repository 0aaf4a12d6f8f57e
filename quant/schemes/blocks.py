"""Block masks: second terms by weight word, on an array with one shifter a lane.

A second word serves a block of weights (see :mod:`shiftforge.quant.second_words`), so that one
decision is made for all of them: a block's score is the weighted mean of its squared residuals,
made non-increasing along the blocks of its group (`isotonic`), and blocks with scores above the
threshold, a prefix, have second terms. Where a layer has more runs of equal counts than the array
takes, the counts are raised to those of `merge_runs`: cycles that are spent anyway. Words that cost
no cycle are all there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn

from shiftforge.quant.schemes.isotonic import non_increasing
from shiftforge.quant.second_words import MOST_RUNS, SecondWords, merge_runs

__all__ = ["BlockMask", "Candidates", "block_tightening"]


class BlockMask(nn.Module):
    """The blocks of one layer's weights; nothing of it is state to be kept.

    words: of the layer. importance: of each weight's squared error (O, I // groups, kh, kw), > 0 in
    the mean; None for all alike. total: one-term cycles of the whole network. spent: cycles of
    second words in layers of other schemes. closed: words that cost nothing are not taken, since
    the cycle that they add once is too much.
    """

    index: torch.Tensor
    slots: torch.Tensor
    share: torch.Tensor

    def __init__(
        self,
        words: SecondWords,
        total: int,
        importance: torch.Tensor | None = None,
        spent: int = 0,
        closed: bool = False,
    ) -> None:
        super().__init__()
        self.words, self.total, self.spent, self.closed = words, total, spent, closed
        block = words.group.astype(np.int64)[:, None, None, None] * words.blocks + words.block
        flat = block.ravel()
        sizes = np.bincount(flat, minlength=words.groups * words.blocks)
        order = np.argsort(flat, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        # Weights of each block, filled up with one past the last weight.
        slots = np.full((len(sizes), int(sizes.max())), flat.size, np.int64)
        slots[flat[order], np.arange(flat.size) - starts[flat[order]]] = order
        self.register_buffer("index", torch.from_numpy(block), persistent=False)
        self.register_buffer("slots", torch.from_numpy(slots), persistent=False)
        weight = torch.ones(flat.size, dtype=torch.float64)
        if importance is not None:
            weight = importance.detach().cpu().double().reshape(-1)
            weight = weight / weight.mean()
        padded = torch.cat([weight, weight.new_zeros(1)])
        # A short block's word costs as much as a full one's: the mean is over all its places.
        share = padded[torch.from_numpy(slots)] / slots.shape[1]
        self.register_buffer("share", share, persistent=False)
        self._merged: dict[tuple[int, ...], tuple[int, ...]] = {}

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Moved with the network, but float64 whatever the network is made."""
        share = self.share
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.share = share.to(self.index.device)
        return self

    @property
    def free(self) -> bool:
        """Whether second words cost nothing here, but what the first one may add once."""
        return self.words.cycles == 0

    @property
    def once(self) -> int:
        """Cycles that free words add in all."""
        return self.words.once if self.free and not self.closed else 0

    @torch.no_grad()
    def scores(self, square: torch.Tensor) -> torch.Tensor:
        """(groups, blocks), float64, non-increasing along each group; square: as the weights."""
        flat = torch.cat([square.double().reshape(-1), self.share.new_zeros(1)])
        means = (flat[self.slots] * self.share).sum(1)
        return non_increasing(means.reshape(-1, self.words.blocks))

    def counts(self, above: torch.Tensor) -> tuple[int, ...]:
        """Second words of each group where ``above`` (groups, blocks) marks prefixes, in at most
        MOST_RUNS runs."""
        found = tuple(int(n) for n in above.sum(1))
        if found not in self._merged:
            self._merged = {found: merge_runs(found, MOST_RUNS)}
        return self._merged[found]

    def selected(self, scores: torch.Tensor, threshold: torch.Tensor) -> tuple[int, ...]:
        """Second words of each group at a threshold (0-d): all of them where they are free."""
        if self.free:
            return (0 if self.closed else self.words.blocks,) * self.words.groups
        return self.counts(scores > threshold.double())

    def mask(self, counts: Sequence[int]) -> torch.Tensor:
        """Weights (O, I // groups, kh, kw) in so many second words a group, bool."""
        own = torch.tensor(counts, device=self.index.device)
        place = torch.arange(self.words.blocks, device=self.index.device)
        return (place[None, :] < own[:, None]).reshape(-1)[self.index]

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values of blocks (groups, blocks) at their weights."""
        return values.reshape(-1)[self.index]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a layer may have second words for. ratio: scores over the threshold (groups, blocks)."""

    blocks: BlockMask
    ratio: torch.Tensor

    def cycles(self, factor: float) -> int:
        """Added cycles where thresholds are so many times higher; none of free words."""
        if self.blocks.free:
            return 0
        return self.blocks.words.added_cycles(self.blocks.counts(self.ratio > factor))


def block_tightening(layers: Sequence[Candidates], allowed: float) -> float:
    """The least factor >= 1 by which all thresholds must grow so that at most so many cycles are
    added; it is the ratio of the last block that must go, or 1.

    Cycles never grow with the thresholds, merged runs included: runs that hold some counts hold
    lower ones too.
    """

    def fits(factor: float) -> bool:
        return sum(layer.cycles(factor) for layer in layers) <= allowed + 1e-6

    if fits(1.0):
        return 1.0
    ratios = [layer.ratio.reshape(-1) for layer in layers if not layer.blocks.free]
    every = torch.cat(ratios)
    steps = every[every > 1].sort().values
    if not len(steps):
        return 1.0
    low, high = 0, len(steps) - 1  # at the highest ratio nothing is left
    while low < high:
        middle = (low + high) // 2
        if fits(float(steps[middle])):
            high = middle
        else:
            low = middle + 1
    return float(steps[high])
