"""How a command shares the unit's buffers, and the registers that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shiftforge.errors import Problem
from shiftforge.generator.edgebert.command import WORD_BYTES, Tensor, tiles
from shiftforge.generator.edgebert.registers import FUNCTIONS
from shiftforge.generator.edgebert.sfu import TILES_IN_FLIGHT
from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT, UnitConfig

__all__ = ["Operands", "ProductMode", "Slots", "operand_registers", "slots", "tile_problems"]

SLOT_LIMIT = 255
GROUP_LIMIT = 16
CODES_PER_WORD = 4  # the tile buffer holds four vectors of codes in a word of 4 n bytes


Operands: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""A (M, K), B (N, K), and the result C: (M, N), or (N, M) of a transposed product."""


@dataclass(frozen=True)
class ProductMode:
    """func: special function of the results. both_codes: B holds AF codes whatever the unit's
    weights are. transpose: the result is stored transposed. group: row tiles that share a column
    tile on chip; None: 1 where all of B stays on chip (nothing is fetched twice, and the results
    leave evenly), else as many as the buffers hold."""

    func: str = "none"
    both_codes: bool = False
    transpose: bool = False
    group: int | None = None


PLAIN = ProductMode()


@dataclass(frozen=True)
class Slots:
    """Strips that the buffers hold for a command, 0 where one strip is too long.

    results: of the tile buffer for softmax and norm, otherwise those of C; result_stride: rows of
    that buffer a slot takes.
    """

    a: int
    b: int
    c: int
    results: int
    result_stride: int

    @property
    def most(self) -> int:
        """The longest group of row tiles."""
        return min(self.a, self.c, GROUP_LIMIT)


def slots(config: UnitConfig, a: Tensor, b: Tensor, c: Tensor, func: str) -> Slots:
    """How many strips of each operand and of the result the buffers hold."""
    c_slots = min(config.c_rows // c.stride, config.c_slots)
    results, stride = c_slots, c.stride
    if func in ("softmax", "norm"):
        stride = c.vectors if func == "softmax" else tiles(c.vectors, CODES_PER_WORD)
        words = config.aux_buffer // (config.lanes * WORD_BYTES)
        results = min(words // stride, TILES_IN_FLIGHT)
    return Slots(
        min(config.a_rows // (a.parts * a.stride), SLOT_LIMIT),
        min(config.b_rows // b.stride, SLOT_LIMIT),
        c_slots,
        results,
        stride,
    )


def tile_problems(config: UnitConfig, a: Tensor, b: Tensor, c: Tensor, where: str) -> list[Problem]:
    """Tensors with more strips than the unit has descriptors, and parts that cannot be joined."""
    found = []
    for what, count in (("A", a.strips), ("B", b.row_tiles), ("the result", c.strips)):
        if count > config.max_tiles:
            found.append(
                Problem(
                    f"{what} has {count} strips, the unit takes {config.max_tiles}",
                    "raise max_tiles or cut the product",
                    where,
                )
            )
    for what, tensor in (("A", a), ("the result", c)):
        whole = tensor.parts * tensor.width == tensor.columns and tensor.width % tensor.lanes == 0
        if tensor.parts > 1 and not (whole and tensor.vectors % MASKS_PER_BEAT == 0):
            found.append(
                Problem(
                    f"{what} falls into {tensor.parts} parts of {tensor.width} columns",
                    f"parts are multiples of {tensor.lanes} lanes and of {MASKS_PER_BEAT} vectors",
                    where,
                )
            )
    return found


def _slot_problems(held: Slots, func: str, where: str) -> list[Problem]:
    remedy = "use larger buffers"
    found = []
    if min(held.a, held.b) < 1:
        found.append(Problem("a strip does not fit the operand buffers", remedy, where))
    if held.c < 1:
        found.append(Problem("a strip does not fit the result buffer", remedy, where))
    if func in ("softmax", "norm") and held.results < 1:
        found.append(Problem("a row tile does not fit the tile buffer", remedy, where))
    return found


def operand_registers(
    config: UnitConfig, operands: Operands, where: str, mode: ProductMode = PLAIN
) -> tuple[dict[str, int], list[Problem]]:
    """Registers of shapes, places and order of C = A B^T (norm: of A and B), and what is wrong.

    where: names the command in problems. The registers are of use where nothing is wrong.
    """
    a, b, c = operands
    func, transpose, group = mode.func, mode.transpose, mode.group
    held = slots(config, a, b, c, func)
    problems = tile_problems(config, a, b, c, where) + _slot_problems(held, func, where)
    m_tiles, b_tiles = a.row_tiles, b.row_tiles
    resident = func != "norm" and b_tiles <= held.b
    most = m_tiles if transpose else max(1, held.most)
    if group is not None and not 1 <= group <= most:
        problems.append(Problem(f"a group of {group} row tiles", f"choose 1 to {most}", where))
    if transpose:
        chosen = m_tiles
        if 1 <= held.a < m_tiles:
            problems.append(
                Problem(
                    f"{m_tiles} row tiles of a transposed product, the A buffer holds {held.a}",
                    "use a larger A buffer or a shorter sequence",
                    where,
                )
            )
    elif func in ("softmax", "norm"):
        chosen = 1
    else:
        even = tiles(m_tiles, tiles(m_tiles, min(m_tiles, most)))
        chosen = group or (1 if resident else even)
    split = mode.both_codes and config.weights == "shift"
    registers = {
        "m_tiles": m_tiles,
        "n_tiles": 1 if func == "norm" else b_tiles,
        "k_tiles": a.parts * a.steps,
        "passes": config.passes if split and func != "norm" else 1,
        "b_codes": int(split),
        "group": chosen,
        "a_slots": held.a,
        "b_slots": b_tiles if resident else held.b,
        "b_resident": int(resident),
        "b_strips": b_tiles,
        "b_passes": 1 if resident or func == "norm" else tiles(m_tiles, chosen),
        "k_stride": a.parts * a.stride,
        "a_parts": a.parts,
        "part_rows": a.stride,
        "a_base": a.base,
        "a_desc": a.desc,
        "a_pitch": a.pitch,
        "a_part_pitch": a.part_pitch if a.parts > 1 else 0,
        "b_base": b.base,
        "b_desc": b.desc,
        "b_pitch": b.pitch,
        "r_slots": held.results,
        "r_stride": held.result_stride,
        "c_slots": held.c,
        "c_stride": c.stride,
        "c_steps": c.steps,
        "c_rows": c.row_tiles,
        "c_group": c.row_tiles if transpose else chosen,
        "c_parts": c.parts,
        "c_strips": c.strips,
        "c_base": c.base,
        "c_desc": c.desc,
        "c_pitch": c.pitch,
        "c_part_pitch": c.part_pitch if c.parts > 1 else 0,
        "transpose": int(transpose),
        "last_rows": (a.rows - 1) % a.lanes,
        "last_lanes": ((a.columns if func == "norm" else b.rows) - 1) % a.lanes,
        "func": FUNCTIONS.index(func),
    }
    return registers, problems
