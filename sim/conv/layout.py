"""Feature maps as the accelerator stores them: lines of channels, pixels and frames, back to
(C, H, W)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.order import in_network_order
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["MapForm", "direct_to_map", "lines_to_map", "map_forms"]


@dataclass(frozen=True, eq=False)
class MapForm:
    """What turns lines back into a tensor: its shape (C, H, W), whether its codes are signed, and
    the channel order (C,) that it lies in, None for the network's own."""

    shape: tuple[int, int, int]
    signed: bool
    order: NDArray[np.int32] | None = None


def map_forms(model: QuantizedModel) -> dict[str, MapForm]:
    """The form of every tensor of a model, by name."""
    return {
        name: MapForm(tensor.shape, tensor.grid.signed, model.orders.get(name))
        for name, tensor in model.tensors.items()
    }


def lines_to_map(
    lines: NDArray[np.uint8], form: MapForm, units: int, pixels: int, frames: int = 1
) -> NDArray[np.int64]:
    """(batches, lines, frames * pixels * units) bytes to (batches * frames, C, H, W) codes, in the
    network's order.

    Lines lie in the order channel group, row, tile; a line holds frames, each with pixels, each
    with ``units`` channels. Pixels past the end of a row and channels past the last are dropped.
    """
    channels, rows, columns = form.shape
    groups, tiles = ceil(channels / units), ceil(columns / pixels)
    codes = lines.view(np.int8) if form.signed else lines
    cut = codes.reshape(len(lines), groups, rows, tiles, frames, pixels, units)
    whole = cut.transpose(0, 4, 1, 6, 2, 3, 5).reshape(-1, groups * units, rows, tiles * pixels)
    laid_out = whole[:, :channels, :, :columns].astype(np.int64)
    return in_network_order(laid_out, form.order, axis=1)


def direct_to_map(
    beats: NDArray[np.int32], shape: tuple[int, int, int], units: int, pixels: int, frames: int = 1
) -> NDArray[np.int64]:
    """(batches, groups * rows * columns * frames, units) 32-bit results to (batches * frames, C, H,
    W).

    They lie in the order channel group, row, tile, frame, pixel, without those past a row's end.
    """
    channels, rows, columns = shape
    column = np.arange(columns)
    tile = column // pixels * pixels
    wide = np.minimum(pixels, columns - tile)
    place = frames * tile + np.arange(frames)[:, None] * wide + column - tile
    cut = beats.reshape(len(beats), ceil(channels / units), rows, frames * columns, units)
    whole = cut[:, :, :, place].transpose(0, 3, 1, 5, 2, 4)
    maps = whole.reshape(len(beats) * frames, -1, rows, columns)
    return maps[:, :channels].astype(np.int64)
