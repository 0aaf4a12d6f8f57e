"""What the walk knows of a value: its linear form, and what it depends on across iterations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from shiftforge.generator.rules.pipeline.types import CType

__all__ = ["Atoms", "Chain", "Dependences", "Place", "Source", "Value", "join"]

# (loop number, "entry" | "channel" | "load" | "memory", which): what an iteration starts with, or
# takes in. "entry" names a variable's path, "memory" a memory whose load the value comes from.
Source: TypeAlias = tuple[int, str, object]
# Operations between a source and a value, and the longest chain of floating-point additions.
Chain: TypeAlias = tuple[frozenset[str], int]
Dependences: TypeAlias = Mapping[Source, Chain]

_MOST_VALUES = 4096
_NOTHING: Dependences = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Part of a variable: members by name and elements by index. type: of the part."""

    variable: int
    steps: tuple[str | Value, ...]
    type: CType

    def element(self, index: Value) -> Place:
        """One element of an array."""
        type_ = replace(self.type, dims=self.type.dims[1:])
        return Place(self.variable, (*self.steps, index), type_)


@dataclass(frozen=True, slots=True)
class Value:
    """linear: (atom, factor) pairs, sorted, plus ``offset``.

    values: all values it takes where these are known when compiled (() where they are known but too
    many to list), None where it is not known. real: floating-point. tree: of a struct, the values
    of its parts by path. place: what it points to.
    """

    linear: tuple[tuple[int, int], ...] = ()
    offset: int = 0
    values: tuple[int, ...] | None = None
    deps: Dependences = field(default_factory=lambda: _NOTHING)
    real: bool = False
    place: Place | None = None
    tree: Mapping[tuple[str | int, ...], Value] | None = None

    @property
    def constant(self) -> int | None:
        """The value, if it is the same wherever the text is copied to."""
        return self.values[0] if self.values is not None and len(self.values) == 1 else None

    @property
    def fixed(self) -> bool:
        """Whether it is known when compiled, in each copy of an unrolled loop."""
        return self.values is not None

    def varies(self, loop: int) -> bool:
        """Whether it can change from one iteration of the loop to the next."""
        return any(s[0] == loop and s[1] != "memory" for s in self.deps)


class Atoms:
    """Numbers for the terms of linear forms: equal terms have equal numbers."""

    def __init__(self) -> None:
        self._number: dict[object, int] = {}
        self.key: list[object] = []
        self.loops: list[frozenset[int]] = []
        self.spread: list[tuple[int, ...] | None] = []
        # Of terms about which nothing is known: the unrolled loops that they were made in.
        self.copied: list[frozenset[int]] = []
        self.unrolled: list[int] = []
        self._fresh = itertools.count()

    def of(self, key: object, loops: Iterable[int], values: tuple[int, ...] | None = None) -> int:
        """The number of a term; loops: those in which it varies; values: of an unrolled index."""
        found = self._number.get(key)
        if found is None:
            found = self._number[key] = len(self.key)
            self.key.append(key)
            self.loops.append(frozenset(loops))
            self.spread.append(values)
            fresh = isinstance(key, tuple) and key[0] == "fresh"
            self.copied.append(frozenset(self.unrolled) if fresh else frozenset())
        return found

    def fresh(self, loops: Iterable[int]) -> int:
        """A term that equals no other."""
        return self.of(("fresh", next(self._fresh)), loops)


def merged(parts: Iterable[Dependences], added: str = "", adds: int = 0) -> dict[Source, Chain]:
    """Dependences of all parts, each with one operation more."""
    out: dict[Source, Chain] = {}
    more = frozenset([added]) if added else frozenset()
    for part in parts:
        for source, (operations, chain) in part.items():
            known = out.get(source)
            operations = operations | more if added else operations
            chain += adds
            if known is None:
                out[source] = (operations, chain)
            elif known[0] is not operations or chain > known[1]:
                out[source] = (known[0] | operations, max(known[1], chain))
    return out


def join(atoms: Atoms, first: Value, second: Value, condition: Value | None) -> Value:
    """The value after a branch, or of either of two parts."""
    if first is second:
        return first
    conditions = [condition.deps] if condition is not None else []
    same = (
        first.linear == second.linear
        and first.offset == second.offset
        and first.values == second.values
        and bool(first.linear or first.values)
    )
    deps = merged([first.deps, second.deps, *conditions], "select" if not same else "")
    if same:
        return Value(first.linear, first.offset, first.values, deps, first.real, first.place, None)
    loops = frozenset(s[0] for s in deps if s[1] != "memory")
    tree = None
    if first.tree is not None and second.tree is not None:
        paths = dict.fromkeys((*first.tree, *second.tree))
        bare1, bare2 = Value(deps=first.deps), Value(deps=second.deps)
        tree = {
            p: join(atoms, first.tree.get(p, bare1), second.tree.get(p, bare2), condition)
            for p in paths
        }
    place = first.place if first.place is not None else second.place
    return Value(((atoms.fresh(loops), 1),), 0, None, deps, first.real or second.real, place, tree)


def combined(a: Value, b: Value, operation: Callable[[int, int], int]) -> tuple[int, ...] | None:
    """All values of an operation on two values, if both are known when compiled."""
    if a.values is None or b.values is None:
        return None
    if not a.values or not b.values or len(a.values) * len(b.values) > _MOST_VALUES:
        return ()
    try:
        return tuple(dict.fromkeys(operation(x, y) for x in a.values for y in b.values))
    except (ArithmeticError, ValueError, OverflowError):
        return ()
