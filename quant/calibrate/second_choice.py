"""Which second words to take: as many as a share of the array's cycles allows.

Every layer has options, each a count for every group, of a cost in cycles and a gain. Those on the
upper hull of gain over cost are found with multipliers: at a price of lambda a cycle, the best
counts in at most ``MOST_RUNS`` runs of groups follow from a dynamic program over the runs'
boundaries, and the price between two neighbours on the hull is the slope of the line that joins
them. Beside these stand counts between two of them and those with one run's count one higher or
lower; a layer of few counts has them all. Over all layers
the best choice of one option each within the budget is a second dynamic program (a knapsack of
multiple choice) on costs in whole units, rounded up: it is best among the options, never above the
budget, and gains no less where the budget is larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.calibrate.importance import Gains
from shiftforge.quant.second_words import MOST_RUNS, SecondWords, WordPlan, merge_runs

__all__ = ["Choice", "SecondChoice", "block_gains", "layer_options"]

# Units that the cost of all second words is counted in, at most: the unit is a cycle where it can.
_UNITS = 16_000
# Where between two neighbours on the hull further options lie.
_PARTS = (0.25, 0.5, 0.75)
# Layers of no more counts than this have all of them as options.
_FEW = 300
# How often the hull's stretches are halved: at most 2**5 + 1 options on it.
_DEPTH = 5


@dataclass(frozen=True)
class Choice:
    """One layer's counts by group, the cycles that they add, and what they gain."""

    counts: tuple[int, ...]
    cycles: int
    gain: float


def block_gains(words: SecondWords, gains: Gains) -> NDArray[np.float64]:
    """Gain of every group's blocks, (groups, blocks), from that of the weights."""
    index = words.group[:, None, None, None].astype(np.int64) * words.blocks + words.block
    sums = np.bincount(index.ravel(), gains.ravel(), words.groups * words.blocks)
    return np.asarray(sums.reshape(words.groups, words.blocks), dtype=np.float64)


def layer_options(words: SecondWords, gains: Gains) -> list[Choice]:
    """Choices for one layer by rising cycles and gain; the first costs nothing."""
    total = np.cumsum(block_gains(words, gains), axis=1)
    total = np.concatenate([np.zeros((words.groups, 1)), total], axis=1)
    none = _choice(words, total, (0,) * words.groups)
    if total[:, -1].max() <= 0:
        return [none]
    if words.cycles == 0:
        best = tuple(int(k) for k in total.argmax(axis=1))
        return _undominated([none, _choice(words, total, best)])
    if (words.blocks + 1) ** words.groups <= _FEW:
        every = product(range(words.blocks + 1), repeat=words.groups)
        return _undominated(
            [_choice(words, total, own) for own in every if _runs(own) <= MOST_RUNS]
        )
    # sums[b, k]: gain of the groups before b with k words each
    sums = np.concatenate([np.zeros((1, total.shape[1])), np.cumsum(total, axis=0)])
    low = none
    high = _choice(words, total, _best_runs(sums, 0.0))
    hull = {low.counts: low, high.counts: high}
    stretches = [(low, high)]
    for _ in range(_DEPTH):
        halves = []
        for left, right in stretches:
            if right.cycles <= left.cycles or right.gain <= left.gain:
                continue
            price = (right.gain - left.gain) * words.cycles / (right.cycles - left.cycles)
            found = _choice(words, total, _best_runs(sums, price))
            if left.cycles < found.cycles < right.cycles:
                hull[found.counts] = found
                halves += [(left, found), (found, right)]
        stretches = halves
    options = dict(hull)
    ordered = sorted(hull.values(), key=lambda c: c.cycles)
    for left, right in pairwise(ordered):
        gap = np.subtract(right.counts, left.counts)
        for part in _PARTS:
            between = [int(k) for k in np.rint(left.counts + part * gap)]
            other = merge_runs(between, MOST_RUNS)
            options[other] = _choice(words, total, other)
    for counts in hull:
        for other in _neighbours(counts, words.blocks):
            options[other] = _choice(words, total, other)
    return _undominated(list(options.values()))


def _choice(words: SecondWords, total: NDArray[np.float64], counts: tuple[int, ...]) -> Choice:
    gain = float(total[np.arange(len(counts)), counts].sum())
    return Choice(counts, words.added_cycles(counts), gain)


