"""Value of an integer constant expression, for ``#if`` and for compile-time bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from shiftforge.generator.rules.lexer import Token

__all__ = ["INTEGER_TYPES", "LEVELS", "evaluate"]

INTEGER_TYPES = frozenset(
    [
        "bool",
        "char",
        "uchar",
        "short",
        "ushort",
        "int",
        "uint",
        "long",
        "ulong",
        "signed",
        "unsigned",
        "size_t",
        "const",
    ]
)
_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)[uUlL]*\Z")
LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Binary operators in C's order of precedence, those that bind least first."""
_BINARY: Mapping[str, Callable[[int, int], int]] = {
    "||": lambda a, b: int(bool(a) or bool(b)),
    "&&": lambda a, b: int(bool(a) and bool(b)),
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "&": lambda a, b: a & b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: _toward_zero(a, b),
    "%": lambda a, b: a - b * _toward_zero(a, b),
}


class _NotConstant(Exception):
    """The expression depends on something that is not known when it is compiled."""


def _toward_zero(a: int, b: int) -> int:
    if b == 0:
        raise _NotConstant
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def evaluate(tokens: Sequence[Token], names: Mapping[str, int]) -> int | None:
    """The value, or None if it is no integer constant expression over ``names``."""
    reader = _Reader(tokens, names)
    try:
        value = reader.conditional()
    except _NotConstant:
        return None
    return value if reader.at_end() else None


class _Reader:
    """Recursive descent over one expression, in C's order of precedence."""

    def __init__(self, tokens: Sequence[Token], names: Mapping[str, int]) -> None:
        self._tokens = tokens
        self._names = names
        self._at = 0

    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def _peek(self) -> str:
        return "" if self.at_end() else self._tokens[self._at].text

    def _take(self) -> Token:
        if self.at_end():
            raise _NotConstant
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, text: str) -> None:
        if self._take().text != text:
            raise _NotConstant

    def conditional(self) -> int:
        value = self._binary(0)
        if self._peek() != "?":
            return value
        self._take()
        yes = self.conditional()
        self._expect(":")
        no = self.conditional()
        return yes if value else no

    def _binary(self, level: int) -> int:
        if level == len(LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while self._peek() in LEVELS[level]:
            operator = self._take().text
            right = self._binary(level + 1)
            if operator in ("<<", ">>") and not 0 <= right < 64:
                raise _NotConstant
            value = _BINARY[operator](value, right)
        return value

    def _unary(self) -> int:
        token = self._take()
        match token.text:
            case "+":
                return self._unary()
            case "-":
                return -self._unary()
            case "~":
                return ~self._unary()
            case "!":
                return int(not self._unary())
            case "(":
                if self._peek() in INTEGER_TYPES:  # a cast
                    while self._peek() in INTEGER_TYPES:
                        self._take()
                    self._expect(")")
                    return self._unary()
                value = self.conditional()
                self._expect(")")
                return value
        if token.kind == "number" and (match := _INTEGER.match(token.text)):
            digits = match[1]
            octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
            return int(digits, 8 if octal else 0)
        if token.kind == "name" and token.text in self._names:
            return self._names[token.text]
        raise _NotConstant
