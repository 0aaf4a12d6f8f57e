"""Functions of single values: activations as clamps where they are, else tables.

What follows a table, and nothing else reads, becomes part of its function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from torch.fx import Node

from shiftforge.quant.capture.affine import depthwise, line, with_outer
from shiftforge.quant.capture.draft import DraftAdd, DraftConv, DraftMap, Value
from shiftforge.quant.capture.function import Function, X, compose
from shiftforge.quant.capture.lower import Lowering, Unsupported
from shiftforge.quant.capture.types import (
    Activation,
    FloatConcat,
    FloatMaxPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)

__all__ = ["FUNCTIONS", "activate", "applied", "clamp", "function_of", "unary"]

Maker: TypeAlias = Callable[[Any], Function]
# A clamp from 0 on commutes with what moves values, and with a maximum.
_MOVES = (FloatMaxPool, FloatConcat, FloatSlice, FloatShuffle, FloatUpsample)


def _plain(name: str) -> Maker:
    return lambda call: Function(name, (X,))


def _number(call: Any, *names: str) -> float:
    value = next((call[name] for name in names if name in call), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unsupported(f"its {names[0]} is {value!r:.40}", "use a number that is fixed")
    if not np.isfinite(value):
        raise Unsupported(f"its {names[0]} is not finite", "use a finite number")
    return float(value)


def _gelu(call: Any) -> Function:
    form = call.get("approximate", "none")
    if form not in ("none", "tanh"):
        raise Unsupported(f"its approximation is {form!r}", "use none or tanh")
    return Function("gelu_tanh" if form == "tanh" else "gelu", (X,))


def _elu(call: Any) -> Function:
    numbers = (_number(call, name) for name in ("alpha", "scale", "input_scale"))
    return Function("elu", (X, *numbers))


def _celu(call: Any) -> Function:
    alpha = _number(call, "alpha")
    if alpha == 0:
        raise Unsupported("its alpha is 0", "use another number")
    return Function("elu", (X, alpha, 1.0, 1.0 / alpha))


def _bounds(call: Any) -> Function:
    made = X
    for name, given in (("at_least", ("min", "min_val")), ("at_most", ("max", "max_val"))):
        if any(call.get(own) is not None for own in given):
            made = Function(name, (made, _number(call, *given)))
    if made == X:
        raise Unsupported("it has no bound", "give one")
    return made


def _rrelu(call: Any) -> Function:
    if call.get("training"):
        raise Unsupported("it draws random slopes", "use it in evaluation mode")
    return Function("leaky_relu", (X, (_number(call, "lower") + _number(call, "upper")) / 2))


# torch's constants of SELU: https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html
_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)
FUNCTIONS: dict[str, Maker] = {
    **{name: _plain(name) for name in (
        "sigmoid", "tanh", "silu", "mish", "hardswish", "hardsigmoid", "log_sigmoid", "abs", "sign",
        "square", "sqrt", "exp", "log", "erf", "reciprocal", "relu", "neg",
    )},
    "relu6": lambda call: Function("at_most", (Function("relu", (X,)), 6.0)),
    "gelu": _gelu,
    "elu": _elu,
    "celu": _celu,
    "selu": lambda call: Function("elu", (X, *_SELU)),
    "leaky_relu": lambda call: Function("leaky_relu", (X, _number(call, "negative_slope"))),
    "rrelu": _rrelu,
    "softplus": lambda call: Function(
        "softplus", (X, _number(call, "beta"), _number(call, "threshold"))
    ),
    "threshold": lambda call: Function(
        "threshold", (X, _number(call, "threshold"), _number(call, "value"))
    ),
    "pow": lambda call: Function("pow", (X, _number(call, "exponent"))),
    "hardtanh": _bounds,
    "clamp": _bounds,
    "clamp_min": _bounds,
    "clamp_max": _bounds,
}  # fmt: skip
"""By ATen operator: the function that a call computes of its operand."""


def _name(node: Node) -> str:
    return str(node.target).removeprefix("aten.").rpartition(".")[0]


def function_of(state: Lowering, node: Node) -> tuple[Node, Function] | None:
    """(operand, function) of a call that computes value by value; None for any other call."""
    name = _name(node)
    if name in FUNCTIONS and node.all_input_nodes:
        call = state.arguments(node)
        operand = call.get("self", call.get("input"))
        if isinstance(operand, Node) and node.all_input_nodes == [operand]:
            return operand, FUNCTIONS[name](call)
    if name == "prelu":
        call = state.arguments(node)
        return call["self"], _prelu(state, call)
    return None


def _prelu(state: Lowering, call: Any) -> Function:
    slopes = state.constant(call["weight"], "slope")
    if not np.isfinite(slopes).all():
        raise Unsupported("its slope is not finite", "check it for NaN and infinity")
    if slopes.size != 1 and (slopes != slopes.flat[0]).any():
        raise Unsupported(
            f"it has {slopes.size} slopes, one a channel, which one table does not hold",
            "use nn.PReLU() with one slope, or nn.LeakyReLU",
        )
    return Function("leaky_relu", (X, float(slopes.flat[0])))


def unary(state: Lowering, node: Node) -> Value:
    """A function of every value."""
    found = function_of(state, node)
    if found is None:
        raise Unsupported("it is no function of a map alone", "use its usual form")
    operand, function = found
    _same_shape(state, node, operand)
    return applied(state, node, state.value(operand, lines=True), function)


def _same_shape(state: Lowering, node: Node, operand: object) -> None:
    if not isinstance(operand, Node) or state.result_shape(node) != state.result_shape(operand):
        raise Unsupported("it makes another shape of its operand", "keep the shape")


def applied(state: Lowering, node: Node, x: Value, function: Function) -> Value:
    """A function of every value of x: a table, or part of the table before it."""
    before = state.producers.get(x.tensor)
    if x.sole and isinstance(before, DraftMap) and isinstance(before.node, FloatTable):
        state.grids.pop(x.tensor, None)
        before.node = with_outer(before.node, function)
        return replace(x, sole=state.sole(node))
    if x.sole and isinstance(before, DraftConv) and before.scale and before.activation == "none":
        gains, offsets = before.weight.reshape(-1), before.bias
        if (gains == gains[0]).all() and (offsets == offsets[0]).all():
            # A lone scale by numbers is part of the function.
            whole = compose(function, line(float(gains[0]), float(offsets[0])))
            assert isinstance(whole, Function)
            source = replace(x, tensor=before.input, sole=False)
            out = state.fresh(node, x)
            return state.emit_map(node, FloatTable("", "", "", "", whole), [source], out)
    made = FloatTable("", "", "", "", function)
    return state.emit_map(node, made, [x], state.fresh(node, x))


def activate(state: Lowering, node: Node, activation: Activation) -> Value:
    """ReLU or ReLU6: the clamp of what is before, else of a copy of the map."""
    operand = state.arguments(node)["self"]
    _same_shape(state, node, operand)
    x = state.value(operand, lines=True)
    if _absorbs(state, x.tensor, x.sole):
        _absorb(state, x.tensor, activation)
        return replace(x, sole=state.sole(node))
    before = state.producers.get(x.tensor)
    if x.sole and isinstance(before, DraftMap) and isinstance(before.node, FloatTable):
        return applied(state, node, x, FUNCTIONS[activation]({}))
    # The unclipped map has other readers (or is the image): clip a copy of it.
    value, made = depthwise(state, node, x, 1.0, 0.0)
    made.activation = activation
    return value


def _absorbs(state: Lowering, tensor: str, sole: bool) -> bool:
    """Whether what makes a tensor can clamp it, or what makes what that moves can."""
    before = state.producers.get(tensor)
    if not sole or before is None:
        return False
    if not isinstance(before, DraftMap):
        return True
    return isinstance(before.node, _MOVES) and all(
        _absorbs(state, own, alone) for own, alone in zip(before.inputs, before.soles, strict=True)
    )


def _absorb(state: Lowering, tensor: str, activation: Activation) -> None:
    before = state.producers[tensor]
    if isinstance(before, DraftMap):
        for own in before.inputs:
            _absorb(state, own, activation)
    elif isinstance(before, DraftConv | DraftAdd) and before.activation != "relu6":
        before.activation = activation


def clamp(state: Lowering, node: Node) -> Value:
    """Bounds: those of ReLU and ReLU6 are clamps, others a table."""
    call = state.arguments(node)
    low = call.get("min", call.get("min_val"))
    high = call.get("max", call.get("max_val"))
    if any(isinstance(bound, Node) for bound in (low, high)):
        raise Unsupported("its bounds are tensors", "use numbers")
    if low == 0 and high is None:
        return activate(state, node, "relu")
    if low == 0 and high == 6:
        return activate(state, node, "relu6")
    return unary(state, node)