def _best_runs(sums: NDArray[np.float64], price: float) -> tuple[int, ...]:
    """Counts in at most MOST_RUNS runs of the largest gain less ``price`` a word."""
    n = len(sums) - 1
    size = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]  # of the groups [a, b)
    words = np.arange(sums.shape[1])
    own = np.full((n + 1, n + 1), -np.inf)
    count = np.zeros((n + 1, n + 1), np.int64)
    for a in range(n):
        value = sums[a + 1 :] - sums[a] - price * size[a, a + 1 :, None] * words
        count[a, a + 1 :] = value.argmax(axis=1)
        own[a, a + 1 :] = value.max(axis=1)
    best, begins = own[0], [np.zeros(n + 1, np.int64)]
    for _ in range(MOST_RUNS - 1):
        joined = best[:, None] + own
        begin = joined.argmax(axis=0)
        value = joined.max(axis=0)
        # A run more only where it gains: the fewest runs of equal gains.
        more = value > best
        begins.append(np.where(more, begin, -1))
        best = np.where(more, value, best)
    counts, end, level = np.zeros(n, np.int64), n, MOST_RUNS - 1
    while end > 0:
        while level > 0 and begins[level][end] < 0:
            level -= 1
        start = int(begins[level][end]) if level > 0 else 0
        counts[start:end] = count[start, end]
        end, level = start, level - 1
    return tuple(int(k) for k in counts)


def _neighbours(counts: tuple[int, ...], blocks: int) -> list[tuple[int, ...]]:
    """The counts with one run's count, or the group's beside its end, one higher or lower."""
    values = np.asarray(counts)
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values)]
    found = []
    for start, end in pairwise(edges):
        for step in (-1, 1):
            if 0 <= values[start] + step <= blocks:
                changed = values.copy()
                changed[start:end] += step
                found.append(changed)
    for edge in edges[1:-1]:
        for place, other in ((edge - 1, edge), (edge, edge - 1)):
            changed = values.copy()
            changed[place] = values[other]
            found.append(changed)
    every = [tuple(int(k) for k in own) for own in found]
    return [own for own in every if _runs(own) <= MOST_RUNS]


def _runs(counts: Sequence[int]) -> int:
    return 1 + int(np.count_nonzero(np.diff(counts)))


def _undominated(choices: list[Choice]) -> list[Choice]:
    """Those that gain more than every cheaper one."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda c: (c.cycles, -c.gain, c.counts)):
        if not kept or choice.gain > kept[-1].gain:
            kept.append(choice)
    return kept


class SecondChoice:
    """All layers' options on a plan, and the best choice of them for any budget."""

    def __init__(self, plan: WordPlan, gains: Mapping[str, Gains]) -> None:
        self.plan = plan
        self.options = {name: layer_options(plan.words[name], own) for name, own in gains.items()}
        least = sum(own[0].cycles for own in self.options.values())
        most = sum(own[-1].cycles for own in self.options.values())
        self._unit = max(1, -(-(most - least) // _UNITS))
        self._tables: list[NDArray[np.int16]] = []
        units = (most - least) // self._unit + len(self.options)
        best = np.zeros(units + 1)
        for own in self.options.values():
            value, table = best + own[0].gain, np.zeros(units + 1, np.int16)
            for index, choice in enumerate(own[1:], 1):
                cost = self._cost(choice)
                with_it = best[: len(best) - cost] + choice.gain
                better = with_it > value[cost:]
                value[cost:][better] = with_it[better]
                table[cost:][better] = index
            self._tables.append(table)
            best = value
        self._best = best

    def _cost(self, choice: Choice) -> int:
        return -(-choice.cycles // self._unit)

    @property
    def most(self) -> float:
        """f of everything that gains."""
        cycles = sum(own[-1].cycles for own in self.options.values())
        return cycles / self.plan.one_term_cycles

    def counts(self, share: float) -> dict[str, tuple[int, ...]]:
        """Counts of every layer's groups that add at most ``share`` of the one-term cycles."""
        budget = int(share * self.plan.one_term_cycles * (1 + 1e-12))
        if budget >= sum(own[-1].cycles for own in self.options.values()):
            return {name: own[-1].counts for name, own in self.options.items()}
        left = min(budget // self._unit, len(self._best) - 1)
        found = {}
        names = list(self.options)
        for name, table in zip(reversed(names), reversed(self._tables), strict=True):
            choice = self.options[name][int(table[left])]
            found[name] = choice.counts
            left -= self._cost(choice)
        return {name: found[name] for name in names}

    def gain(self, counts: Mapping[str, tuple[int, ...]]) -> float:
        """Modelled gain of a choice that ``counts`` gave."""
        total = 0.0
        for name, own in counts.items():
            total += next(choice.gain for choice in self.options[name] if choice.counts == own)
        return total
