"""What the planner and the emitters must know of one FPGA board, and how each value is spelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Ge, Le, Lt, MaxLen, Predicate

__all__ = ["Board", "LatencyName", "Limits", "Memory", "Sdk", "Spelling"]


@dataclass(frozen=True)
class Spelling:
    """How a text has to be spelled: a pattern for the whole of it, and the same in words.

    Texts of a board reach Makefiles, device text and Markdown, and a board file may be a
    stranger's: each field takes what its values consist of, and nothing else.
    """

    pattern: str
    words: str

    def __call__(self, text: str) -> bool:
        """True where the text is spelled so. Raises ValueError, which says how, otherwise."""
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.words)
        return True


_TOKEN = Spelling(
    r"[A-Za-z0-9][A-Za-z0-9_.+-]*", "write letters, digits and _ . + -, a letter or digit first"
)
_PART = Spelling(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*", "write letters, digits and _ . : + - alone")
_VERSION = Spelling(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}", 'write numbers between points, as "19.4"')
_FLAG = Spelling(
    r"[A-Za-z0-9_./+-][A-Za-z0-9_.,:=/+@%-]*",
    "write one word a flag, of letters, digits and _ . , : = / + @ % -",
)
_TITLE = Spelling(
    r"[^\W_][\w .,:()/+&'-]*",
    "write letters, digits, spaces and _ . , : ( ) / + & ' - alone, a letter or digit first",
)


def _printable(text: str) -> bool:
    """No control characters: the texts are printed on terminals."""
    if not text.isprintable():
        raise ValueError("write a line of text without control characters")
    return bool(text.strip())


Name: TypeAlias = Annotated[str, MaxLen(64), Predicate(_TOKEN)]
Part: TypeAlias = Annotated[str, MaxLen(64), Predicate(_PART)]
Version: TypeAlias = Annotated[str, MaxLen(20), Predicate(_VERSION)]
Flag: TypeAlias = Annotated[str, MaxLen(200), Predicate(_FLAG)]
Flags: TypeAlias = Annotated[tuple[Flag, ...], MaxLen(50)]
Title: TypeAlias = Annotated[str, MaxLen(100), Predicate(_TITLE)]
Kind: TypeAlias = Annotated[str, MaxLen(40), Predicate(_TITLE)]
Source: TypeAlias = Annotated[str, MaxLen(500), Predicate(_printable)]

# Ten times the largest device there is, and more: what lies beyond is a slip of the pen, and
# within, no model of areas and cycles overflows.
Count: TypeAlias = Annotated[int, Ge(1), Le(10_000_000)]
Banks: TypeAlias = Annotated[int, Ge(1), Le(1024)]
Size: TypeAlias = Annotated[float, Ge(0.001), Le(100_000)]
Fraction: TypeAlias = Annotated[float, Ge(0.001), Le(1)]
Cycles: TypeAlias = Annotated[int, Ge(1), Le(10_000)]
LatencyName: TypeAlias = Literal[
    "loader", "feeder", "params", "controller", "conv", "post", "channel", "reentry", "global_load"
]

# Read by the loader's validator; a plain dictionary, so that this module needs no validator itself.
_STRICT: Mapping[str, object] = {"strict": True, "extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True)
class Memory:
    """External memory that kernels reach as global memory.

    kind: such as "DDR4-2133". banks: independent interfaces. size_gb: all banks, in GiB.
    bandwidth_gb_s: all banks together at the pins, in 10^9 bytes a second (not what a kernel gets).
    Both from 0.001 to 100,000.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT
    kind: Kind
    banks: Banks
    size_gb: Size
    bandwidth_gb_s: Size


@dataclass(frozen=True)
class Sdk:
    """The Intel FPGA SDK for OpenCL that compiles for the board.

    bsp: the name after ``aoc -board=``. flags: further flags of every ``aoc`` call, one word each.
    emulator_flags: flags of ``aoc -march=emulator`` on top.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT

    edition: Literal["pro", "standard"]
    version: Version
    bsp: Part
    flags: Flags = ()
    emulator_flags: Flags = ()


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
    clock_mhz_assumed: kernel clock for modelled rates, 1 to 1000; an assumption until a compile
    reports one.
    dialect: which OpenCL text the emitter writes.
    sources: where each figure comes from, by field path ("memory.size_gb"); a text that begins
    with "assumption" has not been checked against a document.
    latencies: what this board has instead of the latencies of ``generator/conv/latencies.py``, in
    cycles, 1 to 10,000; each of them has a source, too ("latencies.conv").
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = _STRICT

    name: Name
    title: Title
    family: Literal["Arria 10", "Stratix 10", "Cyclone V"]
    device: Part
    alm: Count
    dsp: Annotated[int, Ge(0), Le(10_000_000)]
    ram_blocks: Count
    ram_block_kind: Literal["M20K", "M10K"]
    ram_block_bits: Literal[20480, 10240]
    ram_block_max_width: Literal[40]
    clock_mhz_assumed: Annotated[float, Ge(1), Lt(1000)]
    dialect: Literal["intel-fpga-pro", "intel-fpga-standard"]
    memory: Memory
    sdk: Sdk
    limits: Limits
    sources: Mapping[str, Source]
    latencies: Mapping[LatencyName, Cycles] = field(default_factory=dict)

    @property
    def ram_bytes(self) -> int:
        """On-chip block memory of the whole device in bytes."""
        return self.ram_blocks * self.ram_block_bits // 8

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Field paths whose figure is an assumption."""
        return tuple(k for k, v in sorted(self.sources.items()) if v.startswith("assumption"))
