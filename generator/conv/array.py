"""The shape of the convolution array and how a layer's maps are cut into lines and tiles."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from shiftforge.generator.conv.layers import Layer

__all__ = ["TAPS", "ArrayShape", "Tiling", "power_of_two", "tile_layer"]

TAPS = 9


@dataclass(frozen=True)
class ArrayShape:
    """units (R, output channels at once) x pixels (outputs of a row at once) x frames x 9 taps.

    The paper's W is the columns a row of outputs needs: pixels + 2 for a 3x3 kernel at stride 1.
    frames: images in flight (B): the same weights are used on all of them in the same cycle.
    unit: "shift" lanes add one shifted activation, and weights of two terms take two cycles;
    "multiplier" lanes multiply integers of 8 and of ``weight_bits`` bits and are not
    multiplier-free.
    """

    units: int
    pixels: int
    frames: int = 1
    unit: Literal["shift", "multiplier"] = "shift"
    weight_bits: int = 8

    @property
    def code_bits(self) -> int:
        """Bits of a weight where it is stored: a nibble, or a byte where that is too little."""
        return 4 if self.unit == "shift" or self.weight_bits <= 4 else 8

    @property
    def lanes(self) -> int:
        """Multiply-accumulates a cycle."""
        return self.line_bytes * TAPS

    @property
    def line_bytes(self) -> int:
        """Bytes of one line: ``units`` channels of ``pixels`` pixels of each of the frames."""
        return self.units * self.pixels * self.frames

    @property
    def taken(self) -> int:
        """Channels of its input that a pointwise cycle takes: a tap each, but no more than a line
        has, because a line comes a cycle."""
        return min(TAPS, self.units)

    def lines(self, shape: tuple[int, int, int]) -> int:
        """Lines of a (C, H, W) map: channel groups x rows x tiles a row."""
        channels, rows, columns = shape
        return ceil(channels / self.units) * rows * ceil(columns / self.pixels)


@dataclass(frozen=True)
class Tiling:
    """A layer in lines, tiles and weight words (all counts a batch of the array's frames).

    in_groups: channel groups that a group of output channels reads; map_groups: of the whole map.
    block_groups: groups of output channels that read the same ones. weight_words: of a group of
    output channels, without second words. read_tiles: of a row of the map that is read, where the
    layer enlarges it; else in_tiles.
    """

    in_groups: int
    in_rows: int
    in_tiles: int
    out_groups: int
    out_rows: int
    out_tiles: int
    weight_words: int
    map_groups: int
    block_groups: int
    read_tiles: int

    @property
    def tiles(self) -> int:
        """Output tiles of one group of output channels."""
        return self.out_rows * self.out_tiles


def power_of_two(n: int) -> int:
    """The next power of two from n on, n >= 1: words of memories and beats have such sizes."""
    return 1 << (n - 1).bit_length()


def tile_layer(layer: Layer, array: ArrayShape) -> Tiling:
    """Cut a layer for an array. A weight word holds one array cycle's weights."""
    channels, rows, columns = layer.in_shape
    out, out_rows, out_columns = layer.out_shape
    own = layer.block_channels
    words = {"pointwise": ceil(own / array.taken), "depthwise": layer.words, "standard":
             own * layer.windows.count}  # fmt: skip
    out_groups = ceil(out / array.units)
    return Tiling(
        in_groups=ceil(own / array.units),
        in_rows=rows,
        in_tiles=ceil(columns / array.pixels),
        out_groups=out_groups,
        out_rows=out_rows,
        out_tiles=ceil(out_columns / array.pixels),
        weight_words=words[layer.mode],
        map_groups=ceil(channels / array.units),
        block_groups=ceil(layer.block_outputs / array.units),
        read_tiles=ceil((columns if layer.enlarge is None else layer.input.width) / array.pixels),
    )
