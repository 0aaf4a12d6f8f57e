"""Area model of the EdgeBERT unit: array and buffers (modelled; nothing was placed or routed).

ALMs a lane come from mapping the array's modules for Intel ALMs with Yosys (synth_intel_alm, family
cyclonev), a lane with its share of adder tree, accumulators and operand tiles:
bench/results/edgebert_area.md. RAM blocks hold the three data buffers with their masks and the tile
buffer of the special function unit. That unit's logic, control outside the array and
the board support package are not counted; the board's limits leave room for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shiftforge.boards.types import Board
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["LANE_ALM", "UnitArea", "memory_blocks", "unit_area"]

_LUTS = "af-lut"
LANE_ALM = {
    "af": {2: 95.8, 4: 76.5, 8: 68.2, 16: 64.4, 32: 62.5},
    _LUTS: {2: 125.1, 4: 105.7, 8: 97.4, 16: 93.6, 32: 91.7},
    "shift1": {2: 99.4, 4: 77.6, 8: 68.8, 16: 64.8, 32: 63.0},
    "shift2": {2: 159.1, 4: 137.4, 8: 128.5, 16: 124.5, 32: 122.7},
}
"""ALMs a lane by weights and n; "af" has its multipliers in DSP blocks, "af-lut" in ALMs."""
_LANES_A_DSP = 3  # 9-bit multipliers of a DSP block
_WIDTHS = (40, 20, 10, 5)  # shapes of a block: all its bits at these widths,
_NARROW = (2, 1)  # four fifths of them at these (Intel device handbooks, embedded memory blocks)
_FIXED_BITS = 32


@dataclass(frozen=True)
class UnitArea:
    """alm, dsp: of the array. ram_blocks: of the buffers. lane_alm: ALMs a lane."""

    lane_alm: float
    alm: int
    dsp: int
    ram_blocks: int


def memory_blocks(width: int, depth: int, board: Board) -> int:
    """RAM blocks of a memory of ``depth`` words of ``width`` bits, in the best shape of a block."""
    bits = board.ram_block_bits
    shapes = [(own, bits // own) for own in _WIDTHS if own <= board.ram_block_max_width]
    shapes += [(own, 4 * bits // 5 // own) for own in _NARROW]
    return min(ceil(width / own) * ceil(depth / words) for own, words in shapes)


def unit_area(config: UnitConfig, board: Board) -> UnitArea:
    """Area on a board. Multipliers of an AF array go to DSP blocks where the board has enough."""
    lanes = config.lanes**2
    kind, dsp = f"shift{config.terms}", 0
    if config.weights == "af":
        dsp = ceil(lanes / _LANES_A_DSP)
        kind, dsp = ("af", dsp) if dsp <= board.dsp else (_LUTS, 0)
    a_lane = LANE_ALM[kind][config.lanes]
    blocks = 0
    for rows in (config.a_rows, config.b_rows, config.c_rows):
        # A bank a lane, as each has a write pointer of its own, and the masks.
        blocks += config.lanes * memory_blocks(8, rows, board)
        blocks += memory_blocks(config.lanes, rows, board)
    word = _FIXED_BITS * config.lanes
    blocks += memory_blocks(word, 8 * config.aux_buffer // word, board)
    return UnitArea(a_lane, ceil(lanes * a_lane), dsp, blocks)
