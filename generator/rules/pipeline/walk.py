"""Walks a kernel with its helpers inlined and collects the facts of its rolled loops.

Unrolled loops are walked once, with an index that stands for all its values; only short ones that
shift registers are walked copy by copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.pipeline.context import Context
from shiftforge.generator.rules.pipeline.evaluate import Evaluator
from shiftforge.generator.rules.pipeline.expressions import (
    Assign,
    Expression,
    read_expression,
)
from shiftforge.generator.rules.pipeline.facts import Kernel
from shiftforge.generator.rules.pipeline.rolled import RolledLoops
from shiftforge.generator.rules.pipeline.state import Environment, Exit, Leaving, Path, merge
from shiftforge.generator.rules.pipeline.types import CType, Declared, Types
from shiftforge.generator.rules.pipeline.unread import assigned, unread
from shiftforge.generator.rules.pipeline.unrolled import UnrolledLoops
from shiftforge.generator.rules.pipeline.values import Atoms, Value, join
from shiftforge.generator.rules.statements import ParseError
from shiftforge.generator.rules.syntax import Block, Function, Loop, Plain, Program, Statement

__all__ = ["Walk", "walk_kernel"]

_MOST_CALLS = 40
_LABELS = (["case"], ["default"])
_MOST_WALKS = 4


def walk_kernel(program: Program, types: Types, function: Function) -> tuple[Kernel, Atoms]:
    """The facts of one kernel, and the terms of its linear forms."""
    dynamic: set[tuple[int, str, Path]] = set()
    for _ in range(_MOST_WALKS):
        known = len(dynamic)
        walk = Walk(program, types, Kernel(function.name, function.line), dynamic)
        walk.run(function)
        if len(dynamic) == known:
            break
    return walk.context.kernel, walk.context.atoms


class Walk:
    """One walk of one kernel."""

    def __init__(
        self,
        program: Program,
        types: Types,
        kernel: Kernel,
        dynamic: set[tuple[int, str, Path]],
    ) -> None:
        self.context = Context(program, types, kernel, dynamic)
        self.evaluator = Evaluator(self.context, self._call)
        self.functions: list[str] = []
        self.leaving: list[Leaving] = []
        self._rolled = RolledLoops(self)
        self._unrolled = UnrolledLoops(self)
        self._unread: dict[str, frozenset[str]] = {}
        self._read: dict[int, list[Declared] | Expression | None] = {}

    def run(self, function: Function) -> None:
        """Walk the kernel's body."""
        self._open(function)
        for parameter in function.parameters:
            type_ = self._parameter_type(parameter.tokens)
            if type_.pointer:
                space = "global" if type_.space == "private" else type_.space
                dims = (0, *type_.dims)
                type_ = CType(type_.base, dims, False, space, type_.qualifiers)
                self.context.declare(parameter.name, type_, parameter.line, True)
            else:
                variable = self.context.declare(parameter.name, type_, parameter.line, True)
                real = self.context.types.is_real(type_)
                atom = self.context.atoms.of(("argument", parameter.name), ())
                self.context.put(variable.number, Value(((atom, 1),), 0, None, {}, real))
        self.leaving.append(Leaving("function"))
        self.statement(function.body)

    def _open(self, function: Function) -> None:
        self.functions.append(function.name)
        if function.name not in self._unread:
            self._unread[function.name] = unread(function, self.context.types.is_type)

    def _parameter_type(self, tokens: Sequence[Token]) -> CType:
        try:
            declared = self.context.types.declaration(tokens)
        except ParseError:
            declared = None
        return declared[0].type if declared else CType("int")

    # ---- functions ----------------------------------------------------------------------------

    def _call(self, name: str, values: tuple[Value, ...], line: int) -> Value:
        """Walk a helper with its arguments bound to its parameters."""
        c = self.context
        function = c.functions[name]
        if name in self.functions or len(self.functions) > _MOST_CALLS:
            c.kernel.faults.append((line, f"{name} is called while it runs"))
            return Value()
        scope, guard, branch = c.scope, c.guard, c.branch
        c.scope = {}
        for parameter, value in zip(function.parameters, values, strict=False):
            type_ = self._parameter_type(parameter.tokens)
            type_ = CType(type_.base, (), type_.pointer or bool(type_.dims))
            c.put(c.declare(parameter.name, type_, parameter.line).number, value)
        self._open(function)
        self.leaving.append(Leaving("function"))
        falls = self.statement(function.body)
        leaving = self.leaving.pop()
        self.functions.pop()
        environment = c.environment if falls else None
        result: Value | None = None
        for exit_ in reversed(leaving.returns):
            environment = merge(c.atoms, exit_.environment, environment, exit_.condition)
            if result is None or exit_.value is None:
                result = exit_.value if result is None else result
            else:
                result = join(c.atoms, exit_.value, result, exit_.condition)
        if environment is not None:
            c.environment = environment
        c.scope, c.guard, c.branch = scope, guard, branch
        return result if result is not None else Value(((c.atoms.fresh(()), 1),))

    # ---- statements ---------------------------------------------------------------------------

    def statement(self, statement: Statement) -> bool:
        """Walk a statement; whether what follows it can be reached."""
        match statement:
            case Plain():
                return self._plain(statement)
            case Block(keyword="if"):
                return self._if(statement)
            case Block(keyword="switch"):
                return self._switch(statement)
            case Block(children=children):
                scope = self.context.scope
                self.context.scope = dict(scope)
                falls = all(self.statement(child) for child in children)
                self.context.scope = scope
                return falls
            case Loop():
                reached = self._unrolled.walk(statement)
                return self._rolled.walk(statement) if reached is None else reached

    def _plain(self, statement: Plain) -> bool:
        tokens = statement.tokens
        if not tokens:
            return True
        word = tokens[0].text
        if word in ("case", "default"):
            return True
        if word in ("break", "continue", "return"):
            value = None
            if word == "return" and len(tokens) > 1:
                value = self.evaluator.value(self._expression(tokens[1:], id(tokens)))
            self._leave(word, value)
            return False
        found = self._parsed(tokens)
        if isinstance(found, Assign) and assigned(tokens) in self._unread[self.functions[-1]]:
            self.evaluator.value(found.value)
            return True
        if isinstance(found, list):
            for declared in found:
                self._declare(declared)
        elif found is not None:
            self.evaluator.value(found)
        return True

    def _leave(self, word: str, value: Value | None) -> None:
        c = self.context
        exit_ = Exit(c.guard, c.environment, value)
        for leaving in reversed(self.leaving):
            if word == "return":
                if leaving.kind == "function":
                    leaving.returns.append(exit_)
                    return
                if leaving.kind == "loop":  # the loop ends here, too
                    leaving.breaks.append(exit_)
            elif leaving.kind == "loop" or (word == "break" and leaving.kind == "switch"):
                (leaving.breaks if word == "break" else leaving.continues).append(exit_)
                return

    def _declare(self, declared: Declared) -> None:
        c = self.context
        value = None
        if declared.init is not None:
            value = self.evaluator.value(self._expression(declared.init, id(declared)))
        variable = c.declare(declared.name, declared.type, declared.line)
        c.environment.pop(variable.number, None)
        if value is not None and not declared.type.dims:
            place = c.place_of(declared.name)
            if place is not None:
                c.write(place, value, declared.line)

    def expression(self, tokens: tuple[Token, ...]) -> Value:
        """The value of the expression that the tokens are."""
        return self.evaluator.value(self._expression(tokens, id(tokens)))

    def _expression(self, tokens: Sequence[Token], key: int) -> Expression:
        found = self._read.get(key)
        if found is None or isinstance(found, list):
            found = self._read[key] = read_expression(tokens, self.context.types.is_type)
        return found

    def _parsed(self, tokens: tuple[Token, ...]) -> list[Declared] | Expression | None:
        key = id(tokens)
        if key not in self._read:
            declared = self.context.types.declaration(tokens)
            self._read[key] = (
                declared
                if declared is not None
                else read_expression(tokens, self.context.types.is_type)
            )
        return self._read[key]

    def tree(self, tokens: tuple[Token, ...]) -> list[Declared] | Expression | None:
        """Declarators or an expression, read once."""
        return self._parsed(tokens) if tokens else None

    # ---- branches -----------------------------------------------------------------------------

    def _if(self, statement: Block) -> bool:
        c = self.context
        head, then, *others = statement.children
        assert isinstance(head, Plain)
        condition = self.expression(head.tokens)
        if condition.constant is not None and c.recording:
            if condition.constant:
                return self._scoped(then)
            return self._scoped(others[0]) if others else True
        before, branch = c.environment, c.branch
        guard = c.guarded(condition)
        inner = c.guard
        number = c.new_branch()
        c.environment = dict(before)
        c.branch = (*branch, (number, 1))
        falls = self._scoped(then)
        first = c.environment if falls else None
        c.environment = dict(before)
        c.guard = inner
        c.branch = (*branch, (number, 0))
        other_falls = self._scoped(others[0]) if others else True
        second = c.environment if other_falls else None
        merged = merge(c.atoms, first, second, condition)
        # What follows a branch that leaves happens under the other's condition.
        c.guard = guard if falls and other_falls else inner
        c.branch = branch if falls == other_falls else (*branch, (number, int(falls)))
        if merged is None:
            return False
        c.environment = merged
        return True

    def _scoped(self, statement: Statement) -> bool:
        scope = self.context.scope
        self.context.scope = dict(scope)
        falls = self.statement(statement)
        self.context.scope = scope
        return falls

    def _switch(self, statement: Block) -> bool:
        c = self.context
        head, body, *_ = statement.children
        assert isinstance(head, Plain)
        condition = self.expression(head.tokens)
        before, scope, branch = c.environment, c.scope, c.branch
        number, side = c.new_branch(), 0
        guard = c.guarded(condition)
        inner = c.guard
        self.leaving.append(Leaving("switch"))
        merged: Environment | None = before
        falls = True
        c.scope = dict(scope)
        c.environment = dict(before)
        for child in body.children if isinstance(body, Block) else (body,):
            if isinstance(child, Plain) and [t.text for t in child.tokens[:1]] in _LABELS:
                joined = merge(c.atoms, dict(before), c.environment if falls else None, condition)
                assert joined is not None
                if not falls:
                    side += 1
                c.environment, falls, c.guard = joined, True, inner
                c.branch = (*branch, (number, side))
                continue
            if falls:
                falls = self.statement(child)
        leaving = self.leaving.pop()
        if falls:
            merged = merge(c.atoms, c.environment, merged, condition)
        for exit_ in leaving.breaks:
            merged = merge(c.atoms, exit_.environment, merged, condition)
        assert merged is not None
        c.environment, c.scope, c.guard, c.branch = merged, scope, guard, branch
        return True
