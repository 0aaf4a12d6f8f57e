"""Recurrences of a loop: the cycles of what each variable's next value depends on."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.generator.rules.pipeline.facts import Loop, PathKey
from shiftforge.generator.rules.pipeline.values import Chain

__all__ = ["Recurrence", "kind", "line", "recurrences", "shown"]

_WORDS = {
    "mul": "multiplication",
    "div": "division",
    "mod": "remainder",
    "fadd": "floating-point addition",
    "fmul": "floating-point multiplication",
    "fdiv": "floating-point division",
}


def kind(operation: str) -> str:
    """What an operation is: "mul" of "mul@17", "load" of "load:row@9"."""
    return operation.partition("@")[0].partition(":")[0]


def line(operation: str) -> int:
    """Its line; 0 where none is known."""
    digits = operation.rpartition("@")[2]
    return int(digits) if digits.isdigit() else 0


def shown(operation: str) -> str:
    """The operation in words, with its line."""
    what, _, detail = operation.partition("@")[0].partition(":")
    if what in ("load", "gload"):
        words = f"load of {detail}" + (" (global)" if what == "gload" else "")
    else:
        words = detail or _WORDS.get(what, what)
    return words + (f" (line {line(operation)})" if line(operation) else "")


@dataclass(frozen=True)
class Recurrence:
    """Variables that hand values to each other from iteration to iteration.

    operations: all on the way. additions: longest chain of floating-point additions. distance:
    iterations that one round takes; 1 where rounds of several lengths exist. accumulator: all are
    single-precision variables that start at a constant, as the hardened accumulator asks for.
    """

    variables: tuple[str, ...]
    operations: frozenset[str]
    additions: int
    distance: int
    real: bool
    accumulator: bool = False


def recurrences(loop: Loop, *, reset: bool = False) -> list[Recurrence]:
    """Every recurrence of a loop.

    reset: the loop is coalesced into one around it, which sets some of its variables anew.
    """
    found = []
    for group in _components(loop.carried):
        inside = set(group)
        operations: frozenset[str] = frozenset()
        additions = edges = 0
        for key in group:
            for source, (done, chain) in loop.carried[key].items():
                if source in inside:
                    operations |= done
                    additions += chain
                    edges += 1
        if not edges:
            continue
        simple = edges == len(group)
        if reset and inside & loop.resets:
            operations |= {"select"}
        names = tuple(sorted(loop.names.get(k, "") for k in group))
        real = any(k in loop.real for k in group)
        length = len(group) if simple else 1
        hardened = inside <= loop.hardened
        found.append(Recurrence(names, operations, additions, length, real, hardened))
    return found


def _components(graph: dict[PathKey, dict[PathKey, Chain]]) -> list[list[PathKey]]:
    """Strongly connected components (Tarjan 1972), without recursion."""
    index: dict[PathKey, int] = {}
    low: dict[PathKey, int] = {}
    stack: list[PathKey] = []
    held: set[PathKey] = set()
    out: list[list[PathKey]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter([k for k in graph[root] if k in graph]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        held.add(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    held.add(other)
                    work.append((other, iter([k for k in graph[other] if k in graph])))
                    break
                if other in held:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        top = stack.pop()
                        held.discard(top)
                        group.append(top)
                        if top == node:
                            break
                    out.append(group)
    return out
