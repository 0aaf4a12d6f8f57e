"""A text's kernels, walked once for the rules and for the loop table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from shiftforge.generator.rules.parse import parse_program
from shiftforge.generator.rules.pipeline.facts import Kernel
from shiftforge.generator.rules.pipeline.types import Types
from shiftforge.generator.rules.pipeline.values import Atoms
from shiftforge.generator.rules.pipeline.walk import walk_kernel
from shiftforge.generator.rules.preprocess import preprocess
from shiftforge.generator.rules.syntax import Program

__all__ = ["Walked", "walk_text"]


@dataclass(frozen=True, eq=False)
class Walked:
    """kernels: the facts of each, and the terms of its linear forms."""

    program: Program
    types: Types
    kernels: tuple[tuple[Kernel, Atoms], ...]


def walk_text(text: str, defines: Mapping[str, str]) -> Walked:
    """The kernels of a text. Raises ParseError (with the line) for what is not understood."""
    return _walk(text, tuple(sorted(defines.items())))


# A design's text is asked for twice in a row: by the rules, and for its loop table.
@lru_cache(maxsize=1)
def _walk(text: str, defines: tuple[tuple[str, str], ...]) -> Walked:
    prepared = preprocess(text, dict(defines))
    program = parse_program(prepared.tokens, prepared.comments)
    types = Types(program)
    kernels = tuple(walk_kernel(program, types, kernel) for kernel in program.kernels)
    return Walked(program, types, kernels)
