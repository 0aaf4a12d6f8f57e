"""Softmax of rows in three passes, with the attention-span mask and no renormalisation.

Pass 1: M = max x. Pass 2: S = sum e**(x - M). Pass 3: y = e**(x - M - ln S), times the mask.
Exponentials are powers of two: v = d log2 e with 15 fraction bits, ln S enters as log2 S, so that
neither a division nor a second constant is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, fixed_to_af
from shiftforge.sim.golden.edgebert.fixed import Ints, normalise, shift_round
from shiftforge.sim.golden.edgebert.tables import LOG2E, exp2_table, interpolate, log2_table

__all__ = [
    "EXP_FRACTION",
    "MASK_ONE",
    "distance",
    "log2_sum",
    "power",
    "softmax_af",
    "softmax_fixed",
    "span_rows",
    "span_table",
]

EXP_FRACTION = 22
"""Fraction bits of exponentials, of their sum, and of probabilities."""
MASK_ONE = 256
"""The mask value 1: masks have 8 fraction bits."""


def distance(x: Ints, top: Ints, fraction: int) -> tuple[Ints, Ints]:
    """Return d = M - x saturated to F + 5 bits, and v = rhe(d * log2 e) with 15 fraction bits."""
    d = np.minimum(top - x, (1 << (fraction + 5)) - 1)
    return d, shift_round(d * LOG2E, fraction)


def power(v: Ints) -> Ints:
    """Return rhe(2**-v) with 22 fraction bits; v >= 0 with 15."""
    n = interpolate(exp2_table(), v & 0x7FFF, 10)
    return shift_round(n, (v >> 15) + 25 - EXP_FRACTION)


def log2_sum(total: ArrayLike) -> Ints:
    """Return log2 of a sum with 22 fraction bits (at least 1.0), with 15 fraction bits."""
    p, g = normalise(total, 15)
    n = interpolate(log2_table(), g - (1 << 15), 9)
    return ((p - EXP_FRACTION) << 15) + shift_round(n, 9)


def softmax_fixed(x: ArrayLike, fraction: int, mask: ArrayLike | None = None) -> Ints:
    """Return probabilities (R, L) with 22 fraction bits, of rows x (R, L) with F fraction bits.

    L: 1..512, valid columns only. mask: (R, L) of 0..256, or None for no mask.
    """
    t = np.asarray(x, dtype=np.int64)
    if t.ndim != 2 or not 1 <= t.shape[1] <= 512:
        raise InputError(Problem("softmax takes rows of 1..512 elements"))
    _, v = distance(t, t.max(axis=1, keepdims=True), fraction)
    total = power(v).sum(axis=1, keepdims=True)
    y = power(v + log2_sum(total))
    if mask is None:
        return y
    weights = np.asarray(mask, dtype=np.int64)
    if weights.size and (int(weights.min()) < 0 or int(weights.max()) > MASK_ONE):
        raise InputError(Problem("a span mask leaves 0..256", "256 stands for 1"))
    return shift_round(y * weights, 8)


def softmax_af(
    x: ArrayLike,
    fraction: int,
    out_bias: int,
    mask: ArrayLike | None = None,
    fmt: AfFormat = AF8,
) -> NDArray[np.uint8]:
    """Return :func:`softmax_fixed` as AF codes with exponent bias ``out_bias``."""
    return fixed_to_af(softmax_fixed(x, fraction, mask), EXP_FRACTION, out_bias, fmt)


def span_table(z: int, ramp: int, length: int) -> Ints:
    """Return clamp(rhe((256 (R - x) + z) / R), 0, 256) for x = 0 .. length - 1.

    z: the learned span with 8 fraction bits; ramp: R, in tokens (m_z(x) = clamp((R+z-x)/R, 0, 1)).
    """
    if ramp < 1:
        raise InputError(Problem(f"a ramp of {ramp} tokens", "use 1 or more"))
    numerator = MASK_ONE * (ramp - np.arange(length, dtype=np.int64)) + z
    quotient = numerator // ramp
    rest = 2 * (numerator - quotient * ramp)
    up = (rest > ramp) | ((rest == ramp) & (quotient & 1 == 1))
    table: Ints = np.clip(quotient + up, 0, MASK_ONE)
    return table


def span_rows(table: ArrayLike, rows: int, columns: int) -> Ints:
    """Return the mask (rows, columns) with table[|i - j|]; past its end the table is 0."""
    entries = np.append(np.asarray(table, dtype=np.int64), 0)
    apart = np.abs(np.arange(rows)[:, None] - np.arange(columns)[None, :])
    mask: Ints = entries[np.minimum(apart, len(entries) - 1)]
    return mask
