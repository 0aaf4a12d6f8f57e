"""What the offline compiler makes of a loop: pipelined or not, and at which II.

The figures are what public compiler reports showed (versions 16 to 21, see docs/ARCHITECTURE.md);
where they leave room, the worse is taken: an II of 1 is claimed only where the reports support it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.pipeline.coalesce import acts_before, coalesced
from shiftforge.generator.rules.pipeline.facts import Loop
from shiftforge.generator.rules.pipeline.memory_limits import memory_limits
from shiftforge.generator.rules.pipeline.recurrence import Recurrence, kind, recurrences, shown
from shiftforge.generator.rules.pipeline.target import Target
from shiftforge.generator.rules.pipeline.values import Atoms

__all__ = ["Verdict", "judge"]

# Cycles of a recurrence by what is in it, from the reports.
_GLOBAL = 200
_ADD, _SOFT_ADD = 5, 8
_SPECULATED = 4
_CYCLES = {"mul": 3, "fmul": 4, "div": 30, "mod": 30, "fdiv": 28, "call": 20, "load": 3}


@dataclass(frozen=True)
class Verdict:
    """ii: None where it is not pipelined. outer: a rolled loop is inside (">=1" in reports)."""

    pipelined: bool
    ii: int | None
    limit: str
    outer: bool
    stallable: bool


def judge(loop: Loop, atoms: Atoms, target: Target) -> Verdict:
    """The verdict on one rolled loop, with the loops that are coalesced into it."""
    parts = coalesced(loop)
    inner = parts[-1]
    outer = bool(inner.children)
    stallable = any(
        bool(part.channels) or any(a.memory.space == "global" for a in part.accesses)
        for part in loop.inside()
    )
    refused = _refused(parts, target)
    if refused:
        return Verdict(False, None, refused, outer, stallable)
    raised = sorted(_raised(parts, atoms, target), reverse=True)
    ii, limit = raised[0] if raised and raised[0][0] > 1 else (1, "")
    if outer and limit:
        # Reports give an outer loop >=1 all the same, and say that it runs serially.
        ii, limit = 1, f"at least 1, serial: {limit}"
    kept = loop.pragmas.coalesce is not None and len(parts) == 1 and outer
    if kept and acts_before(loop, loop.children[0]):
        ii, limit = 2, "loop_coalesce may fail: what stands before the inner loop has effects"
    asked = loop.pragmas.initiation
    if asked is not None and asked > ii:
        ii, limit = asked, "the II that a pragma asks for"
    if not limit and outer:
        limit = "at least 1: its inner loops decide"
    # Before 17.1 reports say a plain 1 of outer loops, too.
    return Verdict(True, ii, limit, outer and target.version >= (17, 1), stallable)


def _refused(parts: Sequence[Loop], target: Target) -> str:
    loop, inner = parts[0], parts[-1]
    if loop.pragmas.not_pipelined:
        return "not pipelined: disable_loop_pipelining"
    if not inner.children:
        return ""
    inside = {n.number for n in inner.inside()} - {p.number for p in parts}
    for _, taken, which in loop.exit_inputs():
        if taken == "channel" and isinstance(which, tuple) and which[1] in inside:
            return f"not pipelined: its exit depends on channel {which[0]}, read in an inner loop"
    if loop.pragmas.max_concurrency == 1 and target.version >= (18,):
        return ""
    if not any(_carries(part) for part in parts):
        return ""
    numbers = [part.number for part in parts]
    for child in inner.children:
        guard = child.condition
        if guard is not None and any(guard.varies(number) for number in numbers):
            return f"not pipelined: the inner loop of line {child.line} is conditional (divergent)"
    for child in inner.children:
        for part in child.inside():
            if any(number in part.changes for number in numbers):
                return (
                    f"not pipelined: the trip count of the inner loop of line {part.line} "
                    "can change from one iteration to the next (out of order)"
                )
    return ""


def _carries(loop: Loop) -> bool:
    """Whether an iteration hands on more than counters: a variable, or what a memory holds.

    A store alone counts, and no ivdep takes it away: reports of 17.1 refused both.
    """
    for key, edges in loop.carried.items():
        if edges and key not in loop.induction:
            return True
    return any(
        access.store and access.memory.variable.depth <= loop.depth
        for part in loop.inside()
        for access in part.accesses
    )


def _raised(parts: Sequence[Loop], atoms: Atoms, target: Target) -> Iterator[tuple[int, str]]:
    for part in parts:
        for recurrence in recurrences(part, reset=part is not parts[0]):
            yield _limit(recurrence, target)
    for part in parts:
        yield _exit(part, target)
    if not parts[-1].children:
        for limit in memory_limits(parts[0], parts, atoms, target):
            yield (limit.ii, limit.reason) if limit.update is None else _limit(limit.update, target)


def _exit(loop: Loop, target: Target) -> tuple[int, str]:
    """An iteration starts when the one before has said that there is one.

    From 19 on a few are started before that is known (speculated iterations: 4 at the least in
    reports).
    """
    cycles, what = 0, ""
    for condition in loop.exits:
        for source, (operations, additions) in condition.deps.items():
            if source[0] != loop.number or source[1] == "memory":
                continue
            cost = sum(_cost(o) for o in operations) + _ADD * additions
            if source[1] == "load":
                cost += _CYCLES["load"]
            if cost > cycles:
                named = [shown(o) for o in sorted(operations) if _cost(o)]
                cycles, what = cost, named[0] if named else "floating-point addition"
    started = 1 + (_SPECULATED if target.version >= (19,) else 0)
    return -(-cycles // started), f"{what} decides whether the loop goes on"


def _cost(operation: str) -> int:
    return _GLOBAL if kind(operation) == "gload" else _CYCLES.get(kind(operation), 0)


def _limit(recurrence: Recurrence, target: Target) -> tuple[int, str]:
    ii, what = _recurrence(recurrence, target)
    return ii, f"{what} in the recurrence of {', '.join(recurrence.variables[:4])}"


def _recurrence(r: Recurrence, target: Target) -> tuple[int, str]:
    cycles = 0
    what = ""
    for operation in sorted(r.operations):
        cost = _cost(operation)
        if cost:
            cycles += cost
            what = what or shown(operation)
    if r.additions:
        add = _ADD if target.hard_float else _SOFT_ADD
        bare = {kind(o) for o in r.operations} <= {"fadd"} and r.additions == 1
        bare = bare and r.accumulator
        if not (bare and target.hard_float):
            cycles += add * r.additions
            what = what or "floating-point addition"
    return -(-cycles // r.distance), what
