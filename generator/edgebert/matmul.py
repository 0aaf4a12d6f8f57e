"""Where the operands of a matrix product lie and how they share the buffers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import (
    PARAM_BEATS,
    Memory,
    Tensor,
    cut,
    register_problems,
)
from shiftforge.generator.edgebert.product import operand_registers
from shiftforge.generator.edgebert.registers import engine_registers
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["PARAM_BEATS", "MatmulPlan", "plan_matmul"]


@dataclass(frozen=True)
class MatmulPlan:
    """A product of (m, k) by (n, k) transposed: register values and the memory map.

    registers: by register name, in the engine's order. a, b, c: the tensors in the image. beats:
    size of the external memory image. ideal_cycles: ceil(m/lanes) * ceil(n/lanes) *
    ceil(k/lanes) * lanes, times the passes of a product of two activations on a shift unit.
    """

    config: UnitConfig
    m: int
    k: int
    n: int
    registers: dict[str, int]
    a: Tensor
    b: Tensor
    c: Tensor
    beats: int
    ideal_cycles: int


def plan_matmul(
    config: UnitConfig,
    m: int,
    k: int,
    n: int,
    *,
    frac: int = 0,
    out_bias: int = 0,
    relu: bool = False,
    group: int | None = None,
    both_codes: bool = False,
    transpose: bool = False,
    parts: int = 1,
) -> MatmulPlan:
    """Register values of a product.

    frac: fractional bits, 0..31; out_bias: exponent bias of the results, -128..127.
    group: row tiles that share a column tile on chip; 1 for row tiles one after the other. The
    results do not depend on it, the external traffic does. None: 1 where all of B stays on chip
    (nothing is fetched twice, and the results leave evenly), else as many as the buffers hold.
    both_codes: B holds AF codes whatever the unit's weights are. transpose: the result is stored
    as (n, m). parts: of the result, along its columns.
    Raises InputError where the product does not fit the unit.
    """
    lanes = config.lanes
    problems = []
    for name, size in (("m", m), ("k", k), ("n", n), ("parts", parts)):
        if size < 1:
            problems.append(Problem(f"{name} is {size}", "give a size of at least 1", "product"))
    if not 0 <= frac <= 31:
        problems.append(Problem(f"{frac} fractional bits", "choose 0 to 31", "product"))
    if not -128 <= out_bias <= 127:
        problems.append(Problem(f"exponent bias {out_bias}", "choose -128 to 127", "product"))
    if transpose and parts > 1:
        problems.append(Problem("a transposed result in parts", "leave out one", "product"))
    if both_codes and config.weights == "shift" and config.attention == "none":
        problems.append(
            Problem("this unit forms no product of two activations", "attention: passes", "product")
        )
    if problems and any(size < 1 for size in (m, k, n, parts)):
        raise InputError(problems)
    a = Tensor(lanes, m, k)
    b = Tensor(lanes, n, k, pack=1 if both_codes else config.weight_pack)
    c = Tensor(lanes, n, m) if transpose else Tensor(lanes, m, n, parts=parts)
    memory = Memory()
    a_desc, b_desc = memory.take(a.strips), memory.take(b.strips)
    p_base = memory.take(PARAM_BEATS * b.row_tiles)
    a = replace(a, desc=a_desc, base=memory.take(a.strips * a.pitch))
    b = replace(b, desc=b_desc, base=memory.take(b.strips * b.pitch))
    c = c.placed(memory)
    order, found = operand_registers(
        config,
        a,
        b,
        c,
        "product",
        both_codes=both_codes,
        transpose=transpose,
        group=group,
    )
    if problems or found:
        raise InputError(problems + found)
    values = {
        **order,
        "p_base": p_base,
        "p_load": 1,
        "f_base": 0,
        "f_rows": 0,
        "relu": int(relu),
        "frac": frac,
        "out_bias": out_bias,
    }
    if problems := register_problems(engine_registers(config), values, "product"):
        raise InputError(problems)
    ideal = a.row_tiles * b.row_tiles * a.steps * lanes * order["passes"]
    registers = cut(engine_registers(config), values)
    return MatmulPlan(config, m, k, n, registers, a, b, c, memory.beats, ideal)
