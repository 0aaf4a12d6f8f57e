"""Second words: what weights of two terms cost on an array with one shifter a lane.

A weight word holds one term of every weight that one array cycle uses: a group of output channels
by a block of inputs. Weights of two terms need a second word for the same operands, one more array
cycle for every tile of outputs. A group's blocks with second words are its first ones, so that a
count a group says it all; neighbouring groups of equal counts are a run, and a layer has at most
``MOST_RUNS`` of them. Which group and block a weight lies in follows from the array and from the
order of the channels, which a planner hands in: nothing here knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.types import FloatGraph

__all__ = ["MOST_RUNS", "Orders", "SecondWords", "WordPlan", "WordPlanner", "merge_runs"]

MOST_RUNS = 4
"""Runs of groups with equally many second words in a layer."""

Orders: TypeAlias = Mapping[str, NDArray[np.int32]]
"""Channel orders by tensor name: place i of the accelerator holds channel order[i]."""


@dataclass(frozen=True, eq=False)
class SecondWords:
    """The words of one convolution.

    group: (O,), the group of each output channel, from 0. block: (O, I // groups, kh, kw), the
    block of each weight in its group, from 0; weights of one group and block share a word.
    blocks: of a group. cycles: that a second word adds to a frame, 0 where it is free; once: that
    the layer's first one adds besides.

    In a depthwise layer, where a word is all that a group has, the groups are the blocks of one.
    """

    group: NDArray[np.int32]
    block: NDArray[np.int32]
    blocks: int
    cycles: int
    once: int = 0

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1

    def counts(self, two: NDArray[np.bool_]) -> tuple[int, ...]:
        """Second words that each group needs where ``two`` (O, I // groups, kh, kw) marks weights
        of two terms: up to the last block that holds one."""
        found = np.zeros(self.groups, np.int64)
        needed = np.where(two, self.block + 1, 0).reshape(len(self.group), -1).max(axis=1)
        np.maximum.at(found, self.group, needed)
        return tuple(int(n) for n in found)

    def allowed(self, counts: Sequence[int]) -> NDArray[np.bool_]:
        """Weights (O, I // groups, kh, kw) that may have two terms with so many second words."""
        own = np.asarray(counts, np.int64)[self.group]
        return np.asarray(self.block < own[:, None, None, None])

    def added_cycles(self, counts: Sequence[int]) -> int:
        """Array cycles a frame of so many second words a group, in at most MOST_RUNS runs."""
        return self.cycles * sum(merge_runs(counts, MOST_RUNS)) + self.once * any(counts)


@dataclass(frozen=True, eq=False)
class WordPlan:
    """The words of a network on an array.

    words: by convolution. one_term_cycles: array cycles a frame without any second word. array:
    what the file records of the array (board, units, pixels).
    """

    words: Mapping[str, SecondWords]
    one_term_cycles: int
    array: Mapping[str, Any] = field(default_factory=dict)

    def share(self, counts: Mapping[str, Sequence[int]]) -> float:
        """f: added array cycles over one-term array cycles."""
        added = sum(self.words[name].added_cycles(own) for name, own in counts.items())
        return added / self.one_term_cycles


WordPlanner: TypeAlias = Callable[[FloatGraph, Orders], WordPlan]
"""The planner's words of a network whose channels lie in the given orders."""


def merge_runs(counts: Sequence[int], most: int) -> tuple[int, ...]:
    """The least counts, none below the given ones, that change at most most - 1 times."""
    values = np.asarray(counts, np.int64)
    n = len(values)
    if n == 0 or 1 + int(np.count_nonzero(np.diff(values))) <= most:
        return tuple(int(v) for v in values)
    # best[r][e]: least sum of the first e counts in r runs; a run is as high as its highest count.
    high = np.maximum.accumulate(
        np.where(np.tri(n, dtype=bool).T, values[None, :], 0), axis=1
    )  # high[b, e]: of counts b..e
    size = np.arange(n)[None, :] - np.arange(n)[:, None] + 1
    cost = np.where(size > 0, high * size, np.iinfo(np.int64).max // 4)
    best, begins = cost[0], [np.zeros(n, np.int64)]
    for _ in range(most - 1):
        total = np.concatenate([[0], best[:-1]])[:, None] + cost
        begins.append(total.argmin(axis=0))
        best = total.min(axis=0)
    out, end = values.copy(), n - 1
    for begin in reversed(begins):
        start = int(begin[end])
        out[start : end + 1] = high[start, end]
        end = start - 1
        if end < 0:
            break
    return tuple(int(v) for v in out)
