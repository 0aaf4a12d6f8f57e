"""What the offline compiler makes of a loop: pipelined or not, and at which II.

The figures are what public compiler reports showed (versions 16 to 21, see docs/ARCHITECTURE.md);
where they leave room, the worse is taken: an II of 1 is claimed only where the reports support it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.pipeline.distance import apart, promised
from shiftforge.generator.rules.pipeline.facts import Access, Loop
from shiftforge.generator.rules.pipeline.recurrence import Recurrence, kind, recurrences, shown
from shiftforge.generator.rules.pipeline.target import Target
from shiftforge.generator.rules.pipeline.values import Atoms

__all__ = ["Verdict", "judge"]

# Cycles of a recurrence by what is in it, from the reports.
_GLOBAL = 200
_LOCAL_UPDATE = 2
_ADD, _SOFT_ADD = 5, 8
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
    """The verdict on one rolled loop."""
    outer = bool(loop.children)
    stallable = any(
        bool(part.channels) or any(a.memory.space == "global" for a in part.accesses)
        for part in loop.inside()
    )
    refused = _refused(loop, target)
    if refused:
        return Verdict(False, None, refused, outer, stallable)
    raised = sorted(_raised(loop, atoms, target), reverse=True)
    ii, limit = raised[0] if raised and raised[0][0] > 1 else (1, "")
    if loop.pragmas.initiation is not None and loop.pragmas.initiation > ii:
        ii, limit = loop.pragmas.initiation, "the II that a pragma asks for"
    if not limit and outer:
        limit = "at least 1: its inner loops decide"
    return Verdict(True, ii, limit, outer, stallable)


def _refused(loop: Loop, target: Target) -> str:
    if loop.pragmas.not_pipelined:
        return "not pipelined: disable_loop_pipelining"
    if not loop.children:
        return ""
    for _, taken, which in loop.exit_inputs():
        if taken == "channel" and isinstance(which, tuple) and which[1] != loop.number:
            return f"not pipelined: its exit depends on channel {which[0]}, read in an inner loop"
    for child in loop.children:
        if child.conditional:
            return f"not pipelined: the inner loop of line {child.line} is conditional (divergent)"
    for child in loop.children:
        for part in child.inside():
            if loop.number in part.changes:
                return (
                    f"not pipelined: the trip count of the inner loop of line {part.line} "
                    "can change from one iteration to the next (out of order)"
                )
    return ""


def _raised(loop: Loop, atoms: Atoms, target: Target) -> Iterator[tuple[int, str]]:
    for recurrence in recurrences(loop):
        ii, what = _recurrence(recurrence, target)
        if ii > 1:
            yield ii, f"{what} in the recurrence of {', '.join(recurrence.variables[:4])}"
    yield from _memories(loop, atoms, target)


def _recurrence(r: Recurrence, target: Target) -> tuple[int, str]:
    cycles = 0
    what = ""
    for operation in sorted(r.operations):
        cost = _GLOBAL if kind(operation) == "gload" else _CYCLES.get(kind(operation), 0)
        if cost:
            cycles += cost
            what = what or shown(operation)
    if r.additions:
        add = _ADD if target.hard_float else _SOFT_ADD
        bare = {kind(o) for o in r.operations} <= {"fadd"} and r.additions == 1
        bare = bare and target.hard_float
        if not (bare and target.major >= 16):
            cycles += add * r.additions
            what = what or "floating-point addition"
    return -(-cycles // r.distance), what


def _memories(loop: Loop, atoms: Atoms, target: Target) -> Iterator[tuple[int, str]]:
    """Loads and stores of one memory that have to keep their order."""
    accesses = [a for part in loop.inside() for a in part.accesses]
    own = [a for a in accesses if a.memory.variable.depth <= loop.depth]
    stores = [a for a in own if a.store]
    for store, other in _pairs(stores, own):
        if promised(loop, store) and promised(loop, other):
            continue
        same = _same(store, other)
        if same and apart(atoms, loop, store, other):
            continue
        if not same and not _may_alias(store, other):
            continue
        verb = "stored twice" if other.store else "loaded and stored"
        yield (
            _memory_cost(loop, store, other, target),
            f"{store.memory.name} is {verb} without a promise (lines {other.line}, {store.line})",
        )


def _pairs(stores: Sequence[Access], every: Sequence[Access]) -> Iterator[tuple[Access, Access]]:
    for store in stores:
        for other in every:
            if other is store or (other.store and other.order > store.order):
                continue
            yield store, other


def _same(first: Access, second: Access) -> bool:
    a, b = first.memory, second.memory
    return a.variable.number == b.variable.number and a.path == b.path


def _may_alias(first: Access, second: Access) -> bool:
    """Two global pointers of which neither is restrict; one in a read-only space never does."""
    spaces = {first.memory.space, second.memory.space}
    if spaces != {"global"}:
        return False
    for access in (first, second):
        if "restrict" in access.memory.variable.type.qualifiers:
            return False
    return True


def _memory_cost(loop: Loop, store: Access, other: Access, target: Target) -> int:
    if store.memory.space == "global":
        return _GLOBAL if not other.store else _GLOBAL // 2
    source = (loop.number, "memory", (other.memory.variable.number, other.memory.path))
    deps = [v.deps for v in (store.value, store.condition, *store.indices) if v is not None]
    operations = frozenset(itertools.chain.from_iterable(d[source][0] for d in deps if source in d))
    cycles = _LOCAL_UPDATE
    for operation in operations:
        what = kind(operation)
        cycles += _ADD - 2 if what == "fadd" else _CYCLES.get(what, 0) if what != "load" else 0
    return cycles
