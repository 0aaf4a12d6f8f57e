"""Post-processing of accumulators: shift, bias, ReLU, and conversion to AF."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, fixed_to_af
from shiftforge.sim.golden.edgebert.fixed import Ints, saturate, shift_round

__all__ = ["Activation", "post_af", "post_fixed", "shift_amount_af", "shift_amount_shift"]

Activation = Literal["none", "relu"]


def shift_amount_af(
    a_bias: int, b_bias: int, fraction: int, scale_log2: int = 0, fmt: AfFormat = AF8
) -> int:
    """Return sh of an AF x AF product for ``fraction`` bits, t times 2**scale_log2."""
    return 2 * fmt.man_bits - a_bias - b_bias - fraction - scale_log2


def shift_amount_shift(
    a_bias: int, z: ArrayLike, fraction: int, fmt: AfFormat = AF8
) -> NDArray[np.int64]:
    """Return sh[o] of an AF x SHIFT product with the channels' weight exponents z."""
    return np.int64(fmt.man_bits - a_bias - fraction) - np.asarray(z, dtype=np.int64)


def post_fixed(
    acc: ArrayLike, shift: ArrayLike, bias: ArrayLike, activation: Activation = "none"
) -> Ints:
    """Return t (M, N) as 32-bit fixed point.

    acc: (M, N); shift: -64..63, one or (N,); bias: int32, one or (N,), in the result's fixed point.
    """
    sh, offset = np.asarray(shift, dtype=np.int64), np.asarray(bias, dtype=np.int64)
    if ((sh < -64) | (sh > 63)).any():
        raise InputError(Problem("a post-shift leaves -64..63", "choose other exponent biases"))
    if not np.array_equal(saturate(offset, 32), offset):
        raise InputError(Problem("a bias has more than 32 bits"))
    t = saturate(shift_round(acc, sh), 32)
    t = saturate(t + offset, 32)
    return np.maximum(t, 0) if activation == "relu" else t


def post_af(
    acc: ArrayLike,
    shift: ArrayLike,
    bias: ArrayLike,
    activation: Activation,
    fraction: int,
    out_bias: int,
    fmt: AfFormat = AF8,
) -> NDArray[np.uint8]:
    """Return the AF codes (M, N) of :func:`post_fixed`, with exponent bias ``out_bias``."""
    return fixed_to_af(post_fixed(acc, shift, bias, activation), fraction, out_bias, fmt)
