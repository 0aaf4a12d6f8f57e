"""Word embeddings in on-chip ReRAM beside DRAM and SRAM: cells, area, latency and energy, modelled.

The bit mask and the rows' start addresses are in single-level cells (SLC), the non-zero AF<8,3>
codes in cells of any kind. Every coefficient names its source and how far it is to be trusted;
docs/RERAM_MODEL.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import ceil
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.energy.reram_cells import CellKind

__all__ = [
    "SLOW_MACRO",
    "Coefficients",
    "Cost",
    "PowerOn",
    "ReRamArray",
    "TableSize",
    "array_of",
    "power_on",
    "slow_macro",
    "table_size",
]

MIB = 1 << 20
Trust: TypeAlias = Literal["published figure", "published model", "assumed"]


def _from(source: str, trust: Trust) -> Mapping[str, str]:
    return {"source": source, "trust": trust}


@dataclass(frozen=True)
class TableSize:
    """A table of rows x columns AF<8,3> codes of which ``nonzero`` are not zero."""

    rows: int
    columns: int
    nonzero: int

    @property
    def value_bytes(self) -> int:
        """The packed codes, a byte each."""
        return self.nonzero

    @property
    def mask_bits(self) -> int:
        """A bit a code."""
        return self.rows * self.columns

    @property
    def mask_bytes(self) -> int:
        """The bit mask in whole bytes, rows after each other without padding."""
        return ceil(self.mask_bits / 8)

    @property
    def start_bits(self) -> int:
        """An address into the packed codes for every row, so that any row can be read alone."""
        return self.rows * max(self.nonzero, 1).bit_length()

    @property
    def payload_bytes(self) -> int:
        """Values and mask, what published sizes count."""
        return self.value_bytes + self.mask_bytes

    @property
    def bytes(self) -> int:
        """Values, mask and start addresses."""
        return self.payload_bytes + ceil(self.start_bits / 8)

    @property
    def row_values(self) -> float:
        """Average packed codes of a row."""
        return self.nonzero / self.rows


def table_size(rows: int, columns: int, density: float) -> TableSize:
    """The size of a table of that share of non-zero codes (0 to 1), rounded to whole codes.

    Raises InputError.
    """
    problems = []
    if rows < 1 or columns < 1:
        problems.append(Problem(f"a table of {rows} x {columns}", "give at least 1 x 1"))
    if not 0 <= density <= 1:
        problems.append(Problem(f"density {density}", "give 0 to 1"))
    if problems:
        raise InputError(problems)
    return TableSize(rows, columns, round(density * rows * columns))


NVSIM = (
    "NVMExplorer (Pentecost et al., HPCA 2022; github.com/lpentecost/NVMExplorer, "
    "EducationalTutorial/{}_1BPC-combined.csv): its NVSim output for the default {} cell, 22 nm, "
    "1 MiB, 64-bit words, least read energy-delay product"
)
RRAM, SRAM = NVSIM.format("RRAM", "RRAM (53 F^2)"), NVSIM.format("SRAM", "SRAM (146 F^2)")


@dataclass(frozen=True)
class Coefficients:
    """Of memories, by word of 64 cells or bits. Sources and trust are in the fields' metadata.

    ReRAM figures are those of single-level cells. Areas and leakage grow with capacity; a word's
    latency and energy are those of a 1 MiB macro, of which a larger table has several.
    """

    reram_word_ns: float = field(default=0.774891, metadata=_from(RRAM, "published model"))
    reram_word_pj: float = field(default=4.028, metadata=_from(RRAM, "published model"))
    reram_mm2_mib: float = field(default=0.246714698, metadata=_from(RRAM, "published model"))
    reram_leak_mw_mib: float = field(default=3.432, metadata=_from(RRAM, "published model"))
    sense_steps_a_bit: float = field(
        default=1.0,
        metadata=_from(
            "a cell of b bits is read by b comparisons after each other (binary search over its "
            "thresholds), each with the latency and energy of a single-level read",
            "assumed",
        ),
    )
    sram_word_ns: float = field(default=4.334, metadata=_from(SRAM, "published model"))
    sram_word_pj: float = field(default=1.031, metadata=_from(SRAM, "published model"))
    sram_write_pj: float = field(default=16.919, metadata=_from(SRAM, "published model"))
    sram_mm2_mib: float = field(default=0.654296934, metadata=_from(SRAM, "published model"))
    sram_leak_mw_mib: float = field(default=28.173, metadata=_from(SRAM, "published model"))
    dram_byte_pj: float = field(
        default=1300 / 8,
        metadata=_from(
            "Horowitz, ISSCC 2014, 45 nm: 64 bits from DRAM 1.3 to 2.6 nJ, the lower one, by the "
            "byte",
            "published figure",
        ),
    )
    dram_gb_s: float = field(
        default=25.6,
        metadata=_from(
            "peak of an LPDDR4 package of four 16-bit channels at 3,200 Mbit/s a pin (JEDEC "
            "JESD209-4)",
            "published figure",
        ),
    )
    dram_first_ns: float = field(
        default=100.0,
        metadata=_from("controller, row activation and column access of a first word", "assumed"),
    )
    dram_burst_bytes: int = field(
        default=32,
        metadata=_from("16-bit channel, burst of 16 (JEDEC JESD209-4)", "published figure"),
    )

    def sources(self) -> dict[str, str]:
        """By coefficient: its value, trust and source."""
        return {
            f.name: f"{getattr(self, f.name):g} ({f.metadata['trust']}): {f.metadata['source']}"
            for f in fields(self)
        }


CELL_22FFL_UM2 = 0.0486
NVSIM_EFFICIENCY = 0.8722
SLOW_MACRO: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "reram_word_ns": (5.0, "Intel 22FFL macro, 3.6 Mbit, ISSCC 2019: 5 ns to sense at 0.7 V"),
        "reram_mm2_mib": (
            CELL_22FFL_UM2 * 8 * MIB / 1e6 / NVSIM_EFFICIENCY,
            "Intel 22FFL cell of 0.0486 um^2 (VLSI 2019); periphery in NVSim's share",
        ),
    }
)
"""Published figures of a manufactured macro that are worse than the defaults, with sources."""


def slow_macro(of: Coefficients | None = None) -> Coefficients:
    """Coefficients with those of ``SLOW_MACRO``; energy stays the model's, none is published."""
    changed: dict[str, Any] = {name: value for name, (value, _) in SLOW_MACRO.items()}
    return replace(of or Coefficients(), **changed)


