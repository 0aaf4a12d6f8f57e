"""Ports: which accesses of a memory share one load or store unit, and which need another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shiftforge.generator.rules.pipeline.facts import Access
from shiftforge.generator.rules.pipeline.values import Atoms, Value

__all__ = ["copies", "sites"]


def sites(atoms: Atoms, accesses: Iterable[Access]) -> list[list[Access]]:
    """The accesses of one memory and one direction, by the port that they take.

    Accesses of the same address are one (parts of one word). Where constant indices tell banks
    apart, each bank has ports of its own: accesses of different banks share a port here.
    """
    groups: list[list[Access]] = []
    for access in accesses:
        for group in groups:
            if all(_shares(other, access) for other in group):
                group.append(access)
                break
        else:
            groups.append([access])
    return groups


def _shares(first: Access, second: Access) -> bool:
    """Whether two accesses need one port only: the same word, or banks apart."""
    if any(_disjoint(a, b) for a, b in zip(first.indices, second.indices, strict=False)):
        return True
    if len(first.indices) != len(second.indices):
        return False
    return all(_one_word(a, b) for a, b in zip(first.indices, second.indices, strict=True))


def _disjoint(a: Value, b: Value) -> bool:
    return bool(a.values and b.values) and not set(a.values or ()) & set(b.values or ())


def _one_word(a: Value, b: Value) -> bool:
    """Whether two indices are the same, or neighbours in a word whose start is aligned."""
    if a.fixed and b.fixed:
        return True
    if a.linear != b.linear:
        return False
    # The largest power of two that divides every factor is the number of elements in a word.
    word = min((f & -f for _, f in a.linear), default=1)
    return a.offset // word == b.offset // word


def copies(atoms: Atoms, access: Access) -> int:
    """How many ports the unrolled loops around an access make of it.

    A loop whose index picks the bank, or that reads the same word again, adds none; nor does one
    whose copies are the parts of one aligned word.
    """
    number = 1
    for atom in access.unrolled:
        values = atoms.spread[atom] or ()
        if any(i.fixed and _uses(atoms, i, atom) for i in access.indices):
            continue
        moving = [i for i in access.indices if not i.fixed and _uses(atoms, i, atom)]
        if not moving or (len(moving) == 1 and _word(atoms, moving[0], atom, values)):
            continue
        number *= len(values)
    return number


def _word(atoms: Atoms, index: Value, atom: int, values: Sequence[int]) -> bool:
    """Whether base + 0 .. base + n - 1, n a power of two and base a multiple of it."""
    n = len(values)
    if sorted(values) != list(range(n)) or n & (n - 1):
        return False
    factors = dict(index.linear)
    return (
        factors.get(atom) == 1
        and index.offset % n == 0
        and all(f % n == 0 for a, f in index.linear if a != atom)
        and not any(_inside(atoms, a, atom) for a in factors if a != atom)
    )


def _uses(atoms: Atoms, index: Value, atom: int) -> bool:
    return any(a == atom or _inside(atoms, a, atom) for a, _ in index.linear)


def _inside(atoms: Atoms, term: int, atom: int) -> bool:
    """Whether a term was made of the index of an unrolled loop, or inside of the loop."""
    if atom in atoms.copied[term]:
        return True
    key = atoms.key[term]
    if not isinstance(key, tuple):
        return False
    for part in key:
        linear = isinstance(part, tuple) and part and all(isinstance(p, tuple) for p in part)
        if linear and any(a == atom or _inside(atoms, a, atom) for a, *_ in part):
            return True
    return False
