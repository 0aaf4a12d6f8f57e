"""What loads and stores that have to keep their order make of a loop's II."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.pipeline.distance import apart, promised, promised_length
from shiftforge.generator.rules.pipeline.facts import Access, Loop
from shiftforge.generator.rules.pipeline.recurrence import Recurrence, kind
from shiftforge.generator.rules.pipeline.target import Target
from shiftforge.generator.rules.pipeline.values import Atoms, Source

__all__ = ["Limit", "memory_limits"]

_GLOBAL, _STORES, _LOCAL_UPDATE = 200, 4, 2
# A private array of at most this size is one variable in registers, whatever its index.
_REGISTERS_BYTES = 64
_CYCLES = {"fadd": 3, "mul": 3, "fmul": 4, "div": 30, "mod": 30, "fdiv": 28, "call": 20}


@dataclass(frozen=True)
class Limit:
    """An II with its reason; or an update of one address that is a recurrence of a register."""

    ii: int
    reason: str
    update: Recurrence | None = None


def memory_limits(
    loop: Loop, parts: Sequence[Loop], atoms: Atoms, target: Target
) -> Iterator[Limit]:
    """What raises the II of a loop; parts: the loop, with those that are coalesced into it."""
    inner = parts[-1]
    accesses = [a for part in parts for a in part.accesses]
    own = [a for a in accesses if a.memory.variable.depth <= loop.depth]
    for store in own:
        if not store.store:
            continue
        for other in own:
            if not other.store:
                length = min(_length(parts, store), _length(parts, other))
                if _register_file(store):
                    length = 0  # registers are no memory: an ivdep does not speak of them
                for limit in _update(inner, parts, store, other, accesses, atoms, target):
                    yield _over(limit, length)
            elif other.order < store.order and _strewn(inner, parts, store, other):
                yield Limit(
                    _GLOBAL // 2,
                    f"{store.memory.name} is stored at two addresses that are not in order "
                    f"(lines {other.line}, {store.line})",
                )
            elif other.order < store.order and _in_turn(parts, atoms, store, other):
                yield Limit(
                    _LOCAL_UPDATE,
                    f"{store.memory.name} is stored at two addresses that may be one "
                    f"(lines {other.line}, {store.line})",
                )
        promise = any(promised(part, store) for part in parts)
        if any(part.copies > 1 for part in parts) and not promise and not _moves(inner, store):
            yield Limit(
                _STORES,
                f"copies of the store to {store.memory.name} (line {store.line}) may meet",
            )


def _length(parts: Sequence[Loop], access: Access) -> float:
    return max(promised_length(part, access) for part in parts)


def _over(limit: Limit, length: float) -> Limit:
    """A limit whose round takes as many iterations as are promised to be independent."""
    if not length or limit.update is not None:
        return limit
    ii = 1 if math.isinf(length) else -(-limit.ii // int(length))
    return Limit(ii, f"{limit.reason} for more than {length:.0f} iterations")


def _covered(parts: Sequence[Loop], first: Access, second: Access) -> bool:
    return all(any(promised(part, a) for part in parts) for a in (first, second))


def _strewn(loop: Loop, parts: Sequence[Loop], first: Access, second: Access) -> bool:
    """Two stores to global memory at addresses that do not move with the counter.

    Reports: II ~85 (17.1), store to store. Addresses that are equal or neighbours are one store.
    """
    if first.memory.space != "global" or not (_same(first, second) or _may_alias(first, second)):
        return False
    if _covered(parts, first, second) or (_moves(loop, first) and _moves(loop, second)):
        return False
    return [i.linear for i in first.indices] != [i.linear for i in second.indices]


def _in_turn(parts: Sequence[Loop], atoms: Atoms, first: Access, second: Access) -> bool:
    """Two stores to one memory on chip that have to be done one after the other."""
    if first.memory.space == "global" or not _same(first, second):
        return False
    if _covered(parts, first, second) or _apart(parts, atoms, first, second):
        return False
    return [i.linear for i in first.indices] != [i.linear for i in second.indices]


def _moves(loop: Loop, store: Access) -> bool:
    """Whether a store's address is linear in the counter."""
    counters = {loop.entry[k] for k in loop.induction}
    return any(a in counters for i in store.indices for a, _ in i.linear)


