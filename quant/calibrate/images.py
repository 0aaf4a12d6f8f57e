"""Calibration images: checked and normalised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.quant.graph.types import Preprocess

__all__ = ["normalise"]


def normalise(images: NDArray[np.generic], preprocess: Preprocess) -> NDArray[np.float32]:
    """Images (N, height, width, channels), values 0..255, as normalised floats (N, C, H, W).

    (N, height, width) is taken for one channel. Raises InputError for another shape, no image,
    values outside 0..255, NaN or infinity; images are not resized here.
    """
    values = np.asarray(images)
    if values.ndim == 3 and preprocess.channels == 1:
        values = values[..., None]
    wanted = (preprocess.height, preprocess.width, preprocess.channels)
    problems = Problems()
    if values.ndim != 4 or values.shape[1:] != wanted:
        shape = ", ".join(map(str, wanted))
        problems.append(
            Problem(
                f"images of shape {values.shape}, the network reads (N, {shape})",
                f"resize them to {preprocess.height}x{preprocess.width} with "
                f"{preprocess.channels} channel(s), channels last",
                "images",
            )
        )
    elif values.shape[0] == 0:
        problems.append(Problem("no image given", "give at least one", "images"))
    if values.dtype.kind not in "uif":
        problems.append(Problem(f"images of type {values.dtype}", "give uint8 values", "images"))
    elif not np.isfinite(values).all():
        bad = [str(i) for i in range(len(values)) if not np.isfinite(values[i]).all()]
        problems.append(
            Problem(
                f"NaN or infinity in image(s) {', '.join(bad[:8])}", "leave these out", "images"
            )
        )
    elif values.size and (values.min() < 0 or values.max() > 255):
        problems.append(
            Problem(
                f"pixel values from {values.min()} to {values.max()}",
                "give values 0..255, not yet normalised",
                "images",
            )
        )
    problems.stop()
    mean = np.asarray(preprocess.mean, dtype=np.float64)
    std = np.asarray(preprocess.std, dtype=np.float64)
    real = (values.astype(np.float64) / 255.0 - mean) / std
    return np.ascontiguousarray(real.transpose(0, 3, 1, 2), dtype=np.float32)
