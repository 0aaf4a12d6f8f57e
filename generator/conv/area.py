"""Area model: ALMs, DSP blocks and RAM blocks of a planned accelerator (modelled, not synthesised).

A lane is what multiplies, its share of a registered adder tree over nine taps and of a 32-bit
accumulator, synthesised by Yosys for Intel ALMs (synth_intel_alm -nodsp, ALM taken as ALUT6 +
0.75 ALUT5 + 0.5 rest; bench/results/lane_area.md). Everything else (controller, feeder,
requantisation and the BSP's logic) is counted as ``OVERHEAD_ALM`` and 60 ALMs a requantised
result: assumptions until a compiler's report.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from shiftforge.boards.types import Board
from shiftforge.generator.conv.array import TAPS, ArrayShape

__all__ = [
    "ALM_A_LANE", "ALM_A_LANE_PACKED", "AreaEstimate", "Multipliers", "estimate_area", "ram_blocks",
]  # fmt: skip

Multipliers = Literal["soft", "dsp"]

ALM_A_LANE = {
    ("shift", 1): 30.4,
    ("soft", 2): 22.3,
    ("soft", 3): 32.3,
    ("soft", 4): 42.2,
    ("soft", 5): 52.7,
    ("soft", 6): 62.6,
    ("soft", 7): 73.1,
    ("soft", 8): 83.0,
    ("dsp", 8): 11.5,
}
"""As mapped: one shifter; a multiplier of rows on carry chains, by its weight's bits; the adders
alone where the multiplier is half an 18x19 DSP block."""
ALM_A_LANE_PACKED = {
    ("shift", 1): 26.5,
    ("soft", 2): 12.1,
    ("soft", 3): 17.5,
    ("soft", 4): 23.4,
    ("soft", 5): 29.4,
    ("soft", 6): 35.3,
    ("soft", 7): 41.3,
    ("soft", 8): 47.2,
    ("dsp", 8): 9.7,
}
"""The same where gates in front of adders lie in the adders' input functions, which Yosys does not
do and a vendor's tool may: it helps multipliers, which are little else, more than shifters."""
OVERHEAD_ALM = 4_000
ALM_A_REQUANTISER = 60


@dataclass(frozen=True)
class AreaEstimate:
    """Modelled use of the device. alm_a_lane: a lane's own part.

    alm_packed: alm with lanes of ALM_A_LANE_PACKED.
    """

    alm: int
    alm_packed: int
    dsp: int
    ram_blocks: int
    feature_map_blocks: int
    alm_a_lane: float


def ram_blocks(width_bits: int, depth: int, board: Board) -> int:
    """RAM blocks of a memory of ``depth`` words: columns of the widest port, rows of its depth."""
    width = board.ram_block_max_width
    rows = board.ram_block_bits // width
    return ceil(width_bits / width) * ceil(depth / rows)


def estimate_area(
    board: Board,
    array: ArrayShape,
    fm_lines: int,
    row_lines: int,
    weight_words: int,
    *,
    multipliers: Multipliers = "dsp",
) -> AreaEstimate:
    """Area of an array with its memories.

    fm_lines: lines of feature-map memory. row_lines: lines of the longest depthwise row.
    weight_words: weight words of the largest group of output channels (held twice).
    multipliers: what multiplier lanes are made of, logic ("soft") or DSP blocks.
    """
    kind = _lane_kind(array, multipliers)
    others = array.units * array.pixels * ALM_A_REQUANTISER + OVERHEAD_ALM
    line_bits = 8 * array.line_bytes
    maps = ram_blocks(line_bits, fm_lines, board)
    buffers = 2 * ram_blocks(line_bits, row_lines, board)
    weights = ram_blocks(array.code_bits * TAPS * array.units, 2 * weight_words, board)
    return AreaEstimate(
        alm=ceil(array.lanes * ALM_A_LANE[kind] + others),
        alm_packed=ceil(array.lanes * ALM_A_LANE_PACKED[kind] + others),
        dsp=ceil(array.lanes / 2) if kind[0] == "dsp" else 0,
        ram_blocks=maps + buffers + weights,
        feature_map_blocks=maps,
        alm_a_lane=ALM_A_LANE[kind],
    )


def _lane_kind(array: ArrayShape, multipliers: Multipliers) -> tuple[str, int]:
    if array.unit == "shift":
        return "shift", 1
    return ("soft", array.weight_bits) if multipliers == "soft" else ("dsp", 8)
