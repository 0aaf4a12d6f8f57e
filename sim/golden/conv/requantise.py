"""Requantisation of accumulators: one exact division by a power of two, rounded half to even.

Formulas (semantics of the integer graph, ``shiftforge.quant.graph.types``):

* shift:       ``y = clamp(rhe(acc / 2**r))``, ``r = out.exponent - x.exponent - z``; for r <= 0
  this is ``clamp(acc * 2**-r)``.
* multiplier:  ``y = clamp(rhe(acc * m / 2**s))``.

Values are int64 where every intermediate provably stays below 2**62, and Python integers (object
arrays) otherwise, so that no operand can wrap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "clamp",
    "divide_half_even",
    "requantise_multiplier",
    "requantise_shift",
    "shift_amounts",
]

_SAFE_BITS = 62


def shift_amounts(z: NDArray[np.int8], x_exponent: int, out_exponent: int) -> NDArray[np.int64]:
    """Return r (O,) of the shift requantisation; positive r divides, negative r multiplies."""
    return np.int64(out_exponent - x_exponent) - z.astype(np.int64)


def divide_half_even(value: NDArray[Any], right: NDArray[np.int64] | int) -> NDArray[Any]:
    """Return ``rhe(value / 2**right)``, exactly; a negative ``right`` is a left shift.

    value: integer array of any size; right: scalar or an array that broadcasts against value.
    The result is int64, or an object array of Python integers where int64 could not hold a step.
    """
    amount = np.atleast_1d(np.asarray(right, dtype=np.int64))
    down = np.maximum(amount, 0)
    up = np.maximum(-amount, 0)
    reach = _magnitude(value) << int(up.max(initial=0))
    wide = reach.bit_length() >= _SAFE_BITS or int(down.max(initial=0)) >= _SAFE_BITS
    kind: type = object if wide else np.int64
    numerator: NDArray[Any] = value.astype(kind, copy=False)
    one: NDArray[Any] = np.ones_like(down).astype(kind)
    if up.any():
        numerator = numerator << up.astype(kind)
    down = down.astype(kind)
    quotient = numerator >> down
    rest = numerator - (quotient << down)
    # rest / 2**down > 1/2, or == 1/2 with an odd quotient; both sides doubled, ties made odd.
    bump = (2 * rest + (quotient & 1)) > (one << down)
    rounded: NDArray[Any] = quotient + bump.astype(kind)
    return rounded


def requantise_shift(
    acc: NDArray[np.int64], right: NDArray[np.int64], lo: int, hi: int
) -> NDArray[np.int64]:
    """Requantise acc (N, O, H, W) by the shift right[o] of each channel, clamped to [lo, hi]."""
    return clamp(divide_half_even(acc, right[:, None, None]), lo, hi)


def requantise_multiplier(
    acc: NDArray[np.int64],
    multiplier: NDArray[np.int64] | int,
    right: NDArray[np.int64] | int,
    lo: int,
    hi: int,
) -> NDArray[np.int64]:
    """Requantise acc (N, O, H, W) by ``multiplier / 2**right``, clamped to [lo, hi].

    multiplier, right: one for each channel (O,), or one for all.
    """
    factor = _column(multiplier)
    reach = _magnitude(acc) * _magnitude(factor)
    if reach.bit_length() < _SAFE_BITS:
        product: NDArray[Any] = acc * factor
    else:
        product = acc.astype(object) * factor.astype(object)
    return clamp(divide_half_even(product, _column(right)), lo, hi)


def clamp(value: NDArray[Any], lo: int, hi: int) -> NDArray[np.int64]:
    """Limit integers (int64 or Python integers) to [lo, hi]; the result is int64."""
    limited: NDArray[Any] = np.minimum(np.maximum(value, lo), hi)
    return limited.astype(np.int64, copy=False)


def _column(value: NDArray[np.int64] | int) -> NDArray[np.int64]:
    array = np.asarray(value, dtype=np.int64)
    return array[:, None, None] if array.ndim == 1 else array


def _magnitude(value: NDArray[Any]) -> int:
    return max(int(value.max(initial=0)), -int(value.min(initial=0)))
