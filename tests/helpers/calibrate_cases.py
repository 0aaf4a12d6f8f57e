"""A small MobileNetV2 and images for the calibration tests."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatGraph


@cache
def small_graph() -> FloatGraph:
    """Width 0.35 at 64x64, random weights whose activations fill their ranges."""
    return load_source("mobilenet_v2_random:0.35:64")


def smooth_images(count: int, seed: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """Blurred noise, uint8 (N, size, size, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, size // 8, size // 8, 3))
    fine = np.kron(coarse, np.ones((1, 8, 8, 1))) + rng.normal(0, 12, (count, size, size, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)
