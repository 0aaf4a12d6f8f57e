"""Element-wise addition of two AF tensors with three exponent biases: exact, then one rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, fixed_to_af, signed_value
from shiftforge.sim.golden.edgebert.fixed import Ints, saturate, shift_round

__all__ = ["add_af", "add_exact", "add_fixed"]


def add_exact(
    a: ArrayLike, a_bias: int, b: ArrayLike, b_bias: int, fmt: AfFormat = AF8
) -> tuple[Ints, int]:
    """Return (t, fraction bits) of the exact sum; the biases differ by at most 16."""
    if abs(a_bias - b_bias) > 16:
        raise InputError(Problem(f"exponent biases {a_bias} and {b_bias} differ by more than 16"))
    least = min(a_bias, b_bias)
    left = signed_value(a, fmt) << (a_bias - least)
    right = signed_value(b, fmt) << (b_bias - least)
    return left + right, fmt.man_bits - least


def add_af(
    a: ArrayLike, a_bias: int, b: ArrayLike, b_bias: int, out_bias: int, fmt: AfFormat = AF8
) -> NDArray[np.uint8]:
    """Return the sum as AF codes with exponent bias ``out_bias``."""
    t, fraction = add_exact(a, a_bias, b, b_bias, fmt)
    return fixed_to_af(t, fraction, out_bias, fmt)


def add_fixed(
    a: ArrayLike, a_bias: int, b: ArrayLike, b_bias: int, fraction: int, fmt: AfFormat = AF8
) -> Ints:
    """Return the sum as 32-bit fixed point with ``fraction`` bits."""
    t, exact = add_exact(a, a_bias, b, b_bias, fmt)
    return saturate(shift_round(t, exact - fraction), 32)
