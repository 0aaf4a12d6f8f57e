"""Function bodies: attributes, brackets, and statements with the pragmas before their loops."""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.syntax import Attribute, Block, Loop, Plain, Statement

__all__ = ["ParseError", "closing", "parse_body", "split", "take_attributes"]

_PAIRS = {"(": ")", "[": "]", "{": "}"}


class ParseError(Exception):
    """Text outside the subset that is read; ``line`` says where."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message
        super().__init__(f"line {line}: {message}")


def closing(tokens: Sequence[Token], opening: int) -> int:
    """Index of the bracket that closes the one at ``opening``. Raises ParseError."""
    if opening >= len(tokens):
        raise ParseError(tokens[-1].line if tokens else 0, "the text ends too early")
    expected: list[str] = []
    for at in range(opening, len(tokens)):
        token = tokens[at]
        if token.kind != "punct":
            continue
        if token.text in _PAIRS:
            expected.append(_PAIRS[token.text])
        elif token.text in (")", "]", "}"):
            if not expected or expected.pop() != token.text:
                break
            if not expected:
                return at
    raise ParseError(tokens[opening].line, f"{tokens[opening].text!r} is not closed")


def split(tokens: Sequence[Token], separator: str = ",") -> list[tuple[Token, ...]]:
    """Parts between separators outside brackets; no tokens give no parts."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text in _PAIRS:
            depth += 1
        elif token.text in (")", "]", "}"):
            depth -= 1
        if token.text == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(p) for p in parts] if len(tokens) else []


def take_attributes(tokens: Sequence[Token]) -> tuple[list[Token], list[Attribute]]:
    """The tokens without ``__attribute__((...))``, and what these said."""
    rest: list[Token] = []
    attributes: list[Attribute] = []
    at = 0
    while at < len(tokens):
        if tokens[at].text not in ("__attribute__", "__attribute"):
            rest.append(tokens[at])
            at += 1
            continue
        if at + 2 >= len(tokens) or tokens[at + 1].text != "(" or tokens[at + 2].text != "(":
            raise ParseError(tokens[at].line, "expected __attribute__((...))")
        end = closing(tokens, at + 1)
        attributes.extend(_attribute(part) for part in split(tokens[at + 3 : end - 1]) if part)
        at = end + 1
    return rest, attributes


def _attribute(tokens: Sequence[Token]) -> Attribute:
    name = tokens[0].text
    if name.startswith("__") and name.endswith("__") and len(name) > 4:
        name = name[2:-2]
    arguments = tuple(split(tokens[2:-1])) if len(tokens) > 1 else None
    return Attribute(name, arguments, tokens[0].line)


def parse_body(tokens: Sequence[Token]) -> Block:
    """Parse the tokens between a function's braces."""
    reader = _Statements(tokens)
    children = []
    while not reader.at_end():
        children.append(reader.statement())
    return Block(tuple(children))


class _Statements:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def _text(self) -> str:
        return "" if self.at_end() else self._tokens[self._at].text

    def _bracketed(self) -> tuple[Token, ...]:
        if self._text() != "(":
            last = self._tokens[min(self._at, len(self._tokens) - 1)]
            raise ParseError(last.line, "expected '('")
        start = self._at
        end = closing(self._tokens, start)
        self._at = end + 1
        return tuple(self._tokens[start + 1 : end])

    def _pragmas(self) -> tuple[Token, ...]:
        """Pragmas, and the attribute that says the same as ``#pragma unroll``."""
        found: list[Token] = []
        while not self.at_end():
            token = self._tokens[self._at]
            if token.kind == "pragma":
                found.append(token)
                self._at += 1
            elif token.text in ("__attribute__", "__attribute"):
                end = closing(self._tokens, self._at + 1)
                for attribute in take_attributes(self._tokens[self._at : end + 1])[1]:
                    if attribute.name == "opencl_unroll_hint":
                        factor = attribute.arguments[0] if attribute.arguments else ()
                        words = " ".join(["unroll", *(t.text for t in factor)])
                        found.append(Token("pragma", words, token.line))
                self._at = end + 1
            else:
                break
        return tuple(found)

    def statement(self) -> Statement:
        pragmas = self._pragmas()
        if self.at_end():
            return Plain((), pragmas)
        if self._label():
            self._at += 2
            pragmas += self._pragmas()
        token = self._tokens[self._at]
        match token.text:
            case "for" | "while":
                self._at += 1
                parts = tuple(split(self._bracketed(), ";"))
                if token.text == "for" and len(parts) != 3:
                    raise ParseError(token.line, "a for loop needs three parts")
                return Loop(token.text, parts, self.statement(), pragmas, token.line)
            case "do":
                self._at += 1
                body = self.statement()
                self._at += 1  # while
                condition = self._bracketed()
                self._at += 1  # ;
                return Loop("do", (condition,), body, pragmas, token.line)
            case "{":
                end = closing(self._tokens, self._at)
                inner = parse_body(self._tokens[self._at + 1 : end])
                self._at = end + 1
                return Block((Plain((), pragmas), *inner.children)) if pragmas else inner
            case "if" | "switch":
                self._at += 1
                children: list[Statement] = [Plain(self._bracketed(), pragmas), self.statement()]
                if token.text == "if" and self._text() == "else":
                    self._at += 1
                    children.append(self.statement())
                return Block(tuple(children), token.text)
            case "case" | "default":
                return Plain(self._until(":"), pragmas)
        return Plain(self._until(";"), pragmas)

    def _label(self) -> bool:
        """Whether a label stands here and a statement behind it."""
        at = self._at
        return (
            at + 2 < len(self._tokens)
            and self._tokens[at].kind == "name"
            and self._tokens[at].text not in ("case", "default")
            and self._tokens[at + 1].text == ":"
        )

    def _until(self, end: str) -> tuple[Token, ...]:
        start = self._at
        while not self.at_end() and self._text() != end:
            if self._text() in _PAIRS:
                self._at = closing(self._tokens, self._at)
            self._at += 1
        self._at += 1
        return tuple(self._tokens[start : self._at - 1])
