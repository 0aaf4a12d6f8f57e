"""Rules on the language: what hardware or the compiler does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.calls import Call, owner
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.syntax import Program, Tokens

__all__ = ["check_language"]

_ALLOCATION = frozenset(["malloc", "calloc", "realloc", "free", "alloca", "__builtin_alloca"])
_DOUBLE = re.compile(r"double(2|3|4|8|16)?\Z")
# A decimal point or exponent and no f: a double in OpenCL C.
_DOUBLE_LITERAL = re.compile(r"(?!0[xX])(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?[lL]?\Z")


def check_language(
    program: Program, calls: Mapping[str, Sequence[Call]]
) -> Iterator[RuleViolation]:
    """Recursion, allocation, printf and double precision, in kernels and their helpers."""
    for kernel, found in calls.items():
        for call in found:
            if call.recursive:
                yield violation(
                    "no-recursion",
                    kernel,
                    call.line,
                    f"{call.path[-1]} calls {call.name}, which is still running",
                    "write a loop",
                )
    for function in program.functions:
        yield from _tokens(function.tokens, owner(function, calls))
    for declaration in program.declarations:
        yield from _tokens(declaration.tokens, "")
    for channel in program.channels:
        yield from _tokens(channel.type_tokens, "")


def _tokens(tokens: Tokens, kernel: str) -> Iterator[RuleViolation]:
    for at, token in enumerate(tokens):
        called = at + 1 < len(tokens) and tokens[at + 1].text == "("
        if token.text in _ALLOCATION and called:
            yield violation(
                "no-allocation",
                kernel,
                token.line,
                f"{token.text} is called",
                "use an array of constant size",
            )
        elif token.text == "printf" and called:
            yield violation(
                "no-printf",
                kernel,
                token.line,
                "printf is called",
                "send the value through a channel or a trace buffer",
            )
        elif (token.kind == "name" and _DOUBLE.match(token.text)) or (
            token.kind == "number" and _DOUBLE_LITERAL.match(token.text)
        ):
            yield violation(
                "no-double",
                kernel,
                token.line,
                f"{token.text} is double precision",
                "use integers, or float with the suffix f",
            )
