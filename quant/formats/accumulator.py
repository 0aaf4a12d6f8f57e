"""Exact accumulator widths, so that no accumulator is wider than it must be and none wraps.

For a channel with weights w, bias b and input codes in [qmin, qmax] (0 included: padding), the sum
of any subset of the products in any order lies in [-N, P] with P = qmax * sum|w+| - qmin * sum|w-|
and N = qmax * sum|w-| - qmin * sum|w+|. The width is 1 + ceil(log2(max(P, N) + |b| + offset + 1)):
for uint8 that is the formula 1 + ceil(log2(max(255 sum|w+| + |b|, 255 sum|w-| + |b|) + 1)).
The rounding offset is what a half-to-even shift adds before it shifts, at most 2**(r-1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.quant.graph.types import Grid

__all__ = ["accumulator_bits", "accumulator_bound", "data_free_bits"]


def accumulator_bound(
    weight: NDArray[np.integer], bias: ArrayLike, grid: Grid, shift: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Largest magnitude each channel's accumulator can reach, int64 (O,).

    weight: integers (O, I/g, kh, kw). bias: integers (O,). grid: of the input codes.
    shift: the right shift r (O,) of a pure-shift requantisation, whose rounding offset is then
    included; None or r <= 0 adds nothing.
    """
    rows = np.asarray(weight, dtype=np.int64).reshape(np.shape(weight)[0], -1)
    positive = np.maximum(rows, 0).sum(axis=1)
    negative = np.maximum(-rows, 0).sum(axis=1)
    high = grid.qmax * positive - grid.qmin * negative
    low = grid.qmax * negative - grid.qmin * positive
    bound = np.maximum(high, low) + np.abs(np.asarray(bias, dtype=np.int64))
    if shift is not None:
        r = np.clip(np.asarray(shift, dtype=np.int64), 0, 62)
        bound = bound + ((np.int64(1) << r) >> 1)
    return np.asarray(bound, dtype=np.int64)


def accumulator_bits(
    weight: NDArray[np.integer], bias: ArrayLike, grid: Grid, shift: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Signed accumulator width of each channel, uint8 (O,); arguments as accumulator_bound."""
    bound = accumulator_bound(weight, bias, grid, shift)
    # 1 + ceil(log2(n + 1)) is 1 + bit length of n, exactly.
    return np.array([1 + int(n).bit_length() for n in bound], dtype=np.uint8)


def data_free_bits(taps: int, bits: int, terms: int, qmax: int = 255) -> int:
    """Width that suffices for any SHIFT<bits> weights without bias.

    taps: K, products summed. P = 1 + ceil(log2(qmax * K * M + 1)), where M = 2**(E-1) for one term
    and 1.5 * 2**(E-1) for two, E = 2**(bits-1) - 1. bits >= 3; terms 1 or 2.
    """
    top = 1 << ((1 << (bits - 1)) - 2)
    magnitude = top if terms == 1 else top + top // 2
    return 1 + (qmax * taps * magnitude).bit_length()
