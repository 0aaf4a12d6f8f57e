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
from shiftforge.generator.edgebert.product import ProductMode, operand_registers
from shiftforge.generator.edgebert.registers import engine_registers
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["PARAM_BEATS", "MatmulOptions", "MatmulPlan", "plan_matmul"]


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


@dataclass(frozen=True)
class MatmulOptions:
    """How a product is computed and stored.

    frac: fractional bits, 0..31. out_bias: exponent bias of the results, -128..127. group,
    both_codes, transpose: as in ``ProductMode``; the results do not depend on the group, the
    external traffic does. parts: of the result, along its columns.
    """

    frac: int = 0
    out_bias: int = 0
    relu: bool = False
    group: int | None = None
    both_codes: bool = False
    transpose: bool = False
    parts: int = 1

    def problems(self, config: UnitConfig) -> list[Problem]:
        """What no product of the unit takes."""
        found = []
        if self.parts < 1:
            found.append(Problem(f"parts is {self.parts}", "give a size of at least 1", "product"))
        if not 0 <= self.frac <= 31:
            found.append(Problem(f"{self.frac} fractional bits", "choose 0 to 31", "product"))
        if not -128 <= self.out_bias <= 127:
            found.append(Problem(f"exponent bias {self.out_bias}", "choose -128 to 127", "product"))
        if self.transpose and self.parts > 1:
            found.append(Problem("a transposed result in parts", "leave out one", "product"))
        if self.both_codes and config.weights == "shift" and config.attention == "none":
            what = "this unit forms no product of two activations"
            found.append(Problem(what, "attention: passes", "product"))
        return found


PLAIN = MatmulOptions()


def plan_matmul(
    config: UnitConfig, shape: tuple[int, int, int], options: MatmulOptions = PLAIN
) -> MatmulPlan:
    """Register values and memory map of a product of (m, k) by (n, k) transposed.

    shape: m, k, n. Raises InputError where the product does not fit the unit.
    """
    m, k, n = shape
    parts, transpose, both_codes = options.parts, options.transpose, options.both_codes
    lanes = config.lanes
    problems = [
        Problem(f"{name} is {size}", "give a size of at least 1", "product")
        for name, size in zip("mkn", shape, strict=True)
        if size < 1
    ]
    problems += options.problems(config)
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
    mode = ProductMode(both_codes=both_codes, transpose=transpose, group=options.group)
    order, found = operand_registers(config, (a, b, c), "product", mode)
    if problems or found:
        raise InputError(problems + found)
    values = {
        **order,
        "p_base": p_base,
        "p_load": 1,
        "f_base": 0,
        "f_rows": 0,
        "relu": int(options.relu),
        "frac": options.frac,
        "out_bias": options.out_bias,
    }
    if problems := register_problems(engine_registers(config), values, "product"):
        raise InputError(problems)
    ideal = a.row_tiles * b.row_tiles * a.steps * lanes * order["passes"]
    registers = cut(engine_registers(config), values)
    return MatmulPlan(config, m, k, n, registers, a, b, c, memory.beats, ideal)
