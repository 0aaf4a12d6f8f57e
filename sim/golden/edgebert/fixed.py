"""Exact integer helpers: rounded shifts and saturation on int64 arrays.

Ranges: every value given to :func:`shift_round` must stay below 2**61 in magnitude (checked); the
units' widest intermediate has 48 bits.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["Ints", "bit_length", "normalise", "saturate", "shift_round"]

Ints: TypeAlias = NDArray[np.int64]
_LIMIT = 1 << 61


def shift_round(value: ArrayLike, right: ArrayLike) -> Ints:
    """Return ``rhe(value / 2**right)``; a negative ``right`` is a left shift, saturated to 32 bits.

    value, right: integers that broadcast. Right shifts never saturate. ``rhe``: ties to even.
    """
    v = np.asarray(value, dtype=np.int64)
    s = np.asarray(right, dtype=np.int64)
    v, s = np.broadcast_arrays(v, s)
    if v.size and max(int(v.max()), -int(v.min())) >= _LIMIT:
        raise InputError(Problem("a value of 2**61 or more cannot be shifted", "use smaller codes"))
    down = np.clip(s, 0, 62)  # |v| < 2**61: every further shift gives 0 as well
    quotient = v >> down
    rest = v - (quotient << down)
    whole = np.int64(1) << down
    bump = (2 * rest > whole) | ((2 * rest == whole) & ((quotient & 1) == 1))
    rounded = quotient + (bump & (s > 0))
    up = np.clip(-s, 0, 31)  # a non-zero value shifted by 31 or more is saturated or exactly -2**31
    left = saturate(np.clip(v, -(1 << 31), 1 << 31) << up, 32)
    return np.where(s < 0, left, rounded)


def saturate(value: ArrayLike, bits: int) -> Ints:
    """Clamp to ``bits`` bits, signed."""
    v = np.asarray(value, dtype=np.int64)
    return np.clip(v, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def bit_length(value: ArrayLike) -> Ints:
    """Return floor(log2 value) + 1 of non-negative integers, 0 for 0."""
    v: NDArray[Any] = np.array(value, dtype=np.int64)
    length = np.zeros_like(v)
    for step in (32, 16, 8, 4, 2, 1):
        high = v >= (np.int64(1) << step)
        length += np.where(high, step, 0)
        v = np.where(high, v >> step, v)
    return length + (v > 0)


def normalise(value: ArrayLike, bits: int) -> tuple[Ints, Ints]:
    """Return (p, g) with value ~ g * 2**(p - bits), g in [2**bits, 2**(bits + 1)).

    value: positive integers. g is rounded half to even; where that carries, p goes up by one and
    g is 2**bits.
    """
    v = np.asarray(value, dtype=np.int64)
    p = bit_length(v) - 1
    up = np.maximum(bits - p, 0)
    g = shift_round(v << up, np.maximum(p - bits, 0))
    carry = g >> (bits + 1)
    return p + carry, np.where(carry == 1, np.int64(1) << bits, g)
