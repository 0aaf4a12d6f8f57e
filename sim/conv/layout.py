"""Feature maps as the accelerator stores them: lines of channels x pixels, back to (C, H, W)."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

__all__ = ["direct_to_map", "lines_to_map"]


def lines_to_map(
    lines: NDArray[np.uint8], shape: tuple[int, int, int], units: int, pixels: int, signed: bool
) -> NDArray[np.int64]:
    """(frames, lines, units * pixels) bytes to (frames, C, H, W) codes.

    Lines lie in the order channel group, row, tile; a line holds pixels, each with ``units``
    channels. Pixels past the end of a row and channels past the last are dropped.
    """
    frames = lines.shape[0]
    groups, tiles = ceil(shape[0] / units), ceil(shape[2] / pixels)
    return _unfold(lines.view(np.int8) if signed else lines, frames, groups, tiles, shape,
                   units, pixels)  # fmt: skip


def direct_to_map(
    beats: NDArray[np.int32], shape: tuple[int, int, int], units: int
) -> NDArray[np.int64]:
    """(frames, groups * rows * columns, units) 32-bit results to (frames, C, H, W)."""
    channels, rows, columns = shape
    cut = beats.reshape(len(beats), ceil(channels / units), rows, columns, units)
    whole = cut.transpose(0, 1, 4, 2, 3).reshape(len(beats), -1, rows, columns)
    return whole[:, :channels].astype(np.int64)


def _unfold(
    data: NDArray[np.generic],
    frames: int,
    groups: int,
    tiles: int,
    shape: tuple[int, int, int],
    units: int,
    pixels: int,
) -> NDArray[np.int64]:
    channels, rows, columns = shape
    cut = data.reshape(frames, groups, rows, tiles, pixels, units)
    whole = cut.transpose(0, 1, 5, 2, 3, 4).reshape(frames, groups * units, rows, tiles * pixels)
    return whole[:, :channels, :, :columns].astype(np.int64)
