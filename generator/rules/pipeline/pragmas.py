"""What stands before a loop: pragmas and their clauses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shiftforge.generator.rules.constants import evaluate
from shiftforge.generator.rules.lexer import Token, lex
from shiftforge.generator.rules.pipeline.facts import Pragmas, Promise

__all__ = ["read_pragmas"]

_ARRAY = re.compile(r"array\s*\(\s*([^)]*?)\s*\)")
_SAFE = re.compile(r"safelen\s*\(\s*([^)]*?)\s*\)")


def read_pragmas(pragmas: Sequence[Token]) -> Pragmas:
    """The pragmas before one loop, in the clauses that the offline compiler knows."""
    promises: list[Promise] = []
    unroll: int | None = None
    concurrency = coalesce = initiation = None
    serial = False
    words: list[tuple[str, int]] = []
    for pragma in pragmas:
        word, _, rest = pragma.text.partition(" ")
        words.append((word, pragma.line))
        match word:
            case "ivdep":
                arrays = tuple(_spelled(a) for a in _ARRAY.findall(rest))
                safe = _SAFE.search(rest)
                length = _integer(safe[1]) if safe else None
                promises.append(Promise(pragma.line, arrays, length))
            case "unroll":
                unroll = 0 if not rest.strip() else (_integer(rest) or 1)
            case "max_concurrency":
                concurrency = _integer(rest)
            case "loop_coalesce":
                coalesce = _integer(rest) or 0
            case "ii":
                initiation = _integer(rest)
            case "disable_loop_pipelining":
                serial = True
    return Pragmas(tuple(promises), unroll, concurrency, serial, coalesce, initiation, tuple(words))


def _spelled(array: str) -> str:
    """``s -> row`` and ``s . row [ 0 ]`` as "s.row"."""
    return re.sub(r"\s|\[[^]]*\]", "", array.replace("->", "."))


def _integer(text: str) -> int | None:
    lines = lex(text)[0]
    tokens = lines[0].tokens if lines else ()
    return evaluate(tokens, {})
