"""A loop's shape: its tokens as the compiler read them, names numbered by their first use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.statements import closing

__all__ = ["cluster"]

_WORDS = frozenset(
    ["for", "while", "do", "if", "else", "switch", "case", "default", "break", "continue", "return"]
)


def cluster(tokens: Sequence[Token], line: int) -> str | None:
    """Digest of the first loop that begins on a line of the preprocessed text; None if none does.

    Copies of a loop under other names have the same digest.
    """
    start = next(
        (
            at
            for at, token in enumerate(tokens)
            if token.line == line and token.text in ("for", "while", "do")
        ),
        None,
    )
    if start is None:
        return None
    names: dict[str, str] = {}
    shape = [_general(token, names) for token in tokens[start : _end(tokens, start)]]
    return hashlib.sha256(" ".join(shape).encode()).hexdigest()[:12]


def _general(token: Token, names: dict[str, str]) -> str:
    if token.kind != "name" or token.text in _WORDS:
        return token.text
    return names.setdefault(token.text, f"n{len(names)}")


def _end(tokens: Sequence[Token], start: int) -> int:
    """Index behind the statement that begins at ``start``."""
    at = start
    if tokens[at].text in ("for", "while", "if", "switch"):
        at = closing(tokens, at + 1) + 1
        inner = _end(tokens, at)
        if tokens[start].text == "if" and inner < len(tokens) and tokens[inner].text == "else":
            return _end(tokens, inner + 1)
        return inner
    if tokens[at].text == "do":
        at = _end(tokens, at + 1)
    if tokens[at].kind == "pragma":
        return _end(tokens, at + 1)
    if tokens[at].text == "{":
        return closing(tokens, at) + 1
    while tokens[at].text != ";":
        at = closing(tokens, at) + 1 if tokens[at].text in ("(", "[", "{") else at + 1
    return at + 1
