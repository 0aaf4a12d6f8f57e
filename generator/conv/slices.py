"""How many pixels of a line additions, tables and pools take at once.

A depthwise layer makes a line every cycle, and requantisation keeps up with it. A line that an
addition or a pool follows mostly comes from a pointwise or standard layer, a tile of which takes
many cycles. So their hardware is as wide as a slice of the line, and a tile takes as many
iterations of post as it has slices: as many as cost next to no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.schedule import Layer

__all__ = ["SLICE_LOSS", "Slice", "choose_slice", "direct_columns", "is_sliced"]

SLICE_LOSS = 0.005
"""Share of the array's cycles that slices may add."""


@dataclass(frozen=True)
class Slice:
    """frames x columns pixels of a line, which has ``count`` such slices."""

    frames: int
    columns: int
    count: int

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.frames * self.columns


def is_sliced(layer: Layer) -> bool:
    """Whether an addition, a table or a pool follows the layer's convolution."""
    return layer.skip is not None or layer.table is not None or layer.pool is not None


def direct_columns(layer: Layer, array: ArrayShape) -> int:
    """Pixels of a frame that leave as 32-bit integers, one after the other: one or a tile's. The
    same for all outputs of a network."""
    return array.pixels if layer.wide_output else 1


def choose_slice(
    layers: Sequence[Layer], tilings: Sequence[Tiling], iterations: Sequence[int], array: ArrayShape
) -> Slice:
    """The smallest slice that adds no more than ``SLICE_LOSS`` to all layers' cycles.

    iterations: of the array, of each layer. A slice has all pixels of some frames, or some of one
    frame.
    """
    wanted = [(t.out_groups * t.tiles, n) for layer, t, n in
              zip(layers, tilings, iterations, strict=True) if is_sliced(layer)]  # fmt: skip
    room = SLICE_LOSS * sum(iterations)
    flight, pixels = array.frames, array.pixels
    sizes = [(frames, pixels) for frames in _divisors(flight)]
    sizes += [(1, columns) for columns in _divisors(pixels)[1:]]
    found = Slice(flight, pixels, 1)
    for frames, columns in sizes:
        count = flight * pixels // (frames * columns)
        if sum(max(0, tiles * count - busy) for tiles, busy in wanted) <= room:
            found = Slice(frames, columns, count)
    return found


def _divisors(n: int) -> list[int]:
    """All of them, the largest first."""
    return [k for k in range(n, 0, -1) if n % k == 0]
