"""Layer norm of rows: mean, variance and inverse square root in integers, with a block exponent.

Centred values are brought to 16 bits by one shift k a row, so that their squares fit any variance;
the normalised value c sqrt(H) / sqrt(sum c**2) depends on neither k nor F.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.fixed import Ints, bit_length, normalise, saturate, shift_round
from shiftforge.sim.golden.edgebert.tables import interpolate, rsqrt_tables, scaled

__all__ = ["NORM_FRACTION", "NormConstants", "layer_norm", "norm_constants", "normalised"]

NORM_FRACTION = 10
"""Fraction bits of the normalised value."""


@dataclass(frozen=True)
class NormConstants:
    """The host's constants of one layer norm (registers of the unit).

    reciprocal: rhe(2**(23 + hb) / H), hb = bit_length(H - 1). root, root_shift: sqrt(H) is
    root * 2**(root_shift - 15). epsilon: rhe(eps * H * 2**(2F + 8)).
    """

    size: int
    fraction: int
    reciprocal: int
    size_bits: int
    root: int
    root_shift: int
    epsilon: int


def norm_constants(size: int, fraction: int, epsilon: float | str = 0.0) -> NormConstants:
    """Return the constants for rows of ``size`` (2..4096) elements with F fraction bits."""
    if not 2 <= size <= 4096:
        raise InputError(Problem(f"layer norm over {size} elements", "use 2..4096"))
    hb = (size - 1).bit_length()
    root_shift = (size.bit_length() - 1) // 2
    eps = round(Fraction(epsilon) * size * 2 ** (2 * fraction + 8))
    if not 0 <= eps < 1 << 32:
        raise InputError(Problem(f"epsilon {epsilon} does not fit 32 bits", "use a smaller one"))
    return NormConstants(
        size,
        fraction,
        round(Fraction(1 << (23 + hb), size)),
        hb,
        scaled(Decimal(size).sqrt(), 15 - root_shift),
        root_shift,
        eps,
    )


def normalised(x: ArrayLike, constants: NormConstants) -> Ints:
    """Return (x - mean) / sigma of rows x (R, H), 16 bits with 10 fraction bits; 0 where W = 0."""
    t = saturate(x, 20)
    if t.ndim != 2 or t.shape[1] != constants.size:
        raise InputError(Problem(f"layer norm takes rows of {constants.size} elements"))
    total = t.sum(axis=1, keepdims=True)
    mean = shift_round(total * constants.reciprocal, 19 + constants.size_bits)
    high = 16 * t.max(axis=1, keepdims=True) - mean
    low = mean - 16 * t.min(axis=1, keepdims=True)
    top = np.maximum(np.maximum(high, low), 0)
    k = np.maximum(bit_length(top) - 15, 0)
    c = saturate(shift_round(16 * t - mean, k), 16)
    w = (c * c).sum(axis=1, keepdims=True) + shift_round(constants.epsilon, 2 * k)
    p, g = normalise(np.maximum(w, 1), 15)
    even, odd = rsqrt_tables()
    position = g - (1 << 15)
    root = shift_round(
        np.where(p & 1, interpolate(odd, position, 10), interpolate(even, position, 10)), 10
    )
    scale = shift_round(root * constants.root, 15)
    z = saturate(shift_round(c * scale, 5 - constants.root_shift + (p >> 1)), 16)
    return np.where(w == 0, 0, z)


def layer_norm(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    gamma_fraction: int,
    constants: NormConstants,
) -> Ints:
    """Return rows (R, H), 32 bits with F fraction bits.

    x: (R, H) fixed point, saturated to 20 bits; gamma: (H,) int16 with 0..15 fraction bits;
    beta: (H,) int32 with F fraction bits.
    """
    weight, offset = np.asarray(gamma, dtype=np.int64), np.asarray(beta, dtype=np.int64)
    if not np.array_equal(saturate(weight, 16), weight):
        raise InputError(Problem("a gamma has more than 16 bits", "use fewer fraction bits"))
    if not np.array_equal(saturate(offset, 32), offset):
        raise InputError(Problem("a beta has more than 32 bits"))
    right = NORM_FRACTION + gamma_fraction - constants.fraction
    return saturate(shift_round(normalised(x, constants) * weight, right) + offset, 32)
