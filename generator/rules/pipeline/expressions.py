"""Expressions of OpenCL C as trees, read in C's order of precedence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shiftforge.generator.rules.constants import LEVELS
from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.statements import ParseError, closing, split

__all__ = [
    "Assign",
    "Binary",
    "Call",
    "Cast",
    "Choice",
    "Expression",
    "Group",
    "Index",
    "Member",
    "Name",
    "Number",
    "Unary",
    "read_expression",
]


@dataclass(frozen=True, slots=True)
class Number:
    """A literal. value: of an integer; real: whether it is a floating-point one."""

    value: int | None
    real: bool


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a constant or a channel."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Unary:
    """operator: + - ! ~ * & ++ -- before the operand; "x++" and "x--" after it."""

    operator: str
    operand: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands."""

    operator: str
    left: Expression
    right: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Choice:
    """condition ? yes : no."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True)
class Assign:
    """operator: "" for =, or what stands before the =."""

    operator: str
    target: Expression
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call by name."""

    name: str
    arguments: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Index:
    """base[index]."""

    base: Expression
    index: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Member:
    """base.name, or base->name with ``arrow``."""

    base: Expression
    name: str
    arrow: bool
    line: int


@dataclass(frozen=True, slots=True)
class Cast:
    """(words) operand; words are the type's tokens."""

    words: tuple[str, ...]
    operand: Expression


@dataclass(frozen=True, slots=True)
class Group:
    """Items between commas: an initialiser, a vector literal or the comma operator."""

    items: tuple[Expression, ...]


Expression: TypeAlias = (
    Number | Name | Unary | Binary | Choice | Assign | Call | Index | Member | Cast | Group
)

_LEVEL_OF = {text: level for level, texts in enumerate(LEVELS) for text in texts}
_ASSIGN = frozenset(["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="])
_PREFIX = frozenset(["+", "-", "!", "~", "*", "&", "++", "--"])


def read_expression(tokens: Sequence[Token], is_type: Callable[[str], bool]) -> Expression:
    """The tree of all tokens; ``is_type`` tells casts from brackets. Raises ParseError."""
    if not tokens:
        return Group(())
    reader = _Reader(tokens, is_type)
    found = reader.comma()
    if not reader.at_end():
        raise ParseError(reader.line, f"{reader.text!r} in an expression is not understood")
    return found


class _Reader:
    def __init__(self, tokens: Sequence[Token], is_type: Callable[[str], bool]) -> None:
        self._tokens = tokens
        self._is_type = is_type
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    @property
    def text(self) -> str:
        return "" if self.at_end() else self._tokens[self._at].text

    @property
    def line(self) -> int:
        return self._tokens[min(self._at, len(self._tokens) - 1)].line

    def _expect(self, text: str) -> None:
        if self.text != text:
            raise ParseError(self.line, f"expected {text!r} in an expression")
        self._at += 1

    def comma(self) -> Expression:
        first = self.assignment()
        if self.text != ",":
            return first
        items = [first]
        while self.text == ",":
            self._at += 1
            items.append(self.assignment())
        return Group(tuple(items))

    def assignment(self) -> Expression:
        left = self._conditional()
        if self.text in _ASSIGN:
            line, operator = self.line, self.text[:-1]
            self._at += 1
            return Assign(operator, left, self.assignment(), line)
        return left

    def _conditional(self) -> Expression:
        condition = self._binary(0)
        if self.text != "?":
            return condition
        self._at += 1
        yes = self.assignment()
        self._expect(":")
        return Choice(condition, yes, self.assignment())

    def _binary(self, lowest: int) -> Expression:
        left = self._unary()
        while (level := _LEVEL_OF.get(self.text, -1)) >= lowest:
            line, operator = self.line, self.text
            self._at += 1
            left = Binary(operator, left, self._binary(level + 1), line)
        return left

    def _unary(self) -> Expression:
        line, text = self.line, self.text
        if text in _PREFIX and self._tokens[self._at].kind == "punct":
            self._at += 1
            return Unary(text, self._unary(), line)
        if text == "sizeof":
            self._at += 1
            if self.text == "(":
                self._at = closing(self._tokens, self._at) + 1
            else:
                self._unary()
            return Number(None, False)
        if text == "(":
            end = closing(self._tokens, self._at)
            inside = self._tokens[self._at + 1 : end]
            if inside and self._is_cast(inside, end):
                self._at = end + 1
                return Cast(tuple(t.text for t in inside), self._unary())
        return self._postfix(self._primary())

    def _is_cast(self, inside: Sequence[Token], end: int) -> bool:
        words = [t.text for t in inside]
        if not self._is_type(words[0]) or "(" in words:
            return False
        return end + 1 < len(self._tokens)

    def _primary(self) -> Expression:
        if self.at_end():
            raise ParseError(self.line, "an expression ends too early")
        token = self._tokens[self._at]
        if token.text == "(":
            self._at += 1
            found = self.comma()
            self._expect(")")
            return found
        if token.text == "{":
            end = closing(self._tokens, self._at)
            parts = split(self._tokens[self._at + 1 : end])
            self._at = end + 1
            return Group(tuple(self._item(part) for part in parts if part))
        self._at += 1
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "string":
            return Number(ord(token.text[1]) if len(token.text) == 3 else None, False)
        if token.kind != "name":
            raise ParseError(token.line, f"{token.text!r} in an expression is not understood")
        if token.text in ("true", "false"):
            return Number(int(token.text == "true"), False)
        if self.text == "(":
            end = closing(self._tokens, self._at)
            parts = split(self._tokens[self._at + 1 : end])
            self._at = end + 1
            arguments = tuple(self._item(part) for part in parts)
            return Call(token.text, arguments, token.line)
        return Name(token.text, token.line)

    def _item(self, part: Sequence[Token]) -> Expression:
        if part and part[0].text == ".":  # .member = value of an initialiser
            equals = next((i for i, t in enumerate(part) if t.text == "="), None)
            part = part[equals + 1 :] if equals is not None else part[1:]
        return read_expression(part, self._is_type)

    def _postfix(self, found: Expression) -> Expression:
        while True:
            line, text = self.line, self.text
            if text == "[":
                end = closing(self._tokens, self._at)
                inside = self._tokens[self._at + 1 : end]
                self._at = end + 1
                found = Index(found, read_expression(inside, self._is_type), line)
            elif text in (".", "->"):
                self._at += 1
                name = self.text
                self._at += 1
                found = Member(found, name, text == "->", line)
            elif text in ("++", "--"):
                self._at += 1
                found = Unary("x" + text, found, line)
            else:
                return found


_INTEGER = re.compile(r"(0x[0-9a-f]+|0b[01]+|\d+)[ul]*\Z")


def _number(text: str) -> Number:
    match = _INTEGER.match(text.lower())
    if match is None:
        return Number(None, True)
    digits = match[1]
    octal = len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567")
    return Number(int(digits, 8 if octal else 10 if digits.isdigit() else 0), False)
