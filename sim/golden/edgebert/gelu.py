"""GELU in its tanh form (gelu_new): max(t, 0) - h(|t|), h by 128 linear segments over [0, 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.fixed import Ints, shift_round
from shiftforge.sim.golden.edgebert.tables import gelu_table, interpolate

__all__ = ["gelu"]


def gelu(t: ArrayLike, fraction: int) -> Ints:
    """Return gelu_new of 32-bit fixed point with F (5..16) fraction bits, in the same format."""
    if not 5 <= fraction <= 16:
        raise InputError(Problem(f"GELU with {fraction} fraction bits", "use 5..16"))
    x = np.asarray(t, dtype=np.int64)
    u = np.minimum(np.abs(x), 4 << fraction)
    h = shift_round(interpolate(gelu_table(), u, fraction - 5), 11)
    return np.maximum(x, 0) - np.where(u >= 4 << fraction, 0, h)
