"""The unit's numeric contract in plain Python integers and fractions, apart from all other code."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

INT32 = (-(2**31), 2**31 - 1)


def saturate(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def round_half_even(value: Fraction) -> int:
    return round(value)  # Fraction rounds half to even


@cache
def af_parts(code: int, bits: int, exp_bits: int) -> tuple[int, int]:
    """Signed significand and exponent field."""
    man_bits = bits - exp_bits - 1
    man = code % 2**man_bits
    exponent = code // 2**man_bits % 2**exp_bits
    if man == 0 and exponent == 0:
        return 0, 0
    return (2**man_bits + man) * (-1 if code >= 2 ** (bits - 1) else 1), exponent


def integers(codes: NDArray[np.uint8], bits: int, exp_bits: int) -> NDArray[np.int64]:
    """Significand times 2^exponent of each code."""
    table = []
    for code in range(2**bits):
        sig, exponent = af_parts(code, bits, exp_bits)
        table.append(sig * 2**exponent)
    return np.array(table, dtype=np.int64)[codes]


def shift_integers(codes: NDArray[np.uint8], terms: int) -> NDArray[np.int64]:
    """Sum of the terms' powers of two."""
    one = [0 if c % 8 == 0 else (-1 if c >= 8 else 1) * 2 ** (c % 8 - 1) for c in range(16)]
    table = [one[c % 16] + (one[c // 16] if terms == 2 else 0) for c in range(256)]
    return np.array(table, dtype=np.int64)[codes]


@cache
def fixed_to_af(fixed: int, frac: int, bias: int, bits: int, exp_bits: int) -> int:
    man_bits = bits - exp_bits - 1
    sign = 2 ** (bits - 1) if fixed < 0 else 0
    size = Fraction(abs(fixed), 2**frac)
    ulp = Fraction(1, 2**man_bits)
    top = 2**exp_bits - 1
    least = Fraction(2) ** bias * (1 + ulp)
    most = Fraction(2) ** (bias + top) * (2 - ulp)
    if size <= least / 2:
        return 0
    if size < least:
        return sign + 1
    if size >= most:
        return sign + 2 ** (bits - 1) - 1
    exponent = next(e for e in range(top, -1, -1) if size >= Fraction(2) ** (bias + e))
    sig = round_half_even(size / (Fraction(2) ** (bias + exponent) * ulp))
    if sig == 2 ** (man_bits + 1):
        exponent, sig = exponent + 1, 2**man_bits
    if exponent > top:
        return sign + 2 ** (bits - 1) - 1
    return sign + exponent * 2**man_bits + sig - 2**man_bits


@cache
def post(
    acc: int, shift: int, bias: int, relu: bool, frac: int, out_bias: int, bits: int, exp_bits: int
) -> int:
    fixed = saturate(round_half_even(acc / Fraction(2) ** shift), *INT32)
    fixed = saturate(fixed + bias, *INT32)
    if relu:
        fixed = max(fixed, 0)
    return fixed_to_af(fixed, frac, out_bias, bits, exp_bits)


def accumulate(
    a: NDArray[np.int64], b: NDArray[np.int64], lanes: int, saturating: bool
) -> NDArray[np.int64]:
    """(m, n): sums of ``lanes`` products, one after the other, saturated after each."""
    acc = np.zeros((a.shape[0], b.shape[0]), dtype=np.int64)
    for k in range(0, a.shape[1], lanes):
        acc = acc + a[:, k : k + lanes] @ b[:, k : k + lanes].T
        if saturating:
            acc = np.clip(acc, *INT32)
    return acc
