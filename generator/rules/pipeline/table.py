"""The loop table: every rolled loop of every kernel, as the compiler's report would list it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shiftforge.generator.rules.pipeline.coalesce import inner_of_coalesced
from shiftforge.generator.rules.pipeline.facts import Kernel, Loop
from shiftforge.generator.rules.pipeline.target import DEFAULT, Target
from shiftforge.generator.rules.pipeline.values import Atoms
from shiftforge.generator.rules.pipeline.verdict import judge
from shiftforge.generator.rules.pipeline.walked import walk_text

__all__ = ["LoopEntry", "entries", "loop_table", "to_json"]

_NO_DEFINES: Mapping[str, str] = {}


@dataclass(frozen=True)
class LoopEntry:
    """One rolled loop.

    loop: function and line. trip_count: a number, "known at entry" or "unknown". ii: iterations are
    started every ii clocks (1 is full rate), None where the loop is not pipelined. at_least: rolled
    loops are inside, so that ii is what the loop itself allows (">=1" in the compiler's reports).
    stallable: a channel or global memory can stop it ("~1"). limit: what raises or refuses, or "".
    depth: rolled loops around it.
    """

    kernel: str
    loop: str
    line: int
    trip_count: str | int
    ii: int | None
    pipelined: bool
    limit: str
    at_least: bool = False
    stallable: bool = False
    depth: int = 0
    function: str = ""


def loop_table(
    text: str, *, defines: Mapping[str, str] = _NO_DEFINES, target: Target = DEFAULT
) -> tuple[LoopEntry, ...]:
    """Every rolled loop of the kernels of an OpenCL C text, in the order of the text's kernels.

    text: one file with its includes put in; defines: what ``-D`` options say. Raises ParseError
    (with the line) for text outside the subset that is read.
    """
    return entries(walk_text(text, defines).kernels, target)


def entries(
    kernels: Iterable[tuple[Kernel, Atoms]], target: Target = DEFAULT
) -> tuple[LoopEntry, ...]:
    """The table of walked kernels."""
    return tuple(
        _entry(loop, atoms, target)
        for kernel, atoms in kernels
        for loop in kernel.every()
        if not inner_of_coalesced(loop)
    )


def _entry(loop: Loop, atoms: Atoms, target: Target) -> LoopEntry:
    verdict = judge(loop, atoms, target)
    trip = "known at entry" if loop.trip == "entry" else loop.trip
    return LoopEntry(
        loop.kernel,
        f"{loop.function}:{loop.line}",
        loop.line,
        trip,
        verdict.ii,
        verdict.pipelined,
        verdict.limit,
        verdict.outer,
        verdict.stallable,
        loop.depth,
        loop.function,
    )


def to_json(found: Iterable[LoopEntry]) -> str:
    """The table as a JSON list of objects, one line a loop."""
    rows = [
        {
            "kernel": e.kernel,
            "loop": e.loop,
            "line": e.line,
            "depth": e.depth,
            "trip_count": e.trip_count,
            "ii": e.ii,
            "pipelined": e.pipelined,
            "at_least": e.at_least,
            "stallable": e.stallable,
            "limit": e.limit,
        }
        for e in found
    ]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"