def _update(
    loop: Loop,
    parts: Sequence[Loop],
    store: Access,
    load: Access,
    accesses: Sequence[Access],
    atoms: Atoms,
    target: Target,
) -> Iterator[Limit]:
    operations = _fed(parts, store, load, accesses)
    if operations is None:
        if store.memory.space != "global":
            return  # on chip the scheduler finds an order at an II of 1
        operations = frozenset()
    memory = store.memory
    what = f"{memory.name} is loaded (line {load.line}) and stored (line {store.line})"
    if not _same(store, load):
        if _may_alias(store, load):
            yield Limit(_GLOBAL, f"{what} through pointers that may meet")
        return
    operations = frozenset(o for o in operations if kind(o) not in ("load", "gload"))
    steady = [a for a in accesses if _same(a, store)]
    if len(parts) == 1 and all(_steady(loop, atoms, a, store) for a in steady):
        # One address over the whole loop: the compiler keeps it in a register.
        added = sum(1 for o in operations if kind(o) == "fadd")
        yield Limit(1, what, Recurrence((memory.name,), operations, added, 1, added > 0, True))
        return
    cost = _LOCAL_UPDATE + sum(_CYCLES.get(kind(o), 0) for o in operations)
    if memory.space == "global":
        if target.version >= (18,) and _apart(parts, atoms, store, load):
            return
        yield Limit(_GLOBAL, f"{what} without a promise")
    elif not _apart(parts, atoms, store, load) or _register_file(store):
        yield Limit(cost, f"{what} without a promise")


def _apart(parts: Sequence[Loop], atoms: Atoms, store: Access, load: Access) -> bool:
    """Whether they never meet in different iterations of any level of a coalesced nest."""
    return all(
        apart(atoms, part, store, load, [p.number for p in parts[at + 1 :]])
        for at, part in enumerate(parts)
    )


def _fed(
    parts: Sequence[Loop], store: Access, load: Access, accesses: Sequence[Access]
) -> frozenset[str] | None:
    """Operations on the way from a load to a store, over any number of iterations; None: no way.

    The way may lead through variables and through other memories that the loop stores to.
    """
    key = _key(load)
    found: frozenset[str] | None = None
    feeding: dict[object, list[Access]] = {}
    for access in accesses:
        if access.store:
            feeding.setdefault(_key(access), []).append(access)
    numbers = {part.number for part in parts}
    seen: set[object] = set()
    stack: list[tuple[Source, frozenset[str]]] = list(_sources(store))
    while stack:
        source, operations = stack.pop()
        if source[0] not in numbers or source in seen:
            continue
        _, taken, which = source
        if taken == "memory" and which == key:
            found = (found or frozenset()) | operations
            continue
        seen.add(source)
        if taken == "memory":
            for other in feeding.get(which, ()):
                stack.extend((s, operations | more) for s, more in _sources(other))
        elif taken == "entry":
            for part in parts:
                if part.number == source[0]:
                    stack.extend((s, operations) for s in part.inputs.get(which, ()))  # type: ignore[call-overload]
                    ways = part.carried.get(which, {})  # type: ignore[call-overload]
                    stack.extend(
                        ((part.number, "entry", k), operations | chain[0])
                        for k, chain in ways.items()
                    )
    return found


def _sources(store: Access) -> Iterator[tuple[Source, frozenset[str]]]:
    """What a store takes in: its value, its condition and its address."""
    for value in (store.value, store.condition, *store.indices):
        if value is not None:
            for source, chain in value.deps.items():
                yield source, chain[0]


def _key(access: Access) -> tuple[int, tuple[str | int, ...]]:
    return access.memory.variable.number, access.memory.path


def _same(first: Access, second: Access) -> bool:
    return _key(first) == _key(second)


def _steady(loop: Loop, atoms: Atoms, access: Access, store: Access) -> bool:
    """Whether an access has the store's address, which the loop does not change."""
    return len(access.indices) == len(store.indices) and all(
        a.linear == b.linear
        and a.offset == b.offset
        and not a.varies(loop.number)
        and not any(loop.number in atoms.loops[t] for t, _ in a.linear)
        for a, b in zip(access.indices, store.indices, strict=True)
    )


def _may_alias(first: Access, second: Access) -> bool:
    """Two global pointers of which neither is restrict."""
    if first.memory.space != "global" or second.memory.space != "global":
        return False
    return not any("restrict" in a.memory.variable.type.qualifiers for a in (first, second))


def _register_file(access: Access) -> bool:
    """Whether the memory is so small that it is one variable in registers."""
    type_ = access.memory.type
    size = access.width or 4
    for dim in type_.dims:
        size *= dim or _REGISTERS_BYTES + 1
    return access.memory.space == "private" and size <= _REGISTERS_BYTES
