"""Functions of one value, as capture finds them: activations, and what is computed of constants.

A function is an expression over one variable. Its values in torch are in ``function_values.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from shiftforge.errors import InputError, Problem

__all__ = ["OPERATIONS", "X", "Function", "Operand", "compose", "from_json", "text", "to_json"]

# Operands of each operation: expressions first, then so many numbers.
OPERATIONS: dict[str, tuple[int, int]] = {
    "add": (2, 0), "sub": (2, 0), "mul": (2, 0), "div": (2, 0),
    "neg": (1, 0), "abs": (1, 0), "sign": (1, 0), "square": (1, 0), "sqrt": (1, 0), "exp": (1, 0),
    "log": (1, 0), "erf": (1, 0), "reciprocal": (1, 0), "pow": (1, 1),
    "relu": (1, 0), "sigmoid": (1, 0), "tanh": (1, 0), "silu": (1, 0), "mish": (1, 0),
    "gelu": (1, 0), "gelu_tanh": (1, 0), "hardswish": (1, 0), "hardsigmoid": (1, 0),
    "log_sigmoid": (1, 0), "softsign": (1, 0),
    "at_least": (1, 1), "at_most": (1, 1), "leaky_relu": (1, 1),
    "elu": (1, 3), "softplus": (1, 2), "threshold": (1, 2),
}  # fmt: skip
_DEEPEST = 64


@dataclass(frozen=True)
class Function:
    """An operation on expressions and numbers; "x" is the variable itself.

    elu: (alpha, scale, input scale) as ATen has them: ``scale * x`` above 0, else
    ``scale * alpha * (exp(x * input scale) - 1)``. softplus: (beta, threshold). threshold: (t, v),
    v where x <= t. at_least, at_most: one bound. Operands of add, sub, mul and div may be numbers.
    """

    operation: str
    operands: tuple[Operand, ...] = ()


Operand: TypeAlias = Function | float
X = Function("x")


def compose(outer: Operand, inner: Operand) -> Operand:
    """``outer(inner(x))``."""
    if not isinstance(outer, Function):
        return outer
    if outer == X:
        return inner
    return Function(outer.operation, tuple(compose(own, inner) for own in outer.operands))


def text(function: Operand) -> str:
    """The expression in a line, such as ``mul(x, sigmoid(x))``; a single operation by its name."""
    if isinstance(function, Function) and function.operands == (X,):
        return function.operation
    return _line(function)


def _line(function: Operand) -> str:
    if not isinstance(function, Function):
        return f"{function:g}"
    inside = ", ".join(_line(own) for own in function.operands)
    return f"{function.operation}({inside})" if function.operands else function.operation


def to_json(function: Operand) -> Any:
    """Lists and numbers: ``["leaky_relu", ["x"], 0.1]``."""
    if not isinstance(function, Function):
        return float(function)
    return [function.operation, *(to_json(own) for own in function.operands)]


def from_json(value: Any, where: str) -> Function:
    """What ``to_json`` made, not trusted. Raises InputError."""
    found = _read(value, where, 0)
    if not isinstance(found, Function):
        raise _bad("it is a number", where)
    return found


def _bad(what: str, where: str) -> InputError:
    return InputError(Problem(f"its function is none: {what}", "quantise it again", where))


def _read(value: Any, where: str, depth: int) -> Operand:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < 1e30 or not math.isfinite(value):
            raise _bad("a number is too large", where)
        return float(value)
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise _bad("it is no list that begins with an operation", where)
    if depth > _DEEPEST:
        raise _bad("it is nested too deeply", where)
    operation, *operands = value
    if operation == "x":
        if operands:
            raise _bad("x has operands", where)
        return X
    if operation not in OPERATIONS:
        raise _bad(f"unknown operation {operation!r:.40}", where)
    expressions, numbers = OPERATIONS[operation]
    read = tuple(_read(own, where, depth + 1) for own in operands)
    own = [isinstance(operand, Function) for operand in read]
    fitting = len(read) == expressions + numbers and not any(own[expressions:])
    if not fitting or (expressions == 1 and not own[0]) or not any(own):
        raise _bad(f"{operation} has not its operands", where)
    return Function(operation, read)
