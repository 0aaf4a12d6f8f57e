"""The configuration registers of the processing unit: one description for RTL, host and manual."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT, UnitConfig

__all__ = ["ADDRESS_BITS", "FUNCTIONS", "Register", "engine_registers", "unit_registers"]

ADDRESS_BITS = 32
K_TILE_BITS = 14

FUNCTIONS = ("none", "gelu", "softmax", "norm")
"""Values of the register ``func``: what happens between the accumulators and the result buffer.

norm: no product; A + B, element by element, then layer norm of every row.
"""


@dataclass(frozen=True)
class Register:
    """One register of ``width`` bits.

    users: the blocks that read it ("schedule", "loader", "store", "post", "function",
    "sequencer"). usual: the value where a command has nothing to say. legal: smallest and largest
    value that a command may give it where it is used, by default all that ``width`` bits hold.
    step: legal values are multiples of it. signed: two's complement.
    """

    name: str
    width: int
    meaning: str
    users: tuple[str, ...] = ()
    usual: int = 0
    legal: tuple[int, int] | None = None
    step: int = 1
    signed: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest legal value."""
        if self.legal is not None:
            return self.legal
        if self.signed:
            return -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        return 0, (1 << self.width) - 1

    def takes(self, value: int) -> bool:
        """Whether a command may give it the value; ``usual`` stands for no use."""
        low, high = self.limits
        return value == self.usual or (low <= value <= high and value % self.step == 0)


def engine_registers(config: UnitConfig) -> tuple[Register, ...]:
    """The registers of ``pu_matmul``. Addresses and pitches count beats of n bytes."""
    tile, tiles = config.max_tiles.bit_length(), (1, config.max_tiles)
    address = ADDRESS_BITS
    lanes = config.lanes.bit_length() - 1
    slots = (1, 255)
    # A strip is whole mask beats, of which a buffer has at least one.
    operand = (MASKS_PER_BEAT, min(config.longest, 2**16 - MASKS_PER_BEAT))
    result = (MASKS_PER_BEAT, min(config.c_rows, 2**16 - MASKS_PER_BEAT))
    result_rows = max(config.c_rows, config.aux_rows)
    steps = (1, min(config.longest // config.lanes, 2**K_TILE_BITS - 1))
    last = (0, config.lanes - 1)
    codes = (0, int(config.takes_codes))
    return (
        Register("m_tiles", tile, "row tiles of A", ("schedule", "loader", "function"), 0, tiles),
        Register(
            "n_tiles", tile, "column tiles of the product; 1 for norm", ("schedule",), 0, tiles
        ),
        Register("k_tiles", K_TILE_BITS, "operand tiles along K", (), 0, steps),
        Register(
            "passes", 3, "passes of a K-step (AF operands on shift lanes)", (), 1,
            (1, config.passes),
        ),
        Register(
            "b_codes", 1, "B holds AF codes though the unit's weights are SHIFT", (), 0, codes
        ),
        Register(
            "group", tile, "row tiles that share a column tile on chip", ("schedule",), 0, tiles
        ),
        Register("a_slots", 8, "strips the A buffer holds", ("schedule", "loader"), 0, slots),
        Register("b_slots", 8, "strips the B buffer holds", ("schedule", "loader"), 0, slots),
        Register("b_resident", 1, "all of B stays on chip", ("schedule",)),
        Register("b_strips", tile, "strips of B", ("loader",), 0, tiles),
        Register(
            "b_passes", tile, "how often all strips of B are fetched", ("loader",), 1, tiles
        ),
        Register(
            "k_stride", 16, "buffer rows of an operand strip", ("schedule", "loader"), 0, operand,
            MASKS_PER_BEAT,
        ),
        Register("a_parts", tile, "parts of an A strip", ("loader",), 1, tiles),
        Register(
            "part_rows", 16, "buffer rows of a part of A", ("loader",), 0, operand, MASKS_PER_BEAT
        ),
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
        Register(
            "f_rows", tile, "rows of the table; 0: none, or the one of before", ("loader",), 0,
            (0, config.max_tiles),
        ),
        Register(
            "r_slots", 8, "result slots: of the tile buffer, else of C", ("schedule", "function"),
            0, slots,
        ),
        Register(
            "r_stride", 16, "buffer rows of a result slot", ("schedule", "function"), 0,
            (1, min(result_rows, 2**16 - 1)),
        ),
        Register(
            "c_slots", 5, "strips the C buffer holds", ("store", "function"), 0,
            (1, config.c_slots),
        ),
        Register(
            "c_stride", 16, "buffer rows of a strip of C", ("store", "function"), 0, result,
            MASKS_PER_BEAT,
        ),
        Register(
            "c_steps", tile, "K-steps of a strip of C", ("schedule", "store", "function"), 0, tiles
        ),
        Register("c_rows", tile, "strips of a part of C", ("store",), 0, tiles),
        Register(
            "c_group", tile, "strips of a part that are finished in turn", ("store",), 0, tiles
        ),
        Register("c_parts", tile, "parts of C", ("store",), 1, tiles),
        Register("c_strips", tile, "strips of all parts of C", (), 0, tiles),
        Register("c_base", address, "first strip of C", ("store",)),
        Register("c_desc", address, "descriptors of C", ("store",)),
        Register("c_pitch", address, "from strip to strip of C", ("store",)),
        Register("c_part_pitch", address, "from part to part of C", ("store",)),
        Register("transpose", 1, "C is stored transposed", ("schedule",)),
        Register(
            "last_rows", lanes, "rows in the last row tile, less one", ("post", "function"), 0, last
        ),
        Register(
            "last_lanes", lanes, "columns in the last column tile, less one", ("post",), 0, last
        ),
        Register("relu", 1, "negative results become 0", ("post",)),
        Register("frac", 5, "fractional bits of the fixed-point results", ("post",)),
        Register(
            "out_bias", 8, "exponent bias of the results", ("post", "function"), signed=True
        ),
        Register("func", 2, ", ".join(f"{i}: {f}" for i, f in enumerate(FUNCTIONS)), ("function",)),
    )  # fmt: skip


def unit_registers(config: UnitConfig) -> tuple[Register, ...]:
    """The words of a command of ``pu_unit``, in order, each 32 bits wide in memory."""
    function = ("function",)
    return (
        *engine_registers(config),
        Register("length", 13, "elements of a row of the function", function, 0, (1, 4096)),
        Register("a_bias", 7, "exponent bias of A (norm)", function, signed=True),
        Register("b_bias", 7, "exponent bias of B (norm)", function, signed=True),
        Register("sum_bias", 7, "exponent bias of A + B (norm)", function, signed=True),
        Register("recip", 25, "2^(23+hb) / length (norm)", function, 0, (2**23, 2**24)),
        Register("len_bits", 4, "hb, bits of length - 1 (norm)", function, 0, (1, 12)),
        Register(
            "root", 16, "square root of length, 15 fraction bits (norm)", function, 0,
            (2**15, 2**16 - 1),
        ),
        Register("root_shift", 3, "its exponent (norm)", function, 0, (0, 6)),
        Register("epsilon", 32, "epsilon of the sums (norm)", function),
        Register("gamma_frac", 4, "fraction bits of gamma (norm)", function),
        Register("entropy", 1, "row 0 goes to the entropy unit too, length = n", function),
        Register("threshold", 32, "entropy of the exit, 16 fraction bits", function),
        Register(
            "stop", 2, "1: last command; 2: last one if entropy says exit", ("sequencer",), 0,
            (0, 2),
        ),
    )  # fmt: skip
