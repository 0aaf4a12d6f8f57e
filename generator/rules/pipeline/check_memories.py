"""Pipelining rules on memories: promises, proofs, ports, widths and global beats."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.lexer import Comment
from shiftforge.generator.rules.pipeline.distance import apart, promised
from shiftforge.generator.rules.pipeline.facts import Access, Kernel, Loop, Memory, Promise
from shiftforge.generator.rules.pipeline.sites import copies, sites
from shiftforge.generator.rules.pipeline.types import CType, Types
from shiftforge.generator.rules.pipeline.values import Atoms
from shiftforge.generator.rules.registry import RuleViolation, violation

__all__ = ["Proofs", "check_memories"]

# Smallest distance in iterations that is proved for a name; None: no two iterations ever meet.
Proofs = Mapping[str, int | None]
_PROOF = re.compile(r"\bproof:\s*([A-Za-z][\w.-]*)")


def check_memories(
    kernel: Kernel,
    atoms: Atoms,
    types: Types,
    comments: Sequence[Comment],
    proofs: Proofs | None,
) -> Iterator[RuleViolation]:
    """All rules on what a kernel keeps in memories."""
    for loop in kernel.every():
        if not loop.children:
            yield from _promises(loop, atoms)
        for promise in loop.pragmas.promises:
            yield from _proof(loop, promise, comments, proofs)
        yield from _sites(loop, atoms)
    yield from _widths(kernel, types)
    yield from _beats(kernel, atoms, types)


def _by_memory(accesses: Sequence[Access]) -> Iterator[tuple[Memory, list[Access]]]:
    found: dict[tuple[int, tuple[object, ...]], list[Access]] = {}
    for access in accesses:
        key = (access.memory.variable.number, access.memory.path)
        found.setdefault(key, []).append(access)
    for group in found.values():
        yield group[0].memory, group


def _promises(loop: Loop, atoms: Atoms) -> Iterator[RuleViolation]:
    for memory, accesses in _by_memory(loop.accesses):
        if memory.variable.depth > loop.depth:
            continue  # new in each iteration
        stores = [a for a in accesses if a.store]
        loads = [a for a in accesses if not a.store]
        meeting = [
            (s, a) for s, a in itertools.product(stores, loads) if not apart(atoms, loop, s, a)
        ]
        # A promise has to name the array: one for all arrays covers what nobody thought of.
        if meeting and not promised(loop, meeting[0][0], named=True):
            store, load = meeting[0]
            yield violation(
                "memory-promise",
                loop.kernel,
                loop.line,
                f"{memory.name} is loaded (line {load.line}) and stored (line {store.line}) in "
                "this loop without a promise that names it",
                f"prove the distance and write #pragma ivdep safelen(n) array({memory.name})",
                subject=memory.name,
            )


def _proof(
    loop: Loop, promise: Promise, comments: Sequence[Comment], proofs: Proofs | None
) -> Iterator[RuleViolation]:
    names = [
        name
        for c in comments
        if c.first_line == promise.line or c.last_line == promise.line - 1
        for name in _PROOF.findall(c.text)
    ]
    what = ", ".join(promise.arrays) or "every array"
    remedy = "name the planner's proof beside the pragma: /* proof: name */"
    if not names:
        message = f"the promise on {what} names no proof"
    elif proofs is None:
        return
    else:
        name = names[0]
        distance = proofs.get(name)
        if name not in proofs:
            message = f"the promise on {what} rests on proof {name}, which the plan has not"
        elif distance is not None and promise.length is None:
            message = f"proof {name} holds for {distance} iterations; the promise has no safelen"
            remedy = f"write safelen({distance}) or less"
        elif distance is not None and promise.length is not None and promise.length > distance:
            message = f"proof {name} holds for {distance} iterations, not for {promise.length}"
            remedy = "promise no more than is proved"
        else:
            return
    yield violation("promise-proof", loop.kernel, promise.line, message, remedy, subject=what)


def _sites(loop: Loop, atoms: Atoms) -> Iterator[RuleViolation]:
    for memory, accesses in _by_memory(loop.accesses):
        for store in (True, False):
            found = [a for a in accesses if a.store == store]
            groups = sites(atoms, found)
            lines = [group[0].line for group in groups]
            repeated = [a for a in found if copies(atoms, a) > 1]
            outer = _outer_bank(memory, found)
            if len(groups) < 2 and not repeated and outer is None:
                continue
            verb = "store" if store else "load"
            remedy = f"choose address{' and value' if store else ''} first, and {verb} once"
            if len(groups) > 1:
                line = lines[1]
                message = (
                    f"{memory.name} has {len(groups)} {verb} sites in the loop of line "
                    f"{loop.line} (lines {', '.join(map(str, lines[:4]))})"
                )
            elif outer is not None and not repeated:
                line = outer.line
                message = (
                    f"constants choose parts of {memory.name} by an index that is not the last: "
                    "the compiler cannot tell that they lie in different banks"
                )
                remedy = "make the constant index the last one, its size a power of two"
            else:
                line = repeated[0].line
                message = (
                    f"an unrolled loop makes {copies(atoms, repeated[0])} {verb}s of "
                    f"{memory.name} at different addresses"
                )
            yield violation(
                f"memory-{verb}-site",
                loop.kernel,
                line,
                message,
                remedy,
                subject=memory.name,
            )


def _outer_bank(memory: Memory, accesses: Sequence[Access]) -> Access | None:
    """An access whose bank a constant index chooses with an index that varies behind it.

    The last index may run past its dimension for all that the compiler knows, so that it takes such
    accesses for ones of the same bank (guides: mask the index, or bank on the last dimension).
    """
    if memory.space == "global" or memory.space == "constant":
        return None
    for k in range(max((len(a.indices) for a in accesses), default=0)):
        chosen = [a for a in accesses if k < len(a.indices) and a.indices[k].fixed]
        chosen = [a for a in chosen if not all(i.fixed for i in a.indices[k:])]
        if len({v for a in chosen for v in a.indices[k].values or ()}) > 1:
            return chosen[0]
    return None


def _accesses(kernel: Kernel) -> list[Access]:
    return [*kernel.outside, *(a for loop in kernel.every() for a in loop.accesses)]


def _widths(kernel: Kernel, types: Types) -> Iterator[RuleViolation]:
    for memory, accesses in _by_memory(_accesses(kernel)):
        if memory.space == "global" or memory.space == "constant":
            continue
        size = types.size(memory.type)
        # Trailing dimensions that constants index lie side by side in one word.
        last = max(
            (n for a in accesses for n, i in enumerate(a.indices, 1) if not i.fixed), default=0
        )
        for dim in memory.type.dims[last:] if last else ():
            size = None if size is None or not dim else size * dim
        if size is not None and size & (size - 1):
            yield violation(
                "memory-width",
                kernel.name,
                memory.variable.line,
                f"a word of {memory.name} has {size} bytes, which is no power of two",
                f"pad the word to {1 << size.bit_length()} bytes, or split it",
                subject=memory.name,
            )


def _beats(kernel: Kernel, atoms: Atoms, types: Types) -> Iterator[RuleViolation]:
    for memory, accesses in _by_memory(_accesses(kernel)):
        if memory.space != "global":
            continue
        element = CType(memory.type.base)
        size, alignment = types.size(element), types.alignment(element)
        remedy = "use a word of 2^n bytes with __attribute__((aligned(2^n)))"
        first = accesses[0]
        if size is not None and size & (size - 1):
            message = f"a word of {memory.name} has {size} bytes, which is no power of two"
        elif size is not None and alignment is not None and alignment < size:
            message = f"a word of {memory.name} has {size} bytes and is aligned to {alignment}"
        else:
            narrow = next((a for a in accesses if copies(atoms, a) > 1), None)
            narrow = narrow or _neighbours(accesses)
            if narrow is None:
                continue
            first = narrow
            message = f"{memory.name} is accessed in a sequence of narrow words"
            remedy = "access one wide word, and take it apart in registers"
        yield violation(
            "global-beat", kernel.name, first.line, message, remedy, subject=memory.name
        )


def _neighbours(accesses: Sequence[Access]) -> Access | None:
    """An access that another one of the same direction follows at a constant distance."""
    seen: dict[tuple[object, ...], Access] = {}
    for access in accesses:
        if not access.indices:
            continue
        key = (access.store, access.line, tuple(i.linear for i in access.indices))
        other = seen.setdefault(key, access)
        if other.indices[-1].offset != access.indices[-1].offset:
            return access
    return None
