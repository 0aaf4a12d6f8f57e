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
_FLOAT_EXACT = 1 << 53


def shift_round(value: ArrayLike, right: ArrayLike) -> Ints:
    """Return ``rhe(value / 2**right)``; a negative ``right`` is a left shift, saturated to 32 bits.

    value, right: integers that broadcast. Right shifts never saturate. ``rhe``: ties to even.
    """
    v = np.asarray(value, dtype=np.int64)
    s = np.asarray(right, dtype=np.int64)
    if v.size and max(int(v.max()), -int(v.min())) >= _LIMIT:
        raise InputError(Problem("a value of 2**61 or more cannot be shifted", "use smaller codes"))
    if not s.size or not v.size:
        return np.zeros(np.broadcast_shapes(v.shape, s.shape), dtype=np.int64)
    least, most = int(s.min()), int(s.max())
    if most <= 0 and least == 0:
        return np.array(np.broadcast_to(v, np.broadcast_shapes(v.shape, s.shape)))
    # |v| < 2**61: every shift past 62 gives 0 as well.
    down: Ints = np.minimum(np.maximum(s, 0), 62) if least < 0 or most > 62 else s
    # Half of the divisor, less one where the quotient is even, so that a tie goes to the even one.
    half = (np.int64(1) << down) >> 1
    tie = ((v >> down) & 1) - 1
    if least <= 0:
        tie = np.where(down > 0, tie, 0)
    rounded: Ints = (v + half + tie) >> down
    if least >= 0:
        return rounded
    up = np.minimum(np.maximum(-s, 0), 31)  # shifted by 31 or more: saturated or exactly -2**31
    left = saturate(np.minimum(np.maximum(v, -(1 << 31)), 1 << 31) << up, 32)
    return np.where(s < 0, left, rounded)


def saturate(value: ArrayLike, bits: int) -> Ints:
    """Clamp to ``bits`` bits, signed."""
    v = np.asarray(value, dtype=np.int64)
    top = 1 << (bits - 1)
    clamped: Ints = np.minimum(np.maximum(v, np.int64(-top)), np.int64(top - 1))
    return clamped


def bit_length(value: ArrayLike) -> Ints:
    """Return floor(log2 value) + 1 of non-negative integers, 0 for 0."""
    v: NDArray[Any] = np.asarray(value, dtype=np.int64)
    top = int(v.max(initial=0))
    if top < _FLOAT_EXACT:
        # v = f 2**e with 1/2 <= f < 1, exactly, as float64 holds v; 0 has e = 0.
        length: Ints = np.frexp(v.astype(np.float64))[1].astype(np.int64)
        return length
    high = v >> 32
    return np.where(high > 0, 32 + bit_length(high), bit_length(v & 0xFFFFFFFF))


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
