"""Whether a load and a store of one memory can meet in different iterations of a loop."""

from __future__ import annotations

import math

from shiftforge.generator.rules.pipeline.facts import Access, Loop, Promise
from shiftforge.generator.rules.pipeline.values import Atoms, Value

__all__ = ["apart", "promised", "promised_length"]


def apart(atoms: Atoms, loop: Loop, first: Access, second: Access) -> bool:
    """Whether two accesses never touch the same element in different iterations.

    One dimension is enough in which they can only be equal in the same iteration (both move by the
    same step of the loop's counter) or never at all.
    """
    return any(
        _never(atoms, loop, a, b) for a, b in zip(first.indices, second.indices, strict=False)
    )


def _never(atoms: Atoms, loop: Loop, a: Value, b: Value) -> bool:
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
    spread = 0
    for atom in (first.keys() | second.keys()) - moving:
        mine, other = first.get(atom, 0), second.get(atom, 0)
        copies = atoms.spread[atom]
        if isinstance(atoms.key[atom], tuple) and atoms.key[atom][0] == "unrolled" and copies:  # type: ignore[index]
            spread += max(abs(mine), abs(other)) * (max(copies) - min(copies))
        elif mine != other or loop.number in atoms.loops[atom]:
            return False
    # Iterations that differ by n meet where n * step lies within the spread of the offsets.
    offset = abs(a.offset - b.offset)
    if offset + spread < step:
        return True
    if isinstance(loop.trip, int):
        nearest = max(1, -(-(offset - spread) // step))
        return nearest >= loop.trip
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
