"""Functions of single values as ONNX operators of opset 13."""

from __future__ import annotations

import math

import numpy as np

from shiftforge.quant.capture.function import Function, Operand
from shiftforge.quant.export.onnx_nodes import OnnxNodes

__all__ = ["expression"]

_ONE = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "sqrt": "Sqrt", "exp": "Exp", "log": "Log",
    "erf": "Erf", "reciprocal": "Reciprocal", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "softsign": "Softsign",
}  # fmt: skip
_TWO = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}


class _Steps:
    """Appends one step after another under names of their own."""

    def __init__(self, build: OnnxNodes, output: str) -> None:
        self.build, self.output, self.count = build, output, 0

    def number(self, value: float) -> str:
        return self.build.constant(f"number.{value!r}", np.array(value, np.float32))

    def op(self, kind: str, *inputs: str | float, **attributes: float) -> str:
        self.count += 1
        names = [own if isinstance(own, str) else self.number(own) for own in inputs]
        return self.build.op(kind, names, f"{self.output}.step{self.count}", **attributes)


def expression(build: OnnxNodes, function: Function, source: str, output: str) -> None:
    """Append a function of every value of source, as output."""
    value = _value(_Steps(build, output), function, source)
    build.op("Identity", [value], output)


def _value(step: _Steps, function: Operand, x: str) -> str:
    if not isinstance(function, Function):
        return step.number(function)
    if function.operation == "x":
        return x
    if function.operation in _TWO:
        return step.op(_TWO[function.operation], *(_value(step, f, x) for f in function.operands))
    clipped = _clip(function)
    if clipped is not None:
        source, low, high = clipped
        return step.op("Clip", _value(step, source, x), low, high)
    inner = _value(step, function.operands[0], x)
    if function.operation in _ONE:
        return step.op(_ONE[function.operation], inner)
    numbers = [own for own in function.operands[1:] if not isinstance(own, Function)]
    return _activation(step, function.operation, inner, numbers)


def _clip(function: Function) -> tuple[Operand, float, float] | None:
    """(of what, low, high) of a limit within a limit."""
    if function.operation != "at_most":
        return None
    inner, high = function.operands
    if not isinstance(inner, Function) or inner.operation != "at_least":
        return None
    source, low = inner.operands
    if isinstance(low, Function) or isinstance(high, Function):
        return None
    return source, low, high


def _activation(step: _Steps, kind: str, x: str, numbers: list[float]) -> str:
    match kind:
        case "square":
            return step.op("Mul", x, x)
        case "pow":
            return step.op("Pow", x, numbers[0])
        case "at_least":
            return step.op("Max", x, numbers[0])
        case "at_most":
            return step.op("Min", x, numbers[0])
        case "leaky_relu":
            return step.op("LeakyRelu", x, alpha=numbers[0])
        case "silu":
            return step.op("Mul", x, step.op("Sigmoid", x))
        case "mish":
            return step.op("Mul", x, step.op("Tanh", step.op("Softplus", x)))
        case "hardsigmoid":
            return step.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)
        case "hardswish":
            return step.op("Mul", x, step.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
        case "log_sigmoid":
            return step.op("Log", step.op("Sigmoid", x))
        case "gelu":
            inner = step.op("Erf", step.op("Mul", x, math.sqrt(0.5)))
            return step.op("Mul", step.op("Mul", x, 0.5), step.op("Add", inner, 1.0))
        case "gelu_tanh":
            cube = step.op("Mul", step.op("Mul", x, x), step.op("Mul", x, 0.044715))
            inner = step.op("Mul", step.op("Add", x, cube), math.sqrt(2 / math.pi))
            inner = step.op("Tanh", inner)
            return step.op("Mul", step.op("Mul", x, 0.5), step.op("Add", inner, 1.0))
        case "elu":
            alpha, scale, slope = numbers
            if scale == slope == 1:
                return step.op("Elu", x, alpha=alpha)
            if slope == 1:
                return step.op("Selu", x, alpha=alpha, gamma=scale)
            if scale == 1 and slope * alpha == 1:
                return step.op("Celu", x, alpha=alpha)
            below = step.op("Exp", step.op("Mul", step.op("Min", x, 0.0), slope))
            below = step.op("Mul", step.op("Sub", below, 1.0), alpha)
            return step.op("Mul", step.op("Add", step.op("Relu", x), below), scale)
        case "softplus":
            # Beyond the threshold the two differ by less than a step of float32.
            return step.op("Div", step.op("Softplus", step.op("Mul", x, numbers[0])), numbers[0])
        case "threshold":
            return step.op("Where", step.op("Greater", x, numbers[0]), x, numbers[1])
        case _:
            raise ValueError(f"no function {kind!r}")
