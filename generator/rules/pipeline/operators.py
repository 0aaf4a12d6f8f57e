"""Arithmetic on values: linear forms, constants, and the name of what was done."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from shiftforge.generator.rules.pipeline.values import (
    Atoms,
    Dependences,
    Value,
    combined,
    merged,
)

__all__ = ["ZERO", "arithmetic", "opaque"]

ZERO = Value((), 0, (0,))
_NAMES: Mapping[str, str] = {
    **dict.fromkeys(["+", "-"], "add"),
    "*": "mul",
    "/": "div",
    "%": "mod",
    **dict.fromkeys(["<<", ">>"], "shift"),
    **dict.fromkeys(["&", "|", "^", "&&", "||", "!", "~"], "logic"),
    **dict.fromkeys(["==", "!=", "<", "<=", ">", ">="], "compare"),
}
_INTEGERS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
    "%": lambda a, b: a - b * (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)),
    "<<": lambda a, b: a << b if 0 <= b < 64 else 0,
    ">>": lambda a, b: a >> b if 0 <= b < 64 else 0,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "&&": lambda a, b: int(bool(a) and bool(b)),
    "||": lambda a, b: int(bool(a) or bool(b)),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
}
# Operations that are named with their line.
_LOCATED = frozenset(["mul", "div", "mod", "fadd", "fmul", "fdiv"])
_COMPARES = frozenset(["==", "!=", "<", "<=", ">", ">=", "&&", "||"])


def opaque(atoms: Atoms, deps: Dependences, real: bool) -> Value:
    """A value of which only the dependences are known."""
    loops = frozenset(s[0] for s in deps if s[1] != "memory")
    return Value(((atoms.fresh(loops), 1),), 0, None, deps, real)


def arithmetic(atoms: Atoms, op: str, a: Value, b: Value, line: int = 0) -> Value:
    """The value of ``a op b``; costly operations are named with their line."""
    real = (a.real or b.real) and op not in _COMPARES
    values = None if real else combined(a, b, _INTEGERS[op])
    if values is not None and len(values) == 1:
        return Value((), values[0], values)
    name = _NAMES[op]
    if a.real or b.real:
        name = {"add": "fadd", "mul": "fmul", "div": "fdiv"}.get(name, name)
    elif _wire(op, a, b):
        name = "wire"
    if line and name in _LOCATED:
        name = f"{name}@{line}"
    deps = merged([a.deps, b.deps], name, 1 if name[:4] == "fadd" else 0)
    if real:
        return opaque(atoms, deps, True)
    linear, offset = _linear(atoms, op, a, b, deps, values)
    return Value(linear, offset, values, deps, False)


def _wire(op: str, a: Value, b: Value) -> bool:
    """Whether it is no more than wires: by a constant power of two."""
    if a.fixed and b.fixed:
        return True
    if op in ("<<", ">>"):
        return b.fixed
    if op in ("*", "/", "%"):
        both = (b.constant, a.constant) if op == "*" else (b.constant,)
        return any(c is not None and c > 0 and c & (c - 1) == 0 for c in both)
    return False


def _linear(
    atoms: Atoms,
    op: str,
    a: Value,
    b: Value,
    deps: Dependences,
    values: tuple[int, ...] | None,
) -> tuple[tuple[tuple[int, int], ...], int]:
    if op in "+-":
        sign = 1 if op == "+" else -1
        terms = dict(a.linear)
        for atom, factor in b.linear:
            terms[atom] = terms.get(atom, 0) + sign * factor
        kept = tuple(sorted((k, f) for k, f in terms.items() if f))
        return kept, a.offset + sign * b.offset
    scale = b.constant if b.constant is not None else a.constant
    scaled = a if b.constant is not None else b
    if op == "<<" and b.constant is not None and 0 <= b.constant < 32:
        scale = 1 << b.constant
    elif op != "*":
        scale = None
    if scale is not None:
        kept = tuple((k, f * scale) for k, f in scaled.linear) if scale else ()
        return kept, scaled.offset * scale
    key = (op, a.linear, a.offset, b.linear, b.offset)
    loops = frozenset(s[0] for s in deps if s[1] != "memory")
    return ((atoms.of(key, loops, values), 1),), 0
