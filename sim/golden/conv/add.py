"""Residual addition with one rounding.

``y = clamp(rhe((a * 2**(ea-e) + b * 2**(eb-e)) / 2**(eo-e)))`` with ``e = min(ea, eb)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.golden.conv.requantise import clamp, divide_half_even

__all__ = ["add"]


def add(
    a: NDArray[Any],
    b: NDArray[Any],
    exponents: tuple[int, int, int],
    lo: int,
    hi: int,
) -> NDArray[np.int64]:
    """Return the codes of a + b on the output grid, clamped to [lo, hi].

    a, b: integer codes (N, C, H, W) of equal shape; exponents: those of a, b and the output.
    """
    exponent_a, exponent_b, exponent_out = exponents
    finest = min(exponent_a, exponent_b)
    left_a, left_b = exponent_a - finest, exponent_b - finest
    # Codes have at most 32 bits: past 28 more, the sum is kept in Python integers.
    kind: type = np.int64 if max(left_a, left_b) <= 28 else object
    total = _shifted(a, left_a, kind) + _shifted(b, left_b, kind)
    rounded = divide_half_even(total, exponent_out - finest)
    return clamp(rounded, lo, hi)


def _shifted(codes: NDArray[Any], left: int, kind: type) -> NDArray[Any]:
    wide: NDArray[Any] = codes.astype(np.int64).astype(kind, copy=False)
    result: NDArray[Any] = wide * (1 << left)
    return result
