"""Blocks of the processing unit that are placed and routed by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.generator.edgebert.rtl import UNIT_TOP, render_processing_unit
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import PUBLISHED_AUXILIARY, SMALL_BUFFER, UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = ["BLOCKS", "Block", "block_problems"]

BLOCKS = {
    "array": "pu_array",
    "post": "pu_post",
    "exprow": "sfu_exprow",
    "layernorm": "sfu_layernorm",
    "function": "pu_function",
    "matmul": "pu_matmul",
    "unit": UNIT_TOP,
}
"""Modules by the name of the block; any other module has its own name."""


@dataclass(frozen=True)
class Block:
    """name: of BLOCKS, or a module's. lanes, weights, terms: see ``UnitConfig``. buffer: bytes of
    each of the buffers A, B and C; tile_buffer: of the special functions' tile buffer."""

    name: str
    lanes: int
    weights: Literal["af", "shift"]
    terms: int = 1
    buffer: int = SMALL_BUFFER
    tile_buffer: int = PUBLISHED_AUXILIARY

    @property
    def design(self) -> UnitDesign:
        """The unit that the block is of. Raises InputError where there is none like it."""
        problems = Problems()
        config = problems.check(
            UnitConfig, self.lanes, weights=self.weights, terms=self.terms,
            a_buffer=self.buffer, b_buffer=self.buffer, c_buffer=self.buffer,
            aux_buffer=self.tile_buffer,
        )  # fmt: skip
        sfu = None if problems else problems.check(SfuConfig, self.lanes)
        problems.stop()
        assert config is not None
        return UnitDesign(config, sfu)

    @property
    def top(self) -> str:
        """The module's name."""
        return BLOCKS.get(self.name, self.name)

    def text(self) -> dict[str, str]:
        """The unit's files by name. Raises InputError where none of them is the block's."""
        found = render_processing_unit(self.design)
        if f"{self.top}.sv" not in found:
            remedy = f"choose {', '.join(BLOCKS)}, or a module of the unit, such as pu_fifo"
            raise InputError(Problem(f"unknown block {self.name!r}", remedy, "--block"))
        return found


def block_problems(block: Block) -> list[Problem]:
    """Everything that is wrong with it: its name is told whatever else is."""
    problems = Problems()
    problems.check(lambda: block.design)
    usual = Block(block.name, 4, "af")
    problems.check(usual.text)
    return problems
