"""Values of functions in torch, in the type of what they are given."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from shiftforge.quant.capture.function import Function, Operand

__all__ = ["values"]

_ONE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "log": torch.log,
    "erf": torch.erf,
    "reciprocal": torch.reciprocal,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "mish": functional.mish,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "log_sigmoid": functional.logsigmoid,
    "softsign": functional.softsign,
}
_TWO: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
}


def values(function: Operand, x: torch.Tensor) -> torch.Tensor:
    """The function of every value of x, floating point; of x's shape and type."""
    if not isinstance(function, Function):
        return torch.full_like(x, function)
    kind, operands = function.operation, function.operands
    if kind == "x":
        return x
    if kind in _TWO:
        return _TWO[kind](*(values(own, x) for own in operands))
    inner = values(operands[0], x)
    if kind in _ONE:
        return _ONE[kind](inner)
    numbers = [own for own in operands[1:] if not isinstance(own, Function)]
    return _parametrised(kind, inner, numbers)


def _parametrised(kind: str, x: torch.Tensor, numbers: list[float]) -> torch.Tensor:
    match kind:
        case "at_least":
            return x.clamp(min=numbers[0])
        case "at_most":
            return x.clamp(max=numbers[0])
        case "leaky_relu":
            return functional.leaky_relu(x, numbers[0])
        case "pow":
            return torch.pow(x, numbers[0])
        case "elu":
            alpha, scale, slope = numbers
            below = scale * alpha * torch.expm1(x.clamp(max=0) * slope)
            return torch.where(x > 0, scale * x, below)
        case "softplus":
            return functional.softplus(x, numbers[0], numbers[1])
        case "threshold":
            return functional.threshold(x, numbers[0], numbers[1])
        case _:
            raise ValueError(f"no function {kind!r}")
