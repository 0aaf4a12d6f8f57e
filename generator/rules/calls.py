"""What each kernel calls, followed by name through its helper functions.

Loop variables of fully unrolled loops, constant locals and constant arguments are known values, so
that an index into a channel array can be told to be constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.constants import INTEGER_TYPES, evaluate
from shiftforge.generator.rules.lexer import Token, lex
from shiftforge.generator.rules.statements import closing, split
from shiftforge.generator.rules.syntax import Block, Function, Loop, Plain, Program, Statement

__all__ = [
    "Call",
    "Known",
    "Scope",
    "Unrolled",
    "learn_local",
    "owner",
    "reach",
    "resolve",
    "trip",
    "unroll_factor",
]

_MOST_VALUES = 65_536
_KEYWORDS = frozenset(
    ["if", "for", "while", "do", "switch", "return", "sizeof", "case", "else", "__attribute__"]
)


@dataclass(frozen=True)
class Unrolled:
    """A loop that is replicated in hardware, in one place of one kernel."""

    line: int
    depth: int


@dataclass(frozen=True)
class Known:
    """All values a name takes at compile time, and the unrolled loops it varies with."""

    values: tuple[int, ...]
    loops: frozenset[Unrolled] = frozenset()


Scope = Mapping[str, Known]


@dataclass(frozen=True)
class Call:
    """One call of a kernel: in its own body or in a helper that it reaches.

    path: the functions from the kernel to the one that holds the call.
    """

    name: str
    arguments: tuple[tuple[Token, ...], ...]
    line: int
    scope: Scope
    unrolled: tuple[Unrolled, ...]
    path: tuple[str, ...]

    @property
    def recursive(self) -> bool:
        """Whether the call leads back to a function that is still running."""
        return self.name in self.path


def resolve(tokens: Sequence[Token], scope: Scope) -> Known | None:
    """All values of an expression over known names, or None if it is not known when compiled."""
    used = sorted({t.text for t in tokens if t.kind == "name" and t.text in scope})
    combinations = 1
    for name in used:
        combinations *= len(scope[name].values)
    if combinations > _MOST_VALUES:
        return None
    found: dict[int, None] = {}
    for values in itertools.product(*(scope[name].values for name in used)):
        value = evaluate(tokens, dict(zip(used, values, strict=True)))
        if value is None:
            return None
        found[value] = None
    loops = frozenset().union(*(scope[name].loops for name in used))
    return Known(tuple(found), loops)


def unroll_factor(loop: Loop, scope: Scope) -> int | None:
    """1: not unrolled. 0: fully. N: by N. None: a factor that is no constant above zero."""
    for pragma in loop.pragmas:
        words = pragma.text.split(maxsplit=1)
        if words and words[0] == "unroll":
            if len(words) == 1:
                return 0
            known = resolve(lex(words[1])[0][0].tokens, scope)
            return known.values[0] if known and min(known.values) > 0 else None
    return 1


def trip(loop: Loop, scope: Scope) -> tuple[str, tuple[int, ...]] | None:
    """The variable of a ``for`` loop and all its values, if known when compiled."""
    if loop.keyword != "for":
        return None
    init, condition, step = loop.head
    equals = next((i for i, t in enumerate(init) if t.text == "="), None)
    if not equals or len(condition) < 3 or condition[0].text != init[equals - 1].text:
        return None
    name = init[equals - 1].text
    start, end = resolve(init[equals + 1 :], scope), resolve(condition[2:], scope)
    change = _step(step, name, scope)
    if start is None or end is None or not change:
        return None
    compare = condition[1].text
    values: dict[int, None] = {}
    for first, last in itertools.product(start.values, end.values):
        bound = last + {"<=": 1, ">=": -1}.get(compare, 0)
        if compare not in (("<", "<=", "!=") if change > 0 else (">", ">=", "!=")):
            return None
        values.update(dict.fromkeys(range(first, bound, change)))
        if len(values) > _MOST_VALUES:
            return None
    return name, tuple(values)


def _step(tokens: Sequence[Token], name: str, scope: Scope) -> int | None:
    texts = [t.text for t in tokens]
    if texts in ([name, "++"], ["++", name]):
        return 1
    if texts in ([name, "--"], ["--", name]):
        return -1
    if len(texts) > 2 and texts[0] == name and texts[1] in ("+=", "-="):
        known = resolve(tokens[2:], scope)
        if known is not None and len(known.values) == 1:
            return known.values[0] if texts[1] == "+=" else -known.values[0]
    return None


def reach(program: Program, kernel: Function) -> list[Call]:
    """Every call the kernel makes, once for each set of known values it is made with."""
    functions = {f.name: f for f in program.functions}
    base = {name: Known((value,)) for name, value in program.constants.items()}
    found: dict[tuple[object, ...], Call] = {}
    visited: set[tuple[object, ...]] = set()

    def visit(
        function: Function, scope: Scope, unrolled: tuple[Unrolled, ...], path: tuple[str, ...]
    ) -> None:
        key = (function.name, tuple(sorted(scope.items(), key=lambda i: i[0])), unrolled)
        if key in visited:
            return
        visited.add(key)
        for call in _walk(function.body, dict(scope), unrolled, path):
            found.setdefault((call.name, call.line, call.arguments, key, call.unrolled), call)
            callee = functions.get(call.name)
            if callee is not None and not call.recursive:
                inner = dict(base)
                for parameter, argument in zip(callee.parameters, call.arguments, strict=False):
                    known = resolve(argument, call.scope)
                    if known is None or parameter.pointer:
                        inner.pop(parameter.name, None)
                    else:
                        inner[parameter.name] = known
                visit(callee, inner, call.unrolled, (*path, callee.name))

    own = {n: k for n, k in base.items() if n not in {p.name for p in kernel.parameters}}
    visit(kernel, own, (), (kernel.name,))
    return list(found.values())


def owner(function: Function, calls: Mapping[str, Sequence[Call]]) -> str:
    """The kernel that the function is, or the first one that reaches it; "" for none."""
    if function.kernel:
        return function.name
    return next(
        (k for k, found in calls.items() if any(c.name == function.name for c in found)), ""
    )


def _walk(
    statement: Statement,
    scope: dict[str, Known],
    unrolled: tuple[Unrolled, ...],
    path: tuple[str, ...],
) -> Iterator[Call]:
    match statement:
        case Plain(tokens=tokens):
            yield from _calls(tokens, scope, unrolled, path)
            learn_local(tokens, scope)
        case Block(children=children):
            inner = dict(scope)
            for child in children:
                yield from _walk(child, inner, unrolled, path)
        case Loop():
            for part in statement.head:
                yield from _calls(part, scope, unrolled, path)
            yield from _walk_loop(statement, dict(scope), unrolled, path)


def _walk_loop(
    loop: Loop, scope: dict[str, Known], unrolled: tuple[Unrolled, ...], path: tuple[str, ...]
) -> Iterator[Call]:
    factor = unroll_factor(loop, scope)
    found = trip(loop, scope)
    if loop.keyword == "for":  # the variable hides a constant of its name
        for token in loop.head[0]:
            scope.pop(token.text, None)
    if factor != 1 and not (found and len(found[1]) <= 1):
        here = Unrolled(loop.line, len(unrolled))
        unrolled = (*unrolled, here)
        if found and factor is not None and (factor == 0 or factor >= len(found[1])):
            scope[found[0]] = Known(found[1], frozenset([here]))
    elif found and factor != 1:
        scope[found[0]] = Known(found[1])
    yield from _walk(loop.body, scope, unrolled, path)


def learn_local(tokens: Sequence[Token], scope: dict[str, Known]) -> None:
    """A local constant is known; any other declaration hides a constant of its name."""
    texts = [t.text for t in tokens]
    if "=" not in texts:
        if len(texts) > 1 and tokens[0].kind == "name":
            scope.pop(texts[-1], None)
        return
    equals = texts.index("=")
    known = None
    if "const" in texts[:equals] and all(t in INTEGER_TYPES for t in texts[: equals - 1]):
        known = resolve(tokens[equals + 1 :], scope)
    if known is not None:
        scope[texts[equals - 1]] = known
    elif equals:
        scope.pop(texts[equals - 1], None)


def _calls(
    tokens: Sequence[Token], scope: Scope, unrolled: tuple[Unrolled, ...], path: tuple[str, ...]
) -> Iterator[Call]:
    snapshot = dict(scope)
    for at, token in enumerate(tokens[:-1]):
        if token.kind == "name" and tokens[at + 1].text == "(" and token.text not in _KEYWORDS:
            inside = tokens[at + 2 : closing(tokens, at + 1)]
            yield Call(token.text, tuple(split(inside)), token.line, snapshot, unrolled, path)
