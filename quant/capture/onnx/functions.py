"""Operators of single values, and arithmetic of two tensors."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional

from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported

__all__ = ["FUNCTIONS"]


def _plain(function: Function) -> Converter:
    return lambda _: function


def _with(function: Function, *names: tuple[str, str, float]) -> Converter:
    """names: (the argument's name, the attribute's, its value where it is not given)."""

    def convert(call: Call) -> Function:
        given = {own: call.attribute(name, value) for own, name, value in names}
        return partial(function, **given)

    return convert


def _clip(call: Call) -> Function:
    low, high = call.number(1, "min"), call.number(2, "max")
    if low is None and high is None:
        return lambda x, *_: x
    return lambda x, *_: x.clamp(low, high)


def _selu(x: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    return gamma * functional.elu(x, alpha)


def _hard_sigmoid(call: Call) -> Function:
    alpha = call.attribute("alpha", 0.2)
    beta = call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return functional.hardsigmoid
    return lambda x: (x * alpha + beta).clamp(0.0, 1.0)


def _gelu(call: Call) -> Function:
    approximate = str(call.attributes.get("approximate", "none"))
    return lambda x: functional.gelu(x, approximate=approximate)


def _swish(call: Call) -> Function:
    alpha = call.attribute("alpha", 1.0)
    return functional.silu if alpha == 1.0 else lambda x: x * torch.sigmoid(alpha * x)


def _prelu(call: Call) -> Function:
    slope = call.constant(1, "slope")
    if slope is None or slope.size not in (1, call.shape()[1] if len(call.shape()) > 1 else 1):
        raise Unsupported("its slopes are neither one nor one a channel", "use one slope")
    return lambda x, w: functional.prelu(x, w.reshape(-1))


def _pow(call: Call) -> Function:
    exponent = call.number(1, "exponent")
    return lambda x, *_: x.pow(exponent)


def _variadic(call: Call) -> Function:
    """Sum and Mean."""
    count = float(len(call.inputs)) if call.kind == "Mean" else 1.0

    def total(first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        for other in others:
            first = first + other
        return first if count == 1.0 else first / count

    return total


def _extreme(call: Call) -> Function:
    """Max and Min of a tensor and numbers."""
    given = [n for n in range(len(call.inputs)) if call.is_constant(n)]
    if len(given) != len(call.inputs) - 1:
        raise Unsupported("it compares two maps", "compare a map with one number")
    bounds = [call.number(n, "bound") for n in given]
    numbers = [own for own in bounds if own is not None]

    def bounded(*tensors: torch.Tensor | None) -> torch.Tensor:
        x = next(own for n, own in enumerate(tensors) if n not in given and own is not None)
        if not numbers:
            return x
        return x.clamp(min=max(numbers)) if call.kind == "Max" else x.clamp(max=min(numbers))

    return bounded


def _cast(call: Call) -> Function:
    from onnx import TensorProto

    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    if call.kind == "Cast" and call.attributes.get("to") not in kinds:
        raise Unsupported("it makes whole numbers of a map", "leave it out")
    return lambda x, *_: x


def _dropout(call: Call) -> Function:
    training = call.number(2, "training_mode")
    if any(call.outputs[1:]):
        raise Unsupported("it returns its mask", "return the map alone")
    if training:
        raise Unsupported("dropout that is active at inference", "export it in evaluation mode")
    return lambda x, *_: x


def _arithmetic(function: Function) -> Converter:
    def convert(call: Call) -> Function:
        if call.made not in (call.shape(0), call.shape(1)):
            raise Unsupported("both sides are stretched to one shape", "give both one shape")
        for place in (0, 1):
            own = call.shape(place)
            if call.is_constant(place) and len(own) == len(call.made) and own[0] != 1:
                raise Unsupported("its constant has a value for every frame", "give one for all")
        return function

    return convert


FUNCTIONS: dict[str, Converter] = {
    "Relu": _plain(functional.relu),
    "LeakyRelu": _with(functional.leaky_relu, ("negative_slope", "alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": _with(functional.elu, ("alpha", "alpha", 1.0)),
    "Selu": _with(
        _selu, ("alpha", "alpha", 1.67326319217681884765625),
        ("gamma", "gamma", 1.05070102214813232421875),
    ),
    "Celu": _with(functional.celu, ("alpha", "alpha", 1.0)),
    "Gelu": _gelu,
    "Mish": _plain(functional.mish),
    "Swish": _swish,
    "HardSwish": _plain(functional.hardswish),
    "HardSigmoid": _hard_sigmoid,
    "Sigmoid": _plain(torch.sigmoid),
    "Tanh": _plain(torch.tanh),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(lambda x: x / (1.0 + x.abs())),
    "ThresholdedRelu": lambda call: partial(
        functional.threshold, threshold=call.attribute("alpha", 1.0), value=0.0
    ),
    "Clip": _clip,
    "Abs": _plain(torch.abs),
    "Neg": _plain(torch.neg),
    "Sqrt": _plain(torch.sqrt),
    "Exp": _plain(torch.exp),
    "Log": _plain(torch.log),
    "Erf": _plain(torch.erf),
    "Reciprocal": _plain(torch.reciprocal),
    "Sign": _plain(torch.sign),
    "Pow": _pow,
    "Add": _arithmetic(torch.add),
    "Sub": _arithmetic(torch.sub),
    "Mul": _arithmetic(torch.mul),
    "Div": _arithmetic(torch.div),
    "Sum": _variadic,
    "Mean": _variadic,
    "Max": _extreme,
    "Min": _extreme,
    "Cast": _cast,
    "CastLike": _cast,
    "Dropout": _dropout,
    "Identity": _plain(lambda x: x),
}  # fmt: skip
