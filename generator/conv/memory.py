"""On-chip feature-map memory: one array of equal lines, an asymmetric double buffer.

A classic ping-pong buffer reserves the largest map twice. Here every map gets its own base line
instead: consecutive maps are placed from opposite ends of one array, so the array need only be as
large as the largest sum of the maps that are alive together. A map that a residual addition still
has to read stays where it is, and later maps are stacked beside it.

The plan is never trusted: :func:`prove_no_overlap` looks at every step on its own and knows
nothing of how the bases were found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.conv.placement import Item, place

__all__ = ["MemoryPlan", "StoredMap", "largest_live_sum", "plan_memory", "prove_no_overlap"]


@dataclass(frozen=True)
class StoredMap:
    """A feature map that the array has to hold.

    name: unique in the plan.
    lines: size, >= 1.
    born: the step that writes the map.
    dies: the last step that reads it, >= born. The map is alive over [born, dies]: what a step
        reads and what it writes are alive together.
    spans: within [born, dies], the (first, last) steps in which something lies there, in order;
        none for all of them.
    """

    name: str
    lines: int
    born: int
    dies: int
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def lives(self) -> tuple[tuple[int, int], ...]:
        """First and last steps of its lives."""
        return self.spans or ((self.born, self.dies),)


@dataclass(frozen=True)
class MemoryPlan:
    """Base line of every map, and what the array costs beside its bound and the usual scheme.

    bases: first line of each map, 0 <= base <= total_lines - lines.
    total_lines: lines of the array.
    lower_bound_lines: the largest sum of maps alive at one step; no plan can be smaller.
    symmetric_lines: two buffers, each as large as the largest map (the usual double buffer).
    symmetric_residual_lines: what the usual double buffer needs besides, to keep maps alive that
        are neither the newest nor the one before it.
    placement: the name of the rule that found the bases.
    maps: what was placed, in the order it is written.
    """

    bases: dict[str, int]
    total_lines: int
    lower_bound_lines: int
    symmetric_lines: int
    symmetric_residual_lines: int
    placement: str
    maps: tuple[StoredMap, ...] = ()


def plan_memory(maps: Iterable[StoredMap], capacity_lines: int | None = None) -> MemoryPlan:
    """Place the maps in as few lines as the placement rules reach, and prove the result.

    maps: in the order they are written; steps are any integers.
    capacity_lines: what the board can hold; None for no limit.
    Raises InputError for maps that make no sense (all of them listed) and for a capacity that is
    too small (with the size needed).
    """
    wanted = tuple(maps)
    _refuse_malformed(wanted)
    bound = largest_live_sum(wanted)
    found = place([Item(m.lines, m.born, m.dies, m.spans) for m in wanted], bound)
    plan = MemoryPlan(
        bases={m.name: base for m, base in zip(wanted, found.bases, strict=True)},
        total_lines=found.total,
        lower_bound_lines=bound,
        symmetric_lines=2 * max((m.lines for m in wanted), default=0),
        symmetric_residual_lines=_kept_beside_the_pair(wanted),
        placement=found.rule,
        maps=wanted,
    )
    prove_no_overlap(plan, wanted)
    if capacity_lines is not None and plan.total_lines > capacity_lines:
        raise InputError(_too_small(plan, wanted, capacity_lines))
    return plan


def prove_no_overlap(plan: MemoryPlan, maps: Iterable[StoredMap]) -> None:
    """Check, step by step, that no two maps alive together share a line of the array.

    Raises CheckFailed that names the maps, their lines and the step; also for a map that has no
    base or lies partly outside the array.
    """
    wanted = tuple(maps)
    for m in wanted:
        if m.name not in plan.bases:
            raise CheckFailed(f"map {m.name!r} has no base in the memory plan")
        base = plan.bases[m.name]
        if base < 0 or base + m.lines > plan.total_lines:
            raise CheckFailed(
                f"map {m.name!r} at {_span(base, m.lines)} leaves the array of "
                f"{plan.total_lines} lines at step {m.born}"
            )
    # The set of live maps only grows at a birth, so the steps of births cover all steps.
    for step in sorted(_births(wanted)):
        live = sorted(_live(wanted, step), key=lambda m: plan.bases[m.name])
        for low, high in itertools.pairwise(live):
            low_base, high_base = plan.bases[low.name], plan.bases[high.name]
            if high_base < low_base + low.lines:
                raise CheckFailed(
                    f"maps {low.name!r} at {_span(low_base, low.lines)} and {high.name!r} at "
                    f"{_span(high_base, high.lines)} share lines at step {step}"
                )


def _live(maps: Sequence[StoredMap], step: int) -> list[StoredMap]:
    return [m for m in maps if any(born <= step <= dies for born, dies in m.lives)]


def _births(maps: Sequence[StoredMap]) -> set[int]:
    return {born for m in maps for born, _ in m.lives}


def _span(base: int, lines: int) -> str:
    return f"lines [{base}, {base + lines})"


def largest_live_sum(maps: Sequence[StoredMap]) -> int:
    """Lines of the maps that are alive at one step, at most: no plan can be smaller."""
    return max((sum(m.lines for m in _live(maps, step)) for step in _births(maps)), default=0)


def _kept_beside_the_pair(maps: Sequence[StoredMap]) -> int:
    """Largest sum of live maps that are not the two newest: a ping-pong pair has no room there."""
    most = 0
    for step in {m.born for m in maps}:
        newest_first = sorted(_live(maps, step), key=lambda m: m.born, reverse=True)
        most = max(most, sum(m.lines for m in newest_first[2:]))
    return most


def _refuse_malformed(maps: Sequence[StoredMap]) -> None:
    problems = []
    seen: set[str] = set()
    for m in maps:
        if m.name in seen:
            problems.append(Problem("two maps share this name", "name each map once", m.name))
        seen.add(m.name)
        if m.lines < 1:
            problems.append(
                Problem(
                    f"the size must be at least one line, not {m.lines}",
                    "leave maps without content out of the plan",
                    m.name,
                )
            )
        if m.dies < m.born:
            problems.append(
                Problem(
                    f"written at step {m.born} but last read at step {m.dies}",
                    "the last reading step cannot precede the writing step",
                    m.name,
                )
            )
    if problems:
        raise InputError(problems)


def _too_small(plan: MemoryPlan, maps: Sequence[StoredMap], capacity: int) -> Problem:
    peak = max(sorted({m.born for m in maps}), key=lambda s: sum(m.lines for m in _live(maps, s)))
    names = ", ".join(f"{m.name} ({m.lines})" for m in _live(maps, peak))
    return Problem(
        f"the feature maps need {plan.total_lines} lines on chip, the board has room for "
        f"{capacity}; most are alive at step {peak}: {names}",
        "choose a board with more block RAM, a smaller input resolution or a narrower network",
        "feature-map memory",
    )