@dataclass(frozen=True)
class ReRamArray:
    """A table in ReRAM. cells: of values, mask and starts. area_mm2: with the array's periphery."""

    size: TableSize
    kind: CellKind
    value_cells: int
    single_cells: int
    area_mm2: float
    leak_mw: float

    @property
    def cells(self) -> int:
        """All cells."""
        return self.value_cells + self.single_cells


def array_of(size: TableSize, kind: CellKind, of: Coefficients | None = None) -> ReRamArray:
    """Cells and area: values in ``kind``, mask and starts in single-level cells.

    A cell of several bits has the area of a single-level one.
    """
    of = of or Coefficients()
    values = size.value_bytes * kind.byte_cells
    single = size.mask_bits + size.start_bits
    mib = (values + single) / 8 / MIB
    return ReRamArray(size, kind, values, single, mib * of.reram_mm2_mib,
                      mib * of.reram_leak_mw_mib)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """ns, pJ: of an access or a number of them, without leakage."""

    ns: float
    pj: float

    def times(self, count: int) -> Cost:
        """One after the other."""
        return Cost(self.ns * count, self.pj * count)

    def plus(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(self.ns + other.ns, self.pj + other.pj)


def reram_row(size: TableSize, kind: CellKind, of: Coefficients) -> Cost:
    """Reading one average row: a start address, the mask's words, then the words of its values.

    Words of 64 cells, one after the other; a word of cells of b bits takes b comparisons.
    """
    single = 1 + ceil(size.columns / 64)
    words = ceil(size.row_values * kind.byte_cells / 64)
    steps = single + words * (1 + of.sense_steps_a_bit * (kind.bits - 1))
    return Cost(steps * of.reram_word_ns, steps * of.reram_word_pj)


def sram_row(size: TableSize, of: Coefficients) -> Cost:
    """Reading one average row of the same representation from SRAM."""
    words = 1 + ceil(size.columns / 64) + ceil(size.row_values / 8)
    return Cost(words * of.sram_word_ns, words * of.sram_word_pj)


def load(size: TableSize, of: Coefficients) -> Cost:
    """The whole table from DRAM into SRAM: the SRAM keeps pace with the DRAM's peak."""
    return Cost(
        of.dram_first_ns + size.bytes / of.dram_gb_s,
        size.bytes * of.dram_byte_pj + ceil(size.bytes / 8) * of.sram_write_pj,
    )


def dram_row(size: TableSize, of: Coefficients) -> Cost:
    """One average row straight from DRAM: two accesses, start with mask and then values, in whole
    bursts."""
    bursts = sum(
        ceil(n / of.dram_burst_bytes) for n in (4 + ceil(size.columns / 8), size.row_values)
    )
    moved = bursts * of.dram_burst_bytes
    return Cost(2 * of.dram_first_ns + moved / of.dram_gb_s, moved * of.dram_byte_pj)


@dataclass(frozen=True)
class PowerOn:
    """From power-up over ``sentences`` sentences of ``tokens`` words: what embeddings cost.

    conventional: the load and then reads of SRAM. reram: reads of ReRAM. on_demand: rows straight
    from DRAM, without SRAM. *_leak_pj: leakage of SRAM and ReRAM over the time they are powered.
    """

    sentences: int
    tokens: int
    load: Cost
    conventional: Cost
    reram: Cost
    on_demand: Cost
    sram_leak_pj: float
    reram_leak_pj: float
    sram_mm2: float
    reram_mm2: float


def power_on(
    size: TableSize,
    kind: CellKind,
    *,
    tokens: int = 128,
    sentences: int = 1,
    seconds: float = 0.0,
    of: Coefficients | None = None,
) -> PowerOn:
    """Compare memories for a power-up that answers ``sentences`` sentences.

    seconds: how long the memories are powered, for leakage alone. Raises InputError.
    """
    if tokens < 1 or sentences < 1 or seconds < 0:
        what = f"{sentences} sentences of {tokens} tokens in {seconds} s"
        raise InputError(Problem(what, "give at least 1, and no negative time"))
    of = of or Coefficients()
    array = array_of(size, kind, of)
    rows = tokens * sentences
    first = load(size, of)
    mib = size.bytes / MIB
    return PowerOn(
        sentences,
        tokens,
        first,
        first.plus(sram_row(size, of).times(rows)),
        reram_row(size, kind, of).times(rows),
        dram_row(size, of).times(rows),
        # mW * s = mJ = 1e9 pJ
        mib * of.sram_leak_mw_mib * seconds * 1e9,
        array.leak_mw * seconds * 1e9,
        mib * of.sram_mm2_mib,
        array.area_mm2,
    )
