"""The pipelining rules' front door."""

from __future__ import annotations

from collections.abc import Iterator

from shiftforge.generator.rules.pipeline.check_channels import check_channels
from shiftforge.generator.rules.pipeline.check_loops import check_loops
from shiftforge.generator.rules.pipeline.check_memories import Proofs, check_memories
from shiftforge.generator.rules.pipeline.types import Types
from shiftforge.generator.rules.pipeline.walk import walk_kernel
from shiftforge.generator.rules.registry import RuleViolation
from shiftforge.generator.rules.syntax import Program

__all__ = ["Proofs", "check_pipelining"]


def check_pipelining(program: Program, proofs: Proofs | None) -> Iterator[RuleViolation]:
    """Every rule of the group "pipelining". Raises ParseError for text that is not understood.

    proofs: the smallest distance in iterations that the planner proved, by the proof's name (None
    where no two iterations meet); None leaves it at each promise naming a proof.
    """
    types = Types(program)
    walked = [walk_kernel(program, types, kernel) for kernel in program.kernels]
    for kernel, atoms in walked:
        yield from check_loops(kernel)
        yield from check_memories(kernel, atoms, types, program.comments, proofs)
    yield from check_channels([kernel for kernel, _ in walked])
