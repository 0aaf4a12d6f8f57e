"""The configuration registers of the processing unit: one description for RTL, host and manual."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["ADDRESS_BITS", "FUNCTIONS", "Register", "engine_registers", "unit_registers"]

ADDRESS_BITS = 32
K_TILE_BITS = 14

FUNCTIONS = ("none", "gelu", "softmax", "norm")
"""Values of the register ``func``: what happens between the accumulators and the result buffer.

norm: no product; A + B, element by element, then layer norm of every row.
"""


@dataclass(frozen=True)
class Register:
    """One register: ``width`` bits, unsigned unless the meaning says otherwise.

    users: the blocks that read it ("schedule", "loader", "store", "post", "function",
    "sequencer"). reset: the value where a command has nothing to say.
    """

    name: str
    width: int
    meaning: str
    users: tuple[str, ...] = ()
    reset: int = 0


def engine_registers(config: UnitConfig) -> tuple[Register, ...]:
    """The registers of ``pu_matmul``. Addresses and pitches count beats of n bytes."""
    tile = config.max_tiles.bit_length()
    address = ADDRESS_BITS
    lanes = config.lanes.bit_length() - 1
    return (
        Register("m_tiles", tile, "row tiles of A", ("schedule", "loader", "function")),
        Register("n_tiles", tile, "column tiles of the product; 1 for norm", ("schedule",)),
        Register("k_tiles", K_TILE_BITS, "operand tiles along K", ()),
        Register("passes", 3, "passes of a K-step (AF operands on shift lanes)", (), 1),
        Register("b_codes", 1, "B holds AF codes though the unit's weights are SHIFT", ()),
        Register("group", tile, "row tiles that share a column tile on chip", ("schedule",)),
        Register("a_slots", 8, "strips the A buffer holds", ("schedule", "loader")),
        Register("b_slots", 8, "strips the B buffer holds", ("schedule", "loader")),
        Register("b_resident", 1, "all of B stays on chip", ("schedule",)),
        Register("b_strips", tile, "strips of B", ("loader",)),
        Register("b_passes", tile, "how often all strips of B are fetched", ("loader",), 1),
        Register("k_stride", 16, "buffer rows of an operand strip", ("schedule", "loader")),
        Register("a_parts", tile, "parts of an A strip", ("loader",), 1),
        Register("part_rows", 16, "buffer rows of a part of A", ("loader",)),
        Register("a_base", address, "first strip of A", ("loader",)),
        Register("a_desc", address, "descriptors of A", ("loader",)),
        Register("a_pitch", address, "from strip to strip of A", ("loader",)),
        Register("a_part_pitch", address, "from part to part of a strip of A", ("loader",)),
        Register("b_base", address, "first strip of B", ("loader",)),
        Register("b_desc", address, "descriptors of B", ("loader",)),
        Register("b_pitch", address, "from strip to strip of B", ("loader",)),
        Register("p_base", address, "parameters of the column tiles", ("loader",)),
        Register("p_load", 1, "column tiles bring parameters", ("loader",), 1),
        Register("f_base", address, "table of the function", ("loader",)),
        Register("f_rows", tile, "rows of the table; 0: none, or the one of before", ("loader",)),
        Register(
            "r_slots", 8, "result slots: of the tile buffer, else of C", ("schedule", "function")
        ),
        Register("r_stride", 16, "buffer rows of a result slot", ("schedule", "function")),
        Register("c_slots", 5, "strips the C buffer holds", ("store", "function")),
        Register("c_stride", 16, "buffer rows of a strip of C", ("store", "function")),
        Register("c_steps", tile, "K-steps of a strip of C", ("schedule", "store", "function")),
        Register("c_rows", tile, "strips of a part of C", ("store",)),
        Register("c_group", tile, "strips of a part that are finished in turn", ("store",)),
        Register("c_parts", tile, "parts of C", ("store",), 1),
        Register("c_strips", tile, "strips of all parts of C", ()),
        Register("c_base", address, "first strip of C", ("store",)),
        Register("c_desc", address, "descriptors of C", ("store",)),
        Register("c_pitch", address, "from strip to strip of C", ("store",)),
        Register("c_part_pitch", address, "from part to part of C", ("store",)),
        Register("transpose", 1, "C is stored transposed", ("schedule",)),
        Register("last_rows", lanes, "rows in the last row tile, less one", ("post", "function")),
        Register("last_lanes", lanes, "columns in the last column tile, less one", ("post",)),
        Register("relu", 1, "negative results become 0", ("post",)),
        Register("frac", 5, "fractional bits of the fixed-point results", ("post",)),
        Register("out_bias", 8, "exponent bias of the results, signed", ("post", "function")),
        Register("func", 2, ", ".join(f"{i}: {f}" for i, f in enumerate(FUNCTIONS)), ("function",)),
    )


def unit_registers(config: UnitConfig) -> tuple[Register, ...]:
    """The words of a command of ``pu_unit``, in order, each 32 bits wide in memory."""
    return (
        *engine_registers(config),
        Register("length", 13, "elements of a row of the function", ("function",)),
        Register("a_bias", 7, "exponent bias of A, signed (norm)", ("function",)),
        Register("b_bias", 7, "exponent bias of B, signed (norm)", ("function",)),
        Register("sum_bias", 7, "exponent bias of A + B, signed (norm)", ("function",)),
        Register("recip", 25, "2^(23+hb) / length (norm)", ("function",)),
        Register("len_bits", 4, "hb (norm)", ("function",)),
        Register("root", 16, "square root of length, 15 fraction bits (norm)", ("function",)),
        Register("root_shift", 3, "its exponent (norm)", ("function",)),
        Register("epsilon", 32, "epsilon of the sums (norm)", ("function",)),
        Register("gamma_frac", 4, "fraction bits of gamma (norm)", ("function",)),
        Register("entropy", 1, "row 0 goes to the entropy unit too, length = n", ("function",)),
        Register("threshold", 32, "entropy of the exit, 16 fraction bits", ("function",)),
        Register("stop", 2, "1: last command; 2: last one if entropy says exit", ("sequencer",)),
    )
