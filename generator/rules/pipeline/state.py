"""Values of variables while a kernel is walked: reads, writes, and what branches make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from shiftforge.generator.rules.pipeline.values import Atoms, Dependences, Value, join, merged

__all__ = [
    "Entries",
    "Environment",
    "Exit",
    "Leaving",
    "Path",
    "covers",
    "lookup",
    "merge",
    "ordered",
    "reaching",
    "without_loop",
    "write",
]

Path: TypeAlias = tuple[str | int, ...]
Entries: TypeAlias = Mapping[Path, Value]
Environment: TypeAlias = dict[int, Entries]
Key: TypeAlias = tuple[int, Path]


@dataclass
class Exit:
    """An environment that leaves early, under a condition."""

    condition: Value | None
    environment: Environment
    value: Value | None = None


@dataclass
class Leaving:
    """Exits of a function, a loop or a switch that are still to be joined."""

    kind: str
    returns: list[Exit] = field(default_factory=list)
    breaks: list[Exit] = field(default_factory=list)
    continues: list[Exit] = field(default_factory=list)


def _alike(first: Path, second: Path) -> bool:
    """Whether two paths of one length can name the same part; "*" is any constant index."""
    return first == second or all(
        a == b or (a == "*" and not isinstance(b, str)) or (b == "*" and not isinstance(a, str))
        for a, b in zip(first, second, strict=True)
    )


def covers(whole: Path, part: Path) -> bool:
    """Whether a write to ``whole`` replaces ``part`` altogether."""
    return len(part) >= len(whole) and all(
        a == b or (a == "*" and (b == "*" or not isinstance(b, str)))
        for a, b in zip(whole, part, strict=False)
    )


def lookup(atoms: Atoms, entries: Entries, path: Path) -> Value | None:
    """The value of a part of a variable; None where nothing was written."""
    exact = entries.get(path)
    if exact is not None and len(entries) == 1:
        return exact
    size = len(path)
    below: dict[Path, Value] = {}
    base: Value | None = None
    longest = -1
    for key, value in entries.items():
        length = len(key)
        if length > size:
            if _alike(key[:size], path):
                rest = key[size:]
                known = below.get(rest)
                below[rest] = value if known is None else join(atoms, known, value, None)
        elif _alike(key, path[:length]):
            # What the same path holds is newer than the whole, but not than a part of it.
            older = length < size or "*" not in path
            if exact is not None and key != path and "*" not in key and older:
                continue
            if length > longest:
                base, longest = value, length
            elif length == longest and base is not None:
                base = join(atoms, base, value, None)
    if not below:
        return base
    parts = [base, *below.values()] if base is not None else list(below.values())
    tree = dict(below)
    if base is not None:
        tree[()] = base
    deps = merged(v.deps for v in parts)
    loops = frozenset(s[0] for s in deps if s[1] != "memory")
    return Value(((atoms.fresh(loops), 1),), 0, None, deps, any(v.real for v in parts), None, tree)


def write(entries: Entries, path: Path, value: Value, every: bool) -> Entries:
    """The variable after a write; every: a "*" in the path stands for every index there is."""
    if not path and value.tree is None:
        return {(): value}
    strong = every or "*" not in path
    out = {k: v for k, v in entries.items() if not covers(path, k)} if strong else dict(entries)
    if value.tree is None:
        out[path] = value
    else:
        for rest, part in value.tree.items():
            out[path + rest] = part
    return out


def merge(
    atoms: Atoms,
    first: Environment | None,
    second: Environment | None,
    condition: Value | None,
) -> Environment | None:
    """The environment after two branches; None stands for one that does not get here."""
    if first is None or second is None:
        return second if first is None else first
    out = dict(second)
    for variable, entries in first.items():
        other = second.get(variable)
        if other is None:
            out[variable] = entries
        elif other is not entries:
            out[variable] = _merge_entries(atoms, entries, other, condition)
    return out


def _merge_entries(
    atoms: Atoms, first: Entries, second: Entries, condition: Value | None
) -> Entries:
    out: dict[Path, Value] = {}
    for path in dict.fromkeys((*first, *second)):
        a, b = first.get(path), second.get(path)
        if a is None:
            a = lookup(atoms, first, path)
        if b is None:
            b = lookup(atoms, second, path)
        if a is b and a is not None:
            out[path] = a
        elif a is None or b is None:
            value = a if a is not None else b
            assert value is not None
            out[path] = value
        else:
            if a.tree is not None or b.tree is not None:
                a, b = _bare(a), _bare(b)
            out[path] = join(atoms, a, b, condition)
    return out


def _bare(value: Value) -> Value:
    """Without its parts, which have entries of their own."""
    return Value(value.linear, value.offset, value.values, value.deps, value.real, value.place)


def without_loop(deps: Dependences, loop: int) -> Dependences:
    """Dependences that remain when a loop is left."""
    return {s: c for s, c in deps.items() if s[0] != loop}


def reaching(
    finals: Mapping[Key, Dependences], loop: int, outer: Mapping[Key, Dependences]
) -> dict[Key, Dependences]:
    """Dependences of each variable after a loop on what lies outside of it.

    finals: at the end of an iteration. outer: before the loop. What any chain of iterations can
    carry is joined.
    """
    out: dict[Key, Dependences] = {}
    for path in finals:
        seen: dict[object, None] = {path: None}
        stack: list[object] = [path]
        parts: list[Dependences] = []
        added: set[str] = set()
        while stack:
            at = stack.pop()
            deps = finals.get(at, {})  # type: ignore[call-overload]
            parts.append(outer.get(at, {}))  # type: ignore[call-overload]
            for source, (operations, _) in deps.items():
                if source[0] != loop:
                    parts.append({source: (operations, 0)})
                elif source[1] == "entry" and source[2] not in seen:
                    seen[source[2]] = None
                    stack.append(source[2])
                    added |= operations
        joined = merged(parts)
        more = frozenset(added)
        out[path] = {s: (o | more, c) for s, (o, c) in joined.items()}
    return out


def ordered(paths: Iterable[tuple[int, Path]]) -> Sequence[tuple[int, Path]]:
    """Whole variables before their parts."""
    return sorted(paths, key=lambda p: (len(p[1]), p[0], [str(e) for e in p[1]]))
