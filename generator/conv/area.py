"""Area model: ALMs, DSP blocks and RAM blocks of a planned accelerator (modelled, not synthesised).

ALMs a lane come from synthesising one lane with its share of a pipelined adder tree for Intel ALMs
with Yosys (synth_intel_alm -nodsp, ALM taken as ALUT6 + 0.75 ALUT5 + 0.5 rest): 24.3 for one shift
and sign, 50.5 for two. A multiplier lane is counted as half an 18x19 DSP block and the adder tree's
9.0 ALMs. Everything else (controller, feeder, requantisation and the BSP's logic) is counted as
``OVERHEAD_ALM`` and 60 ALMs a requantised result: assumptions until a compiler's report.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shiftforge.boards.types import Board
from shiftforge.generator.conv.array import TAPS, ArrayShape

__all__ = ["ALM_A_LANE", "AreaEstimate", "estimate_area", "ram_blocks"]

ALM_A_LANE = {("shift", 1): 24.3, ("shift", 2): 50.5, ("multiplier", 1): 9.0}
OVERHEAD_ALM = 4_000
ALM_A_REQUANTISER = 60


@dataclass(frozen=True)
class AreaEstimate:
    """Modelled use of the device; alm_a_lane is the lanes' own part."""

    alm: int
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
    board: Board, array: ArrayShape, fm_lines: int, row_lines: int, weight_words: int
) -> AreaEstimate:
    """Area of an array with its memories.

    fm_lines: lines of feature-map memory. row_lines: lines of the longest depthwise row.
    weight_words: weight words of the largest group of output channels (held twice).
    """
    a_lane = ALM_A_LANE[(array.unit, 1)]
    requantisers = array.units * array.pixels
    alm = array.lanes * a_lane + requantisers * ALM_A_REQUANTISER + OVERHEAD_ALM
    line_bits = 8 * array.line_bytes
    maps = ram_blocks(line_bits, fm_lines, board)
    buffers = 2 * ram_blocks(line_bits, row_lines, board)
    weights = ram_blocks(8 * TAPS * array.units, 2 * weight_words, board)
    dsp = ceil(array.lanes / 2) if array.unit == "multiplier" else 0
    return AreaEstimate(ceil(alm), dsp, maps + buffers + weights, maps, a_lane)
