"""AdaptivFloat<bits, exp_bits> codes: taken apart, put together, and made from fixed point.

A code is sign | exponent | mantissa; m = bits - exp_bits - 1. With an exponent bias B the value is
``(-1)**sign * s * 2**(exp + B - m)``, s = 2**m + man, and zero where exp = man = 0. There are no
denormals, infinities or NaN. Smallest value 2**B (1 + 2**-m), largest
2**(B + 2**exp_bits - 1) (2 - 2**-m).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.fixed import Ints, bit_length, saturate, shift_round

__all__ = [
    "AF8",
    "AfFormat",
    "af_fields",
    "af_to_fixed",
    "af_values",
    "fixed_to_af",
    "signed_value",
]

_MAX_F = 40  # fraction bits that fixed_to_af takes


@dataclass(frozen=True)
class AfFormat:
    """bits: 3..8 in all, sign included; exp_bits: 1..4, leaving at least one mantissa bit."""

    bits: int = 8
    exp_bits: int = 3

    def __post_init__(self) -> None:
        if not (3 <= self.bits <= 8 and 1 <= self.exp_bits <= 4 and self.man_bits >= 1):
            raise InputError(
                Problem(
                    f"AF<{self.bits},{self.exp_bits}> is not supported",
                    "use 3..8 bits, 1..4 of them exponent, at least one mantissa bit",
                )
            )

    @property
    def man_bits(self) -> int:
        """m, the stored mantissa bits."""
        return self.bits - self.exp_bits - 1

    @property
    def exp_top(self) -> int:
        """The largest exponent code."""
        return (1 << self.exp_bits) - 1

    @property
    def largest(self) -> int:
        """Largest |s * 2**exp|."""
        return ((2 << self.man_bits) - 1) << self.exp_top


AF8 = AfFormat()


def af_fields(codes: ArrayLike, fmt: AfFormat = AF8) -> tuple[Ints, Ints, Ints]:
    """Return (negative 0/1, significand s with 0 for zero, exponent code) of codes."""
    c = np.asarray(codes, dtype=np.int64)
    if c.size and (int(c.min()) < 0 or int(c.max()) >= 1 << fmt.bits):
        raise InputError(Problem(f"a code does not fit {fmt.bits} bits"))
    m = fmt.man_bits
    man = c & ((1 << m) - 1)
    exp = (c >> m) & fmt.exp_top
    zero = (man == 0) & (exp == 0)
    return c >> (fmt.bits - 1), np.where(zero, 0, (1 << m) + man), exp


def signed_value(codes: ArrayLike, fmt: AfFormat = AF8) -> Ints:
    """Return ``+-s * 2**exp``: the code's value in units of 2**(B - m)."""
    c = np.asarray(codes)
    if c.dtype == np.uint8 and fmt.bits == 8:
        values: Ints = _all_values(fmt)[c]
        return values
    negative, s, exp = af_fields(c, fmt)
    return np.where(negative == 1, -(s << exp), s << exp)


@cache
def _all_values(fmt: AfFormat) -> Ints:
    """Of every code, in order: what a large matrix takes its values from."""
    return signed_value(np.arange(1 << fmt.bits), fmt)


def af_values(codes: ArrayLike, bias: int, fmt: AfFormat = AF8) -> NDArray[np.float64]:
    """Return the real values (exact in float64)."""
    return np.ldexp(signed_value(codes, fmt).astype(np.float64), bias - fmt.man_bits)


def af_to_fixed(codes: ArrayLike, bias: int, fraction: int, fmt: AfFormat = AF8) -> Ints:
    """Return ``sat32(rhe(value * 2**fraction))``."""
    right = fmt.man_bits - bias - fraction
    return saturate(shift_round(signed_value(codes, fmt), right), 32)


def fixed_to_af(t: ArrayLike, fraction: int, bias: int, fmt: AfFormat = AF8) -> NDArray[np.uint8]:
    """Return the codes of ``t * 2**-fraction`` with exponent bias ``bias``.

    t: integers of up to 40 bits. fraction: up to 40. Half of the smallest value and less become
    zero (code 0), up to the smallest value the smallest value, past the largest the largest;
    otherwise the mantissa is rounded half to even, with a carry into the exponent.
    """
    v = np.asarray(t, dtype=np.int64)
    if v.size and max(int(v.max()), -int(v.min())) > 1 << 40:
        raise InputError(Problem("a fixed-point value has more than 40 bits"))
    if not (-_MAX_F <= fraction <= _MAX_F and -64 <= bias <= 63):
        raise InputError(Problem(f"fraction {fraction} or bias {bias} out of range"))
    m, u = fmt.man_bits, np.abs(v)
    one = bias + fraction  # log2 of 2**bias in units of t
    # u against v_min and v_min / 2, both times 2**(m + 1); beyond these limits nothing changes.
    least = ((1 << m) + 1) << min(max(one, 0), 50)
    scaled = (u << (m + 1)) << min(max(-one, 0), 9)
    zero = (u == 0) | (scaled <= least)
    smallest = ~zero & (scaled < 2 * least)
    p = bit_length(u) - 1
    s = shift_round(u << np.maximum(m - p, 0), np.maximum(p - m, 0))
    carry = s >> (m + 1)
    s = np.where(carry == 1, 1 << m, s)
    k = p + carry - one
    body = np.where(k > fmt.exp_top, (1 << (m + fmt.exp_bits)) - 1, (k << m) + s - (1 << m))
    body = np.where(smallest, 1, body)
    code = np.where(zero, 0, body | np.where(v < 0, 1 << (fmt.bits - 1), 0))
    return code.astype(np.uint8)
