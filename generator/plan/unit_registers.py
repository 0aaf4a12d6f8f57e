"""The configuration registers of the matrix product engine: one description for RTL and host."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.generator.plan.unit import UnitConfig

__all__ = ["ADDRESS_BITS", "Register", "matmul_registers"]

ADDRESS_BITS = 32
K_TILE_BITS = 14


@dataclass(frozen=True)
class Register:
    """One register: ``width`` bits, unsigned unless the meaning says otherwise.

    users: the blocks that read it ("schedule", "loader", "store", "post").
    """

    name: str
    width: int
    meaning: str
    users: tuple[str, ...] = ()


def matmul_registers(config: UnitConfig) -> tuple[Register, ...]:
    """All registers of ``pu_matmul``. Addresses and pitches count beats of n bytes."""
    tile = config.max_tiles.bit_length()
    every = ("schedule", "loader", "store")
    address = ADDRESS_BITS
    lanes = config.lanes.bit_length() - 1
    return (
        Register("m_tiles", tile, "row tiles of A and C", ("schedule", "loader")),
        Register("n_tiles", tile, "column tiles: row tiles of B", every),
        Register("k_tiles", K_TILE_BITS, "operand tiles along K", ()),
        Register("group", 5, "row tiles that share a column tile on chip", ("schedule", "loader")),
        Register("a_slots", 8, "strips the A buffer holds", ("schedule", "loader")),
        Register("b_slots", 8, "strips the B buffer holds", ("schedule", "loader")),
        Register("c_slots", 5, "row tiles the C buffer holds", ("schedule", "store")),
        Register("b_resident", 1, "all of B stays on chip", ("schedule", "loader")),
        Register("k_stride", 16, "buffer rows of an operand strip", ("schedule", "loader")),
        Register("n_stride", 16, "buffer rows of a row tile of C", ("schedule", "store")),
        Register("a_base", address, "first strip of A", ("loader",)),
        Register("a_desc", address, "descriptors of A", ("loader",)),
        Register("a_pitch", address, "from strip to strip of A", ("loader",)),
        Register("b_base", address, "first strip of B", ("loader",)),
        Register("b_desc", address, "descriptors of B", ("loader",)),
        Register("b_pitch", address, "from strip to strip of B", ("loader",)),
        Register("p_base", address, "parameters of the column tiles", ("loader",)),
        Register("c_base", address, "first strip of C", ("store",)),
        Register("c_desc", address, "descriptors of C", ("store",)),
        Register("c_pitch", address, "from strip to strip of C", ("store",)),
        Register("last_rows", lanes, "rows in the last row tile, less one", ("post",)),
        Register("last_lanes", lanes, "columns in the last column tile, less one", ("post",)),
        Register("relu", 1, "negative results become 0", ("post",)),
        Register("frac", 5, "fractional bits of the fixed-point results", ("post",)),
        Register("out_bias", 8, "exponent bias of the results, signed", ("post",)),
    )
