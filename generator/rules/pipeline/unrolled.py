"""Unrolled loops: walked once for all copies, or copy by copy where they are short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.pipeline.expressions import Assign, Binary, Name, Unary
from shiftforge.generator.rules.pipeline.pragmas import read_pragmas
from shiftforge.generator.rules.pipeline.state import Leaving, merge
from shiftforge.generator.rules.pipeline.values import Value
from shiftforge.generator.rules.pipeline.walker import Walker
from shiftforge.generator.rules.syntax import Block, Loop, Plain, Statement

__all__ = ["Counted", "UnrolledLoops", "counted"]

_MOST_VALUES = 65_536
# Copies of a one-line body that are walked one by one: shift registers, chains.
_MOST_COPIES = 260


@dataclass(frozen=True)
class Counted:
    """The head of a counting loop. least: copies; values: all that the variable takes."""

    name: str
    values: tuple[int, ...]
    most: int
    step: int


def counted(walk: Walker, loop: Loop) -> Counted | None:
    """What a ``for`` loop counts, where start, bound and step are known when compiled.

    The first part of the head has been walked; evaluates nothing with side effects.
    """
    if loop.keyword != "for" or not loop.head[1] or not loop.head[2]:
        return None
    condition, step = walk.tree(loop.head[1]), walk.tree(loop.head[2])
    if not isinstance(condition, Binary) or not isinstance(condition.left, Name):
        return None
    name = condition.left.text
    by = _step(walk, step, name)
    start = walk.evaluator.value(condition.left)
    bound = walk.evaluator.value(condition.right)
    if not by or not start.values or not bound.values or condition.operator not in _ENDS:
        return None
    values: dict[int, None] = {}
    most = 0
    for first in start.values:
        for last in bound.values:
            end = last + _ENDS[condition.operator]
            span = range(first, end, by)
            if len(span) > _MOST_VALUES:
                return None
            most = max(most, len(span))
            values.update(dict.fromkeys(span))
    return Counted(name, tuple(values), most, by)


_CHANGES = frozenset(
    ["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"]
)
_ENDS = {"<": 0, "<=": 1, "!=": 0, ">": 0, ">=": -1}


def _step(walk: Walker, step: object, name: str) -> int | None:
    match step:
        case Unary(operator="++" | "x++", operand=Name(text=text)) if text == name:
            return 1
        case Unary(operator="--" | "x--", operand=Name(text=text)) if text == name:
            return -1
        case Assign(operator="+" | "-", target=Name(text=text), value=value) if text == name:
            by = walk.evaluator.value(value).constant
            return None if by is None else by if step.operator == "+" else -by
        case Assign(operator="", target=Name(text=text), value=Binary() as sum_) if text == name:
            if isinstance(sum_.left, Name) and sum_.left.text == name and sum_.operator in "+-":
                by = walk.evaluator.value(sum_.right).constant
                return None if by is None else by if sum_.operator == "+" else -by
    return None


class UnrolledLoops:
    """Walks loops that become copies in hardware."""

    def __init__(self, walk: Walker) -> None:
        self._walk = walk
        self._names: dict[int, frozenset[str]] = {}

    def walk(self, loop: Loop) -> bool | None:
        """Walk a fully unrolled loop; None if it stays rolled, else whether it falls through."""
        pragmas = read_pragmas(loop.pragmas)
        if pragmas.unroll is None or loop.keyword != "for":
            return None
        c = self._walk.context
        scope = c.scope
        c.scope = dict(scope)
        before = dict(c.environment)
        recording, c.recording = c.recording, False
        if loop.head[0]:
            self._walk.statement(Plain(loop.head[0]))
        found = counted(self._walk, loop)
        c.recording = recording
        if found is None or (pragmas.unroll and pragmas.unroll < found.most):
            c.scope, c.environment = scope, before
            return None
        falls = self._copies(loop, found)
        c.scope = scope
        return falls

    def _copies(self, loop: Loop, found: Counted) -> bool:
        c = self._walk.context
        if not found.most:
            return True
        number = c.scope[found.name]
        leaving = Leaving("loop")
        self._walk.leaving.append(leaving)
        guard, branch = c.guard, c.branch
        if found.most == 1 or (found.most <= _MOST_COPIES and _short(loop.body)):
            values = [Value((), v, (v,)) for v in found.values]
        else:
            key = ("unrolled", id(loop), found.values)
            atom = c.atoms.of(key, (), found.values)
            values = [Value(((atom, 1),), 0, found.values)]
            c.unrolled.append(atom)
            self._forget(loop)
        falls = True
        for value in values:
            c.put(number, value)
            scope = c.scope
            c.scope = dict(scope)
            falls = self._walk.statement(loop.body)
            c.scope = scope
            for exit_ in leaving.continues:
                joined = merge(
                    c.atoms, exit_.environment, c.environment if falls else None, exit_.condition
                )
                assert joined is not None
                c.environment, falls = joined, True
            leaving.continues.clear()
            if not falls:
                break
        if len(values) == 1 and found.most > 1:
            c.unrolled.pop()
            self._chains(found.most)
        self._walk.leaving.pop()
        c.guard, c.branch = guard, branch
        for exit_ in leaving.breaks:
            joined = merge(
                c.atoms, exit_.environment, c.environment if falls else None, exit_.condition
            )
            assert joined is not None
            c.environment, falls = joined, True
        last = max(found.values) if found.step > 0 else min(found.values)
        c.put(number, Value((), last + found.step, (last + found.step,)))
        return falls

    def _forget(self, loop: Loop) -> None:
        """Variables that the copies hand on are not the same in each, though known in each."""
        c = self._walk.context
        for name in self._assigned(loop.body):
            number = c.scope.get(name)
            held = c.environment.get(number, {}).get(()) if number is not None else None
            if number is not None and held is not None and held.constant is not None:
                c.put(number, Value(((c.atoms.fresh(()), 1),), 0, ()))

    def _assigned(self, body: Statement) -> frozenset[str]:
        """Names before an assignment or beside ++ and --, found once."""
        key = id(body)
        if key not in self._names:
            tokens = list(_tokens(body))
            self._names[key] = frozenset(
                t.text
                for at, t in enumerate(tokens)
                if t.kind == "name"
                and (
                    (at + 1 < len(tokens) and tokens[at + 1].text in _CHANGES)
                    or (at and tokens[at - 1].text in ("++", "--"))
                )
            )
        return self._names[key]

    def _chains(self, copies: int) -> None:
        """Floating-point sums that grow with every copy are as long as there are copies."""
        c = self._walk.context
        for variable, entries in c.environment.items():
            grown = {}
            for path, value in entries.items():
                if value.real and "*" not in path and any(n for _, n in value.deps.values()):
                    deps = {s: (o, n * copies) for s, (o, n) in value.deps.items()}
                    grown[path] = replace(value, deps=deps)
            if grown:
                c.environment[variable] = {**entries, **grown}


def _tokens(statement: Statement) -> Iterator[Token]:
    match statement:
        case Plain(tokens=tokens):
            yield from tokens
        case Block(children=children):
            for child in children:
                yield from _tokens(child)
        case Loop(head=head, body=body):
            for part in head:
                yield from part
            yield from _tokens(body)


def _short(body: Statement) -> bool:
    """Whether it is one assignment, without calls."""
    if isinstance(body, Block):
        filled = [b for b in body.children if not isinstance(b, Plain) or b.tokens]
        return not body.keyword and len(filled) == 1 and _short(filled[0])
    return isinstance(body, Plain) and not any(t.text == "(" for t in body.tokens)
