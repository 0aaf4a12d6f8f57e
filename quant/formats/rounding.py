"""The project's one rounding: half to even, on integers and from real values to codes.

Everything is exact in int64; a value that would leave int64 raises OverflowError, so nothing
wraps silently.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Grid

__all__ = ["quantise_to_grid", "rhe_mul_shift", "rhe_shift", "saturate"]

_MAX_SHIFT = 62


def rhe_shift(v: ArrayLike, r: ArrayLike) -> NDArray[np.int64]:
    """``v / 2**r`` rounded half to even; ``r <= 0`` shifts left, exactly.

    v: integers of any shape, within int64. r: integers in [-62, 62], broadcast against v.
    """
    values = np.asarray(v, dtype=np.int64)
    shift = np.asarray(r, dtype=np.int64)
    if np.any(np.abs(shift) > _MAX_SHIFT):
        raise OverflowError(f"shift outside [-{_MAX_SHIFT}, {_MAX_SHIFT}]")
    right = np.maximum(shift, 0)
    left = np.maximum(-shift, 0)
    floor = values >> right
    rest = values - (floor << right)
    half = (np.int64(1) << right) >> 1
    up = (rest > half) | ((rest == half) & (right > 0) & ((floor & 1) == 1))
    rounded = floor + up
    moved = rounded << left
    if np.any((moved >> left) != rounded):
        raise OverflowError("left shift leaves int64")
    return np.asarray(moved, dtype=np.int64)


def rhe_mul_shift(v: ArrayLike, m: ArrayLike, s: ArrayLike) -> NDArray[np.int64]:
    """``v * m / 2**s`` rounded half to even.

    v: integers, |v| < 2**32. m: integers, 0 < m < 2**31. s: integers in [0, 62]. All broadcast.
    """
    values = np.asarray(v, dtype=np.int64)
    factor = np.asarray(m, dtype=np.int64)
    if np.any(np.abs(values) >= 1 << 32) or np.any((factor <= 0) | (factor >= 1 << 31)):
        raise OverflowError("rhe_mul_shift needs |v| < 2**32 and 0 < m < 2**31")
    if np.any(np.asarray(s) < 0):
        raise OverflowError("rhe_mul_shift needs s >= 0")
    return rhe_shift(values * factor, s)


def saturate(v: ArrayLike, lo: int, hi: int) -> NDArray[np.int64]:
    """v clamped to [lo, hi]."""
    return np.clip(np.asarray(v, dtype=np.int64), lo, hi)


def quantise_to_grid(real: ArrayLike, grid: Grid) -> NDArray[np.int64]:
    """Codes of real values on a grid: round half to even, then saturate.

    real: finite or infinite values of any shape; infinities saturate.
    Raises InputError where a value is NaN.
    """
    values = np.asarray(real, dtype=np.float64)
    if np.isnan(values).any():
        raise InputError(Problem("value to quantise is NaN", "check the input for missing data"))
    scaled = np.rint(np.ldexp(values, -grid.exponent))
    return np.clip(scaled, grid.qmin, grid.qmax).astype(np.int64)
