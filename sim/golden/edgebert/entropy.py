"""Entropy of logits and the early-exit decision.

H = ln S + sum d p with d = M - x, p = e**-d / S: the formula ln S + M - sum x e**(x-M) / S without
its cancellation and its division.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.fixed import Ints, shift_round
from shiftforge.sim.golden.edgebert.softmax import distance, log2_sum, power
from shiftforge.sim.golden.edgebert.tables import LN2

__all__ = ["ENTROPY_FRACTION", "entropy", "exits"]

ENTROPY_FRACTION = 16
"""Fraction bits of entropies and thresholds."""


def entropy(logits: ArrayLike, fraction: int) -> Ints:
    """Return H (R,) in nats with 16 fraction bits, of logits (R, C), C = 1..512."""
    x = np.asarray(logits, dtype=np.int64)
    if x.ndim != 2 or not 1 <= x.shape[1] <= 512:
        raise InputError(Problem("entropy takes rows of 1..512 logits"))
    d, v = distance(x, x.max(axis=1, keepdims=True), fraction)
    log_total = log2_sum(power(v).sum(axis=1, keepdims=True))
    spread = (d * power(v + log_total)).sum(axis=1)
    return shift_round(log_total[:, 0] * LN2, 15) + shift_round(spread, fraction + 6)


def exits(value: ArrayLike, threshold: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return whether H <= threshold (both with 16 fraction bits)."""
    return np.asarray(np.asarray(value, dtype=np.int64) <= threshold, dtype=np.bool_)
