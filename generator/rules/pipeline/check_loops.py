"""Pipelining rules on the form of loops and on recurrences."""

from __future__ import annotations

from collections.abc import Iterator

from shiftforge.generator.rules.pipeline.facts import Kernel, Loop
from shiftforge.generator.rules.pipeline.recurrence import kind, line, recurrences, shown
from shiftforge.generator.rules.registry import RuleViolation, violation

__all__ = ["check_loops", "layer_loop"]

_MULTIPLIES = frozenset(["mul", "div", "mod", "fadd", "fmul", "fdiv", "call"])
_LOADS = frozenset(["load", "gload"])


def layer_loop(loop: Loop) -> bool:
    """Whether a loop is the layer loop of a kernel: outermost, around one innermost loop.

    Words come and go in the loop inside: around one that uses no channel, a loop that does is none.
    A loop that brings the layer's record may stand before it.
    """
    one = len(_walks(loop)) == 1 and not any(child.children for child in loop.children)
    return loop.parent is None and one and not _works(loop)


def _walks(loop: Loop) -> list[Loop]:
    """The loops inside, without one that brings a layer's record: the first of several, innermost,
    of a trip count that the compiler knows, and with no channel but one that it alone reads.

    What nested loops cost is that the outer one is serial, which the layer loop is anyway, and an
    entry: such a loop adds its iterations, which never change, and waits for its record alone.
    """
    first, *others = loop.children
    brings = others and not first.children and isinstance(first.trip, int)
    return others if brings and _reads_alone(first, others) else loop.children


def _reads_alone(first: Loop, others: list[Loop]) -> bool:
    """Whether a loop uses no channel, or reads one that those behind it do not use."""
    own = {use.channel for use in first.channels}
    used = {use.channel for after in others for n in after.inside() for use in n.channels}
    return len(own) <= 1 and not own & used and all(use.kind == "read" for use in first.channels)


def _works(loop: Loop) -> bool:
    """Whether words come and go in a loop and in none inside it."""
    return bool(loop.channels) and not any(c.channels for n in loop.children for c in n.inside())


def check_loops(kernel: Kernel) -> Iterator[RuleViolation]:
    """Nesting, trip counts, exits, intervals and recurrences of every rolled loop."""
    for loop in kernel.every():
        yield from _nested(loop)
        yield from _trip(loop)
        yield from _interval(loop)
        if not loop.children:
            yield from _recurrences(loop)


def _nested(loop: Loop) -> Iterator[RuleViolation]:
    if not loop.children or layer_loop(loop):
        return
    # The outermost loop may hold one loop behind that of a record; further ones, and any deeper,
    # are too many.
    outermost = loop.parent is None and not _works(loop)
    for child in _walks(loop)[1:] if outermost else loop.children:
        yield violation(
            "loop-nested",
            loop.kernel,
            child.line,
            f"a rolled loop lies inside the loop of line {loop.line}",
            "unroll it, or make its walk part of the loop around it with counters",
            subject=child.function,
        )


def _trip(loop: Loop) -> Iterator[RuleViolation]:
    for _, what, which in sorted(loop.exit_inputs(), key=str):
        if what == "channel" and isinstance(which, tuple):
            yield violation(
                "exit-channel",
                loop.kernel,
                loop.line,
                f"what channel {which[0]} brings decides when the loop ends",
                "let the plan say how many iterations there are",
                subject=str(which[0]),
            )
    endless = not loop.breaks and (not loop.exits or loop.exits[0].constant not in (None, 0))
    if loop.trip == "unknown" and not endless:
        yield violation(
            "loop-trip",
            loop.kernel,
            loop.line,
            "the trip count is not known where the loop is entered",
            "write for (int i = 0; i < n; ++i) with an n that the plan computed",
            subject=loop.function,
        )


def _interval(loop: Loop) -> Iterator[RuleViolation]:
    """The compiler does as it is told, however well the loop would pipeline."""
    asked = loop.pragmas.initiation
    if loop.pragmas.not_pipelined:
        told = "disable_loop_pipelining ends its pipelining"
    elif asked is not None and asked > 1:
        told = f"a pragma asks for an iteration every {asked} clocks"
    else:
        return
    yield violation(
        "loop-interval",
        loop.kernel,
        loop.line,
        told,
        "leave the pragma out",
        subject=loop.function,
    )


def _recurrences(loop: Loop) -> Iterator[RuleViolation]:
    for found in recurrences(loop):
        names = ", ".join(found.variables[:4])
        for operation in sorted(found.operations, key=lambda o: (line(o), o)):
            rule = (
                "recurrence-load"
                if kind(operation) in _LOADS
                else "recurrence-multiply"
                if kind(operation) in _MULTIPLIES
                else ""
            )
            if rule:
                yield violation(
                    rule,
                    loop.kernel,
                    line(operation) or loop.line,
                    f"{shown(operation)} lies in the recurrence of {names} "
                    f"(loop of line {loop.line})",
                    "keep a counter and a last flag in its place, or compute it before the loop",
                    subject=found.variables[0],
                )
