"""The pipelining rules' front door."""

from __future__ import annotations

from collections.abc import Iterator

from shiftforge.generator.rules.pipeline.check_channels import check_channels
from shiftforge.generator.rules.pipeline.check_loops import check_loops
from shiftforge.generator.rules.pipeline.check_memories import Proofs, check_memories
from shiftforge.generator.rules.pipeline.walked import Walked
from shiftforge.generator.rules.registry import RuleViolation

__all__ = ["Proofs", "check_pipelining"]


def check_pipelining(walked: Walked, proofs: Proofs | None) -> Iterator[RuleViolation]:
    """Every rule of the group "pipelining".

    proofs: the smallest distance in iterations that the planner proved, by the proof's name (None
    where no two iterations meet); None leaves it at each promise naming a proof.
    """
    for kernel, atoms in walked.kernels:
        yield from check_loops(kernel)
        yield from check_memories(kernel, atoms, walked.types, walked.program.comments, proofs)
    yield from check_channels([kernel for kernel, _ in walked.kernels])
