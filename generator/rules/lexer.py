"""Tokens and comments of OpenCL C text, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Comment", "LexedLine", "Token", "lex"]

Kind = Literal["name", "number", "string", "punct", "pragma"]

_PATTERN = re.compile(
    r"""
    (?P<comment>//(?:\\\r?\n|[^\n])*|/\*.*?(?:\*/|\Z))
  | (?P<joined>\\\r?\n)
  | (?P<newline>\n)
  | (?P<space>[^\S\n]+)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>(?:\d|\.\d)(?:[eEpP][+-]|[\w.])*)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<punct><<=|>>=|\.\.\.|\#\#|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """One token. ``line`` is where it stands, or where the macro it came from was used.

    hidden: macros that this token must not be expanded by again.
    """

    kind: Kind
    text: str
    line: int
    spaced: bool = False
    hidden: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Comment:
    """A comment's text without its marks, and the lines it covers."""

    text: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class LexedLine:
    """The tokens of one logical line (continuations joined); ``#`` first means a directive."""

    tokens: tuple[Token, ...]
    line: int

    @property
    def directive(self) -> bool:
        """Whether the line is a preprocessor directive."""
        return bool(self.tokens) and self.tokens[0].text == "#"


def lex(text: str) -> tuple[list[LexedLine], list[Comment]]:
    """Split into logical lines of tokens; comments are taken out and returned beside them."""
    lines: list[LexedLine] = []
    comments: list[Comment] = []
    current: list[Token] = []
    line = start = 1
    spaced = False
    for match in _PATTERN.finditer(text):
        group, found = match.lastgroup, match.group()
        if group == "newline":
            lines.append(LexedLine(tuple(current), start))
            current, spaced, start = [], False, line + 1
        elif group == "comment":
            last = line + found.count("\n")
            body = found[2:-2] if found.startswith("/*") and found.endswith("*/") else found[2:]
            comments.append(Comment(body.strip(), line, last))
            spaced = True
        elif group in ("space", "joined"):
            spaced = True
        else:
            current.append(Token(_kind(group), found, line, spaced))
            spaced = False
        line += found.count("\n")
    lines.append(LexedLine(tuple(current), start))
    return lines, comments


def _kind(group: str | None) -> Kind:
    match group:
        case "name":
            return "name"
        case "number":
            return "number"
        case "string":
            return "string"
        case _:
            return "punct"
