"""How the image lies in global memory: beats in the order in which the loader reads them.

For every row of the first layer's map, in blocks of 64 bytes or as many as a tile's columns take:
the blocks of a row first, in them channel and row of the kernel. A block holds words of one image
row, one a tile of the map: the columns that the tile's windows cover, zero padding included. A beat
holds the same block of every frame in flight, filled up with zeros to a power of two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import ArrayShape, power_of_two
from shiftforge.generator.conv.schedule import ImageMap

__all__ = [
    "IMAGE_AHEAD", "IMAGE_BEAT", "IMAGE_DISTANCE", "ImageLayout", "image_fields", "image_layout",
    "pack_image",
]  # fmt: skip

IMAGE_BEAT = 64
"""Bytes of a frame's part of a beat, at least: wide tiles of large strides take more."""

IMAGE_AHEAD = 2
"""Steps of the loader from a row's fetch to its use; its memory holds twice as many."""
IMAGE_DISTANCE = 8
"""Iterations between a beat's store into the row memory and its use, or the other way, at least."""


@dataclass(frozen=True)
class ImageLayout:
    """word: bytes of a tile's columns, a power of two. rows: image rows of a map row (channels x
    kernel). beats: beats of each. lines: lines of a map row. step: iterations of the loader a map
    row. passes: times that the image is read. streamed: lines go to the array and are not stored.
    frames: in a beat.
    """

    channels: int
    kernel: int
    stride: int
    top: int
    left: int
    map_rows: int
    map_tiles: int
    map_groups: int
    pixels: int
    word: int
    beats: int
    step: int
    passes: int
    streamed: bool
    frames: int = 1

    @property
    def rows(self) -> int:
        """Image rows of a map row."""
        return self.channels * self.kernel

    @property
    def block(self) -> int:
        """Bytes of a frame's part of a beat, a power of two."""
        return max(IMAGE_BEAT, self.word)

    @property
    def beat(self) -> int:
        """Bytes of a beat, a power of two."""
        return power_of_two(self.frames * self.block)

    @property
    def lines(self) -> int:
        """Lines of a map row."""
        return self.map_tiles * self.map_groups

    @property
    def frame_beats(self) -> int:
        """Beats of a batch of frames, once."""
        return self.map_rows * self.rows * self.beats

    @property
    def slot(self) -> int:
        """Beats of a row in the loader's memory: a power of two."""
        return power_of_two(self.beats)


def image_layout(
    image: ImageMap, channels: int, array: ArrayShape, streamed: bool, groups: int
) -> ImageLayout:
    """The layout of an image for an array. groups: of the first layer's output channels."""
    tiles = ceil(image.columns / array.pixels)
    reach = (array.pixels - 1) * image.stride + image.kernel
    word = power_of_two(reach)
    block = max(IMAGE_BEAT, word)
    beats = ceil(tiles * word / block)
    parts = ceil(image.channels / array.units)
    rows = channels * image.kernel
    fetch, lines = rows * beats, tiles * parts
    step = max(fetch, lines)
    while _distance(fetch, rows, lines, parts, block // word, step) < IMAGE_DISTANCE:
        step += 1
    return ImageLayout(
        channels, image.kernel, image.stride, image.top, image.left, image.rows, tiles, parts,
        array.pixels, word, beats, step, groups if streamed else 1, streamed, array.frames,
    )  # fmt: skip


def image_fields(layout: ImageLayout) -> dict[str, Any]:
    """What of a layout the host packs images by."""
    return asdict(layout)


def _distance(fetch: int, rows: int, lines: int, parts: int, low: int, step: int) -> int:
    """Iterations between a store of a beat and a load of it two steps later, or the other way.

    Every image row has a memory of its own; a line reads the same block of all of them.
    """
    blocks = [[line for line in range(lines) if line // parts // low == b]
              for b in range(ceil(lines / parts / low))]  # fmt: skip
    ahead = IMAGE_AHEAD * step
    nearest = ahead
    for beat in range(fetch):
        used = blocks[beat // rows] if beat // rows < len(blocks) else []
        for line in used:
            nearest = min(nearest, ahead + line - beat, ahead + beat - line)
    return nearest


def pack_image(codes: NDArray[Any], layout: ImageLayout) -> NDArray[np.uint8]:
    """(N, C, H, W) codes to bytes (batches, beats, bytes of a beat) as the loader reads them.

    A batch is as many frames as are in flight; zeros fill the last one.
    """
    frames, channels, rows, columns = codes.shape
    batches, block = ceil(frames / layout.frames), layout.block
    down = (layout.map_rows - 1) * layout.stride + layout.kernel
    across = layout.beats * block // layout.word * layout.pixels * layout.stride + layout.word
    room = np.zeros(
        (
            batches * layout.frames,
            channels,
            max(down, layout.top + rows),
            max(across, layout.left + columns),
        ),
        np.uint8,
    )
    low = (codes.astype(np.int64) & 0xFF).astype(np.uint8)
    room[:frames, :, layout.top : layout.top + rows, layout.left : layout.left + columns] = low
    y = np.arange(layout.map_rows)[:, None] * layout.stride + np.arange(layout.kernel)
    tiles = layout.beats * block // layout.word
    x = np.arange(tiles)[:, None] * (layout.pixels * layout.stride) + np.arange(layout.word)
    # (N, C, map row, kernel row, tile, byte) -> (batch, map row, beat, C, kernel row, frame, bytes)
    cut = room[:, :, y[:, :, None, None], x[None, None]]
    cut = cut.reshape(
        batches, layout.frames, channels, layout.map_rows, layout.kernel, layout.beats, block
    )
    ordered = cut.transpose(0, 3, 5, 2, 4, 1, 6)
    packed = np.zeros((batches, layout.frame_beats, layout.beat), np.uint8)
    packed[:, :, : layout.frames * block] = ordered.reshape(batches, layout.frame_beats, -1)
    return packed
