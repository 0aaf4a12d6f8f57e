"""Global average pooling: ``y = clamp(rhe(S * m / 2**s))``, S being the sum of all H*W codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.golden.conv.requantise import requantise_multiplier

__all__ = ["pool"]


def pool(x: NDArray[Any], multiplier: int, shift: int, lo: int, hi: int) -> NDArray[np.int64]:
    """Return the pooled codes (N, C, 1, 1) of x (N, C, H, W), clamped to [lo, hi].

    multiplier / 2**shift stands for ``2**(x.exponent - out.exponent) / (H*W)``.
    """
    total = x.sum(axis=(2, 3), dtype=np.int64, keepdims=True)
    return requantise_multiplier(total, multiplier, shift, lo, hi)
