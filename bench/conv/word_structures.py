"""Other ways to choose weights of two terms, to hold a prefix of blocks a group against.

Each takes what gains most a cycle within the same added array cycles, by the gains that the
product uses, and gives masks of the weights that may have two terms with the share of cycles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.calibrate.importance import Gains
from shiftforge.quant.calibrate.second_choice import block_gains
from shiftforge.quant.second_words import WordPlan

__all__ = ["LANES", "Masks", "any_blocks", "any_weights", "one_count"]

Masks = Mapping[str, NDArray[np.bool_]]

LANES = 16 * 9
"""Weights of a word: 16 units of 9 lanes."""


def _taken(
    gain: NDArray[np.float64], cost: NDArray[np.float64], budget: float
) -> tuple[NDArray[np.bool_], float]:
    """What of items to take by falling gain a cycle until the budget is full, and its cost."""
    free = (cost == 0) & (gain > 0)
    ratio = np.where(cost > 0, gain / np.maximum(cost, 1e-300), 0.0)
    order = np.argsort(-ratio, kind="stable")
    order = order[(ratio[order] > 0)]
    spent = np.cumsum(cost[order])
    chosen = free.copy()
    chosen[order[spent <= budget]] = True
    return chosen, float(cost[chosen].sum())


def any_weights(plan: WordPlan, gains: Mapping[str, Gains], share: float) -> tuple[Masks, float]:
    """Any weight, each at its part of a word's cycles: more than any arrangement in words gives."""
    names = list(gains)
    gain = np.concatenate([gains[name].ravel() for name in names])
    cost = np.concatenate(
        [np.full(gains[name].size, plan.words[name].cycles / LANES) for name in names]
    )
    chosen, spent = _taken(gain, cost, share * plan.one_term_cycles)
    masks, start = {}, 0
    for name in names:
        size = gains[name].size
        masks[name] = chosen[start : start + size].reshape(gains[name].shape)
        start += size
    return masks, spent / plan.one_term_cycles


def any_blocks(plan: WordPlan, gains: Mapping[str, Gains], share: float) -> tuple[Masks, float]:
    """Any block of any group, each at a word's cycles."""
    parts = {name: block_gains(plan.words[name], own) for name, own in gains.items()}
    gain = np.concatenate([own.ravel() for own in parts.values()])
    cost = np.concatenate(
        [np.full(own.size, float(plan.words[name].cycles)) for name, own in parts.items()]
    )
    chosen, spent = _taken(gain, cost, share * plan.one_term_cycles)
    masks, start = {}, 0
    for name, own in parts.items():
        words = plan.words[name]
        marked = chosen[start : start + own.size].reshape(own.shape)
        masks[name] = marked[words.group[:, None, None, None], words.block]
        start += own.size
    return masks, spent / plan.one_term_cycles


def one_count(plan: WordPlan, gains: Mapping[str, Gains], share: float) -> tuple[Masks, float]:
    """The first blocks of all groups of a layer alike."""
    steps: list[tuple[float, float, str, int]] = []
    for name, own in gains.items():
        words = plan.words[name]
        each = block_gains(words, own).sum(axis=0)
        cost = words.cycles * words.groups
        start = 0
        while start < len(each):
            # The stretch of blocks of the highest mean gain: the next edge of the upper hull.
            means = np.cumsum(each[start:]) / np.arange(1, len(each) - start + 1)
            end = start + int(means.argmax()) + 1
            if means.max() <= 0:
                break
            for count in range(start + 1, end + 1):
                steps.append((float(means.max()) / max(cost, 1e-12), cost, name, count))
            start = end
    counts, full = dict.fromkeys(gains, 0), set()
    spent, budget = 0.0, share * plan.one_term_cycles
    for _ratio, cost, name, count in sorted(steps, key=lambda step: (-step[0], step[2], step[3])):
        if name in full or spent + cost > budget:
            full.add(name)  # a later step of this layer would not be its next one
        else:
            counts[name] = count
            spent += cost
    masks = {
        name: plan.words[name].allowed((count,) * plan.words[name].groups)
        for name, count in counts.items()
    }
    return masks, spent / plan.one_term_cycles
