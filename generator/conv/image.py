"""How the image lies in global memory: lines of the first layer's map, as the loader sends them.

A standard convolution on the image is read as a pointwise one: channel (c, r, t) of the map holds
tap (r, t) of image channel c. The host makes these lines, zero padding included, in the order row,
tile, channel group; a line takes the next power of two of its bytes. The loader has nothing to keep
and nothing to choose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import ArrayShape, power_of_two
from shiftforge.generator.conv.schedule import ImageMap

__all__ = ["ImageLayout", "image_fields", "image_layout", "pack_image"]


@dataclass(frozen=True)
class ImageLayout:
    """channels: of the image, in rows and columns of a kernel x kernel window at a stride, with so
    many zeros at the top and on the left. map_rows, map_tiles, map_groups: of the map. units,
    pixels, frames: of a line. passes: times that the image is read. streamed: lines go to the
    array and are not stored.
    """

    channels: int
    kernel: int
    stride: int
    top: int
    left: int
    map_rows: int
    map_tiles: int
    map_groups: int
    units: int
    pixels: int
    passes: int
    streamed: bool
    frames: int = 1

    @property
    def beat(self) -> int:
        """Bytes of a line in global memory, a power of two."""
        return power_of_two(self.units * self.pixels * self.frames)

    @property
    def lines(self) -> int:
        """Lines of a map row, a beat each."""
        return self.map_tiles * self.map_groups

    @property
    def frame_beats(self) -> int:
        """Beats of a batch of frames, once."""
        return self.map_rows * self.lines


def image_layout(
    image: ImageMap, channels: int, array: ArrayShape, streamed: bool, groups: int
) -> ImageLayout:
    """The layout of an image for an array. groups: of the first layer's output channels."""
    return ImageLayout(
        channels, image.kernel, image.stride, image.top, image.left, image.rows,
        ceil(image.columns / array.pixels), ceil(image.channels / array.units), array.units,
        array.pixels, groups if streamed else 1, streamed, array.frames,
    )  # fmt: skip


def image_fields(layout: ImageLayout) -> dict[str, Any]:
    """What of a layout the host packs images by."""
    return asdict(layout)


def pack_image(codes: NDArray[Any], layout: ImageLayout) -> NDArray[np.uint8]:
    """(N, C, H, W) codes to bytes (batches, beats, bytes of a beat) as the loader reads them.

    A batch is as many frames as are in flight; zeros fill the last one.
    """
    given, channels, rows, columns = codes.shape
    flight, kernel = layout.frames, layout.kernel
    batches, wide = ceil(given / flight), layout.map_tiles * layout.pixels
    y = np.arange(layout.map_rows)[:, None] * layout.stride + np.arange(kernel)
    x = np.arange(wide)[:, None] * layout.stride + np.arange(kernel)
    down = max(int(y.max()) + 1, layout.top + rows)
    across = max(int(x.max()) + 1, layout.left + columns)
    room = np.zeros((batches * flight, channels, down, across), np.uint8)
    low = (codes.astype(np.int64) & 0xFF).astype(np.uint8)
    room[:given, :, layout.top : layout.top + rows, layout.left : layout.left + columns] = low
    # (N, C, map row, kernel row, column, kernel column) -> (N, map row, column, C, kernel, kernel)
    cut = room[:, :, y[:, :, None, None], x[None, None]].transpose(0, 2, 4, 1, 3, 5)
    cut = cut.reshape(batches * flight, layout.map_rows, wide, channels * kernel * kernel)
    short = layout.map_groups * layout.units - cut.shape[-1]
    whole = np.pad(cut, ((0, 0), (0, 0), (0, 0), (0, short)))
    parts = whole.reshape(
        batches, flight, layout.map_rows, layout.map_tiles, layout.pixels, layout.map_groups,
        layout.units,
    )  # fmt: skip
    ordered = parts.transpose(0, 2, 3, 5, 1, 4, 6).reshape(batches, layout.frame_beats, -1)
    return np.pad(ordered, ((0, 0), (0, 0), (0, layout.beat - ordered.shape[-1])))
