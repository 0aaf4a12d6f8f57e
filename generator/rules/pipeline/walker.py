"""What loops need of the walk that they are part of."""

from __future__ import annotations

from typing import Protocol

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.pipeline.context import Context
from shiftforge.generator.rules.pipeline.evaluate import Evaluator
from shiftforge.generator.rules.pipeline.expressions import Expression
from shiftforge.generator.rules.pipeline.state import Leaving
from shiftforge.generator.rules.pipeline.types import Declared
from shiftforge.generator.rules.pipeline.values import Value
from shiftforge.generator.rules.syntax import Statement

__all__ = ["Walker"]


class Walker(Protocol):
    """A walk of a kernel. functions: those that are running; leaving: what can be left early."""

    context: Context
    evaluator: Evaluator
    functions: list[str]
    leaving: list[Leaving]

    def statement(self, statement: Statement) -> bool:
        """Walk a statement; whether what follows it can be reached."""

    def expression(self, tokens: tuple[Token, ...]) -> Value:
        """The value of the expression that the tokens are."""

    def tree(self, tokens: tuple[Token, ...]) -> list[Declared] | Expression | None:
        """Declarators or an expression, read once."""
