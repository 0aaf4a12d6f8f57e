"""Building blocks of a program: tensors in external memory, and commands over them.

A tensor of codes is a grid of strips: parts along the columns, row tiles along the rows. A strip
holds the masks of its vectors, eight to a beat, and then its data beats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shiftforge.errors import Problem
from shiftforge.generator.edgebert.registers import Register, unit_registers
from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT, UnitConfig

__all__ = [
    "PARAM_BEATS",
    "TABLE_BEATS",
    "WORD_BYTES",
    "Command",
    "Memory",
    "Tensor",
    "command_beats",
    "cut",
    "register_problems",
    "tiles",
]

PARAM_BEATS = 5  # a column tile's parameters: four bytes of bias and one of shift a lane
TABLE_BEATS = 6  # a row of a function's table
WORD_BYTES = 4


def tiles(size: int, lanes: int) -> int:
    """ceil(size / lanes)."""
    return -(-size // lanes)


def command_beats(config: UnitConfig) -> int:
    """Beats of a command: one 32-bit word a register."""
    return -(-WORD_BYTES * len(unit_registers(config)) // config.lanes)


class Memory:
    """External memory, given away from beat 0 on."""

    def __init__(self) -> None:
        self.beats = 0

    def take(self, beats: int) -> int:
        """The first of so many beats."""
        first = self.beats
        self.beats += beats
        return first


@dataclass(frozen=True)
class Tensor:
    """(rows, columns) codes in ``parts`` equal parts along the columns.

    pack: codes of a lane in one byte (2 for one-term SHIFT weights). base, desc: beat addresses
    of the first strip and of the descriptors. Strip (part p, row tile r) lies at
    base + p * part_pitch + r * pitch, its descriptor at desc + p * row_tiles + r.
    """

    lanes: int
    rows: int
    columns: int
    parts: int = 1
    pack: int = 1
    base: int = 0
    desc: int = 0

    @property
    def row_tiles(self) -> int:
        """Strips of a part."""
        return tiles(self.rows, self.lanes)

    @property
    def width(self) -> int:
        """Columns of a part."""
        return tiles(self.columns, self.parts)

    @property
    def steps(self) -> int:
        """K-steps of a strip."""
        return tiles(self.width, self.lanes)

    @property
    def vectors(self) -> int:
        """Vectors of a strip."""
        return self.steps * self.lanes

    @property
    def stride(self) -> int:
        """Buffer rows of a strip: its vectors, in whole mask beats."""
        return tiles(self.vectors, MASKS_PER_BEAT) * MASKS_PER_BEAT

    @property
    def pitch(self) -> int:
        """Beats from strip to strip: room for a strip without a zero."""
        return self.stride // MASKS_PER_BEAT + tiles(self.stride, self.pack)

    @property
    def part_pitch(self) -> int:
        """Beats from part to part."""
        return self.row_tiles * self.pitch

    @property
    def strips(self) -> int:
        """Strips of all parts."""
        return self.parts * self.row_tiles

    def placed(self, memory: Memory) -> Tensor:
        """The tensor with its descriptors and strips in memory."""
        desc = memory.take(self.strips)
        return replace(self, desc=desc, base=memory.take(self.strips * self.pitch))

    def part(self, index: int) -> Tensor:
        """One part as a tensor of its own."""
        return replace(
            self,
            columns=self.width,
            parts=1,
            base=self.base + index * self.part_pitch,
            desc=self.desc + index * self.row_tiles,
        )

    def row_tile_range(self, first: int, count: int) -> Tensor:
        """``count`` row tiles of a tensor in one part, from tile ``first`` on."""
        return replace(
            self,
            rows=min(count * self.lanes, self.rows - first * self.lanes),
            base=self.base + first * self.pitch,
            desc=self.desc + first,
        )


@dataclass(frozen=True)
class Command:
    """One command of a program. registers: by name, cut to their widths.

    stages: the tensors that it computes. head: of an attention command. ideal_cycles: row tiles *
    column tiles * K-steps * lanes * passes of its product, 0 without one.
    """

    name: str
    registers: Mapping[str, int]
    ideal_cycles: int
    stages: tuple[str, ...]
    layer: int = 0
    head: int | None = None

    @property
    def label(self) -> str:
        """Name and head."""
        return self.name if self.head is None else f"{self.name} {self.head}"


def register_problems(
    registers: tuple[Register, ...], values: Mapping[str, int], where: str
) -> list[Problem]:
    """Values that are not legal."""
    found = []
    for register in registers:
        value, (low, high) = values[register.name], register.limits
        if not register.takes(value):
            limits = f"it takes {low} to {high}"
            limits += f" in steps of {register.step}" if register.step > 1 else ""
            found.append(Problem(f"register {register.name} cannot hold {value}", limits, where))
    return found


def cut(registers: tuple[Register, ...], values: Mapping[str, int]) -> dict[str, int]:
    """The values in the registers' order, negative ones in two's complement."""
    return {r.name: values[r.name] & ((1 << r.width) - 1) for r in registers}
