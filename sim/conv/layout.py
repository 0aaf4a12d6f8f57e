"""Feature maps as the accelerator stores them: lines of channels x pixels, back to (C, H, W)."""

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
    lines: NDArray[np.uint8], form: MapForm, units: int, pixels: int
) -> NDArray[np.int64]:
    """(frames, lines, units * pixels) bytes to (frames, C, H, W) codes, in the network's order.

    Lines lie in the order channel group, row, tile; a line holds pixels, each with ``units``
    channels. Pixels past the end of a row and channels past the last are dropped.
    """
    frames, shape = lines.shape[0], form.shape
    groups, tiles = ceil(shape[0] / units), ceil(shape[2] / pixels)
    codes = lines.view(np.int8) if form.signed else lines
    laid_out = _unfold(codes, frames, groups, tiles, shape, units, pixels)
    return in_network_order(laid_out, form.order, axis=1)


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
