"""Whether a load and a store of one memory can meet in different iterations of a loop."""

from __future__ import annotations

import math
from collections.abc import Collection

from shiftforge.generator.rules.pipeline.facts import Access, Loop, Promise
from shiftforge.generator.rules.pipeline.values import Atoms, Value

__all__ = ["apart", "promised", "promised_length"]


def apart(
    atoms: Atoms, loop: Loop, first: Access, second: Access, inside: Collection[int] = ()
) -> bool:
    """Whether two accesses never touch the same element in different iterations.

    One dimension is enough in which they can only be equal in the same iteration (both move by the
    same step of the loop's counter) or never at all. inside: numbers of loops in which the index
    may change besides, as they are coalesced into this one.
    """
    still = frozenset([loop.number, *inside])
    return any(
        _never(atoms, loop, a, b, still)
        for a, b in zip(first.indices, second.indices, strict=False)
    )


def _never(atoms: Atoms, loop: Loop, a: Value, b: Value, still: frozenset[int]) -> bool:
    if not a.linear and not b.linear:
        both = a.constant is not None and b.constant is not None
        return both and a.constant != b.constant
    # Reports of 17.1 did not take two indices apart where the counter starts anywhere.
    steps = {loop.entry[k]: s for k, s in loop.induction.items() if k in loop.starts}
    first, second = dict(a.linear), dict(b.linear)
    moving = {k for k in first if k in steps} | {k for k in second if k in steps}
    if len(moving) != 1:
        return False
    counter = next(iter(moving))
    if first.get(counter, 0) != second.get(counter, 0) or not first.get(counter):
        return False
    step = abs(first[counter] * steps[counter])
    # The offsets of the two in one iteration differ by something from low to high.
    low = high = a.offset - b.offset
    for atom in (first.keys() | second.keys()) - moving:
        mine, other = first.get(atom, 0), second.get(atom, 0)
        copies = atoms.spread[atom]
        if isinstance(atoms.key[atom], tuple) and atoms.key[atom][0] == "unrolled" and copies:  # type: ignore[index]
            # Any copy of the one may meet any copy of the other.
            for factor in (mine, -other):
                low += min(factor * min(copies), factor * max(copies))
                high += max(factor * min(copies), factor * max(copies))
        elif mine != other or still & atoms.loops[atom]:
            return False
    # Iterations that differ by n meet where n * step is one of these differences.
    if max(abs(low), abs(high)) < step:
        return True
    if isinstance(loop.trip, int):
        least = 0 if low <= 0 <= high else min(abs(low), abs(high))
        return max(1, -(-least // step)) >= loop.trip
    return False


def promised(loop: Loop, access: Access, *, named: bool = False) -> bool:
    """Whether an ivdep before the loop covers the memory; named: and says its name."""
    return any(_covers(loop, promise, access, named) for promise in loop.pragmas.promises)


def promised_length(loop: Loop, access: Access) -> float:
    """Iterations for which an ivdep of the loop promises independence: 0 for none, inf for all."""
    found = [p.length for p in loop.pragmas.promises if _covers(loop, p, access, False)]
    return max((math.inf if n is None else n for n in found), default=0)


def _covers(loop: Loop, promise: Promise, access: Access, named: bool) -> bool:
    memory = access.memory
    if not promise.arrays:
        return not named
    for name in promise.arrays:
        head, *rest = name.split(".")
        number = loop.visible.get(head)
        if number == memory.variable.number and tuple(rest) == memory.path:
            return True
        if name in (memory.name, memory.name.rpartition(".")[2]):
            return True
    return False
