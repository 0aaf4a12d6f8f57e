"""Signal-to-quantisation-noise ratio, the measure by which formats are compared."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.quant.formats.encode import nearest

__all__ = ["best_sqnr_db", "sqnr_db"]


def sqnr_db(reference: ArrayLike, approximation: ArrayLike) -> float:
    """10 log10 of signal power over error power, in dB; infinite without error.

    reference, approximation: real values of one shape. Raises ValueError for unequal shapes.
    """
    signal = np.asarray(reference, dtype=np.float64)
    other = np.asarray(approximation, dtype=np.float64)
    if signal.shape != other.shape:
        raise ValueError(f"shapes differ: {signal.shape} and {other.shape}")
    noise = float(np.square(signal - other).sum())
    power = float(np.square(signal).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power else -math.inf


def best_sqnr_db(values: ArrayLike, levels: ArrayLike, steps: int = 48) -> float:
    """SQNR of values on the levels at the best real scale, in dB.

    The scale is searched over `steps` points an octave apart by 1/8, from the one whose largest
    level meets the largest value downward.
    """
    v = np.asarray(values, dtype=np.float64)
    top = float(np.max(np.asarray(levels, dtype=np.float64)))
    cover = float(np.abs(v).max()) / top
    scales = cover * 2.0 ** (1.0 - np.arange(steps) / 8)
    return max(sqnr_db(v, nearest(v / scale, levels) * scale) for scale in scales)
