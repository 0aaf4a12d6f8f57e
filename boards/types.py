"""What the planner and the emitters must know of one FPGA board: data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, Lt, MinLen

__all__ = ["Board", "Limits", "Memory", "Sdk"]

Text: TypeAlias = Annotated[str, MinLen(1)]
Count: TypeAlias = Annotated[int, Gt(0)]
Positive: TypeAlias = Annotated[float, Gt(0)]
Fraction: TypeAlias = Annotated[float, Gt(0), Le(1)]

# Read by the loader's validator; a plain dictionary, so that this module needs no validator itself.
_STRICT: Mapping[str, object] = {"strict": True, "extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True)
class Memory:
    """External memory that kernels reach as global memory.

    kind: such as "DDR4-2133". banks: independent interfaces. size_gb: all banks, in GiB.
    bandwidth_gb_s: all banks together at the pins, in 10^9 bytes a second (not what a kernel gets).
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT
    kind: Text
    banks: Count
    size_gb: Positive
    bandwidth_gb_s: Positive


@dataclass(frozen=True)
class Sdk:
    """The Intel FPGA SDK for OpenCL that compiles for the board.

    bsp: the name after ``aoc -board=``. flags: further flags of every ``aoc`` call.
    emulator_flags: flags of ``aoc -march=emulator`` on top.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT

    edition: Literal["pro", "standard"]
    version: Annotated[str, MinLen(1)]
    bsp: Text
    flags: tuple[Text, ...] = ()
    emulator_flags: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Largest fractions of the device that a plan may use; the rest is the BSP's and routing's."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT

    alm: Fraction
    ram: Fraction


@dataclass(frozen=True)
class Board:
    """One FPGA board.

    alm, dsp, ram_blocks: whole device, before the BSP takes its share (see ``limits``).
    ram_block_bits: bits in a block; ram_block_max_width: widest port of a block, in bits.
    clock_mhz_assumed: kernel clock for modelled rates; an assumption until a compile reports one.
    dialect: which OpenCL text the emitter writes.
    sources: where each figure comes from, by field path ("memory.size_gb"); a text that begins
    with "assumption" has not been checked against a document.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT

    name: Annotated[str, MinLen(1)]
    title: Text
    family: Literal["Arria 10", "Stratix 10", "Cyclone V"]
    device: Text
    alm: Count
    dsp: Annotated[int, Ge(0)]
    ram_blocks: Count
    ram_block_kind: Literal["M20K", "M10K"]
    ram_block_bits: Literal[20480, 10240]
    ram_block_max_width: Literal[40]
    clock_mhz_assumed: Annotated[float, Gt(0), Lt(1000)]
    dialect: Literal["intel-fpga-pro", "intel-fpga-standard"]
    memory: Memory
    sdk: Sdk
    limits: Limits
    sources: Mapping[str, Text]

    @property
    def ram_bytes(self) -> int:
        """On-chip block memory of the whole device in bytes."""
        return self.ram_blocks * self.ram_block_bits // 8

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Field paths whose figure is an assumption."""
        return tuple(k for k, v in sorted(self.sources.items()) if v.startswith("assumption"))
