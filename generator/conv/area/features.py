"""The numbers that the area of an accelerator depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shiftforge.generator.conv.area.numbers import Figure
from shiftforge.generator.conv.area.table import Block
from shiftforge.generator.conv.array import ArrayShape

__all__ = ["Access", "Features", "Fifo", "Memory", "Multipliers", "lane_kind"]

Multipliers = Literal["soft", "dsp"]


@dataclass(frozen=True)
class Fifo:
    """A channel. bits: of a word as it is used. maps: it holds map data, of the declared bits."""

    name: str
    bits: Figure
    depth: Figure
    maps: bool = False


@dataclass(frozen=True)
class Memory:
    """An array on chip with one read and one write port. bits, words: as declared.

    banks: how many of it are declared; used: how many have accesses, others take nothing.
    maps: it holds map data.
    """

    name: str
    bits: Figure
    words: Figure
    banks: Figure = 1
    used: Figure = 1
    maps: bool = False


@dataclass(frozen=True)
class Access:
    """A load from or a store to global memory. bits: of an access."""

    name: str
    bits: Figure
    stores: bool = False


@dataclass(frozen=True)
class Features:
    """Of an accelerator on a board. Numbers may be arrays; names, kinds and flags may not.

    lane: what lanes are made of: ("shift", 1), or a multiplier in logic or in a DSP block with its
    weight's bits. places: columns that the array works at once, pixels x frames. windows:
    geometries of depthwise windows that a lane chooses from; standards, columns: strides of
    standard windows and their columns, of all frames; origins: columns at which they begin in their
    tiles. accumulator_bits: of sums, from the
    accumulator to requantisation; largest_bits: of words of which the largest is taken,
    0 where none is; raises: sums may move up before a word is added; raised_bits: of those that
    requantisation has raised so that each shift is one to the right. folded: it has, and biases
    hold half of the last place. right_bits, left_bits: of what a requantisation's shifts vary by.
    floors: the smallest code is its type's.
    clamps_output: the 32-bit output is clamped. held_pixels: of a frame, that it holds in a line.
    residual_bits: of the shifts of a residual addition that are no constants.
    enlarged: pixels that a place of a line that is enlarged chooses from, 0 without any.
    tables: functions of a code, of 256 entries; looked_up: places of a pass where there are some, 0
    to 2. pool_terms, pool_bits: signed digits of the pools' constants, bits of their sums.
    slice_frames, slice_columns: of a line, what additions, tables and pools take at once.
    pool_units: sums that become codes at once; output_units: that leave in 32 bits at once. turned:
    post holds lines and turns them for these or for the output. held_weight_bytes: of a word that
    wait in the feeder for its last beat. record_bits: of the kernels' records: words in
    registers, and fields that live through the iterations. counters: bits of each, by kernel. runs:
    of groups of output channels, at most, that the convolution unit chooses from. movers: kernels
    that move maps to global memory and back.
    """

    family: str
    board: str
    ram_bits: int
    ram_width: int
    lane: tuple[str, int]
    units: Figure
    places: Figure
    frames: Figure
    accumulator_bits: Figure
    largest_bits: int
    raises: bool
    code_bits: int
    pointwise: bool
    windows: int
    standards: int
    columns: Figure
    origins: int
    raised_bits: Figure
    folded: bool
    right_bits: int
    left_bits: int
    floors: bool
    clamps_output: bool
    held_pixels: Figure
    multiplier_requant: bool
    residual: bool
    residual_bits: int
    enlarged: int
    tables: int
    looked_up: int
    pool_terms: tuple[int, ...]
    pool_bits: int
    slice_frames: Figure
    slice_columns: Figure
    pool_units: Figure
    output_units: Figure
    turned: bool
    direct: bool
    held_weight_bytes: Figure
    fifos: tuple[Fifo, ...]
    memories: tuple[Memory, ...]
    accesses: tuple[Access, ...]
    record_bits: Figure
    counters: Mapping[str, Mapping[str, int]]
    runs: int
    movers: int

    @property
    def line_bytes(self) -> Figure:
        """Bytes of a line, and results of an array cycle."""
        return self.units * self.places

    @property
    def lanes(self) -> Figure:
        """Lanes of the array."""
        return 9 * self.line_bytes

    @property
    def block(self) -> Block:
        """The board's RAM blocks."""
        return Block(self.ram_bits, self.ram_width)


def lane_kind(array: ArrayShape, multipliers: Multipliers = "dsp") -> tuple[str, int]:
    """What an array's lanes are made of; multipliers: of lanes that multiply."""
    if array.unit == "shift":
        return "shift", 1
    return ("soft", array.weight_bits) if multipliers == "soft" else ("dsp", 8)
