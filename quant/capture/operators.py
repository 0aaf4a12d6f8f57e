"""ATen operators that map to the folded graph: one function for each kind.

Each takes the lowering state and a traced call and returns the value it stands for. It raises
Unsupported with the reason where this use of the operator cannot be mapped exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.fx import Node

from shiftforge.quant.capture.draft import DraftAdd, DraftConv, DraftPool, Padding, Value
from shiftforge.quant.capture.lower import Lowering, Unsupported, operator_name
from shiftforge.quant.capture.trace import BATCH, module_path
from shiftforge.quant.capture.types import Activation

__all__ = ["OPERATORS"]

Operator: TypeAlias = Callable[[Lowering, Node], Value]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    numbers = [value] if isinstance(value, int) else [int(n) for n in value]
    return (numbers[0], numbers[-1])


def _square(value: int | Sequence[int], what: str) -> int:
    high, wide = _pair(value)
    if high != wide:
        raise Unsupported(
            f"{what} ({high}, {wide}) differs between rows and columns", "make it square"
        )
    return high


def _same_padding(size: int, dilation: int) -> tuple[int, int]:
    total = dilation * (size - 1)
    return total // 2, total - total // 2


def _conv2d(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["input"], padded=True)
    weight = state.constant(call["weight"], "weight")
    if x.flat or weight.ndim != 4:
        raise Unsupported("only two-dimensional convolution of (N, C, H, W) maps is supported")
    bias = np.zeros(weight.shape[0])
    if call["bias"] is not None:
        bias = state.constant(call["bias"], "bias")
    stride = _square(call["stride"], "stride")
    dilation = _square(call["dilation"], "dilation")
    if isinstance(call["padding"], str):
        same = call["padding"] == "same"
        top, bottom = _same_padding(weight.shape[2], dilation) if same else (0, 0)
        left, right = _same_padding(weight.shape[3], dilation) if same else (0, 0)
    else:
        top, left = _pair(call["padding"])
        bottom, right = top, left
    p = x.padding
    out = state.new_value(node)
    draft = DraftConv(
        source=module_path(node),
        operator=operator_name(node),
        input=x.tensor,
        output=out.tensor,
        weight=weight,
        bias=bias,
        stride=stride,
        padding=(top + p[0], left + p[1], bottom + p[2], right + p[3]),
        dilation=dilation,
        groups=int(call["groups"]),
    )
    return state.emit(draft, out)


def _linear(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["input"])
    if not x.flat:
        raise Unsupported("it runs over the columns of a map", "flatten the map first")
    weight = state.constant(call["weight"], "weight")
    if weight.shape[1] != int(np.prod(x.shape)):
        raise Unsupported("it runs over one axis of the map", "flatten the map first")
    bias = np.zeros(weight.shape[0])
    if call["bias"] is not None:
        bias = state.constant(call["bias"], "bias")
    out = state.new_value(node)
    # On a flattened (C, H, W) map a linear layer is the convolution that covers the whole map.
    kernel = weight.reshape(weight.shape[0], *x.shape)
    draft = DraftConv(module_path(node), "linear", x.tensor, out.tensor, kernel, bias)
    return state.emit(draft, out)


def _depthwise(state: Lowering, node: Node, x: Value, gain: Any, offset: Any) -> Value:
    out = state.new_value(node)
    channels = x.shape[0]
    weight = np.broadcast_to(np.asarray(gain, np.float64), (channels,)).reshape(channels, 1, 1, 1)
    draft = DraftConv(
        source=module_path(node),
        operator=operator_name(node),
        input=x.tensor,
        output=out.tensor,
        weight=weight,
        bias=np.broadcast_to(np.asarray(offset, np.float64), (channels,)),
        groups=channels,
    )
    return state.emit(draft, out)


def _batch_norm(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["input"])
    if x.flat and x.shape[1:] != (1, 1):
        raise Unsupported("it normalises a flattened map", "normalise before flattening")
    mean = state.constant(call["running_mean"], "running mean")
    var = state.constant(call["running_var"], "running variance")
    gamma = np.ones_like(mean)
    if call["weight"] is not None:
        gamma = state.constant(call["weight"], "weight")
    beta = np.zeros_like(mean)
    if call["bias"] is not None:
        beta = state.constant(call["bias"], "bias")
    spread = var + float(call["eps"])
    if bool((spread <= 0).any()):
        raise Unsupported("running variance plus eps is not positive", "train or reload it")
    gain = gamma / np.sqrt(spread)
    offset = beta - mean * gain
    before = state.producers.get(x.tensor)
    if isinstance(before, DraftConv) and before.activation == "none" and x.sole:
        before.rescale(gain, offset)
        return Value(x.tensor, x.shape, x.flat, state.sole(node))
    value = _depthwise(state, node, x, gain, offset)
    made = state.producers[value.tensor]
    if isinstance(made, DraftConv):
        made.scale = True
    return value


def _activate(state: Lowering, node: Node, activation: Activation) -> Value:
    x = state.value(state.arguments(node)["self"])
    before = state.producers.get(x.tensor)
    if isinstance(before, (DraftConv, DraftAdd)) and x.sole:
        if before.activation != "relu6":
            before.activation = activation
        return Value(x.tensor, x.shape, x.flat, state.sole(node))
    # The unclipped map has other readers (or is the image): clip a copy of it.
    value = _depthwise(state, node, x, 1.0, 0.0)
    made = state.producers[value.tensor]
    if isinstance(made, DraftConv):
        made.activation = activation
    return value


def _clamp(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    low = call.get("min", call.get("min_val"))
    high = call.get("max", call.get("max_val"))
    if low == 0 and high is None:
        return _activate(state, node, "relu")
    if low == 0 and high == 6:
        return _activate(state, node, "relu6")
    raise Unsupported(f"it clips to ({low}, {high})", "only ReLU and ReLU6 are supported")


def _relu(state: Lowering, node: Node) -> Value:
    return _activate(state, node, "relu")


def _relu6(state: Lowering, node: Node) -> Value:
    return _activate(state, node, "relu6")


def _add(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    a, b = state.value(call["self"]), state.value(call["other"])
    if call["alpha"] != 1:
        raise Unsupported(f"it scales one operand by {call['alpha']}")
    if a.shape != b.shape or a.flat != b.flat:
        raise Unsupported(f"its operands have different shapes {a.shape} and {b.shape}")
    out = state.new_value(node)
    draft = DraftAdd(module_path(node), "add", a.tensor, b.tensor, out.tensor)
    return state.emit(draft, out)


def _global_pool(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["self"])
    if x.flat:
        raise Unsupported("it averages a flattened map", "average over rows and columns")
    if "output_size" in call:
        whole = _pair(call["output_size"]) == (1, 1)
    elif "dim" in call:
        whole = {d % 4 for d in call["dim"] or ()} == {2, 3}
    else:
        whole = _pair(call["kernel_size"]) == x.shape[1:] and _pair(call["padding"]) == (0, 0)
        whole = whole and call.get("divisor_override") is None
    if not whole:
        raise Unsupported("only the average over all rows and columns is supported")
    out = state.new_value(node)
    out = Value(out.tensor, (x.shape[0], 1, 1), out.flat, out.sole)
    return state.emit(DraftPool(module_path(node), "pool", x.tensor, out.tensor), out)


def _pad(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["self"], padded=True)
    if call.get("mode", "constant") != "constant":
        raise Unsupported(f"padding mode {call['mode']!r}", "only zero padding is supported")
    if call["value"] not in (None, 0):
        raise Unsupported(f"it pads with {call['value']}", "only zero padding is supported")
    amounts = [int(n) for n in call["pad"]]
    if x.flat or any(amounts[4:]) or any(n < 0 for n in amounts):
        raise Unsupported("only adding rows and columns to a map is supported")
    left, right, top, bottom = [*amounts, 0, 0, 0, 0][:4]
    p = x.padding
    padding: Padding = (p[0] + top, p[1] + left, p[2] + bottom, p[3] + right)
    return Value(x.tensor, x.shape, x.flat, x.sole and state.sole(node), padding)


def _same_numbers(state: Lowering, node: Node) -> Value:
    """Operators that rename axes or copy: the numbers and their order stay."""
    call = state.arguments(node)
    if call.get("train") or call.get("training"):
        raise Unsupported("dropout is active at inference", "use torch.nn.Dropout")
    x = state.value(call.get("self", call.get("input")), padded=True)
    traced = node.meta["val"]
    if call.get("dtype") is not None and not torch.is_floating_point(traced):
        raise Unsupported(f"it converts the map to {traced.dtype}")
    shape = state.result_shape(node)
    channels, height, width = x.shape
    padded = (channels, height + x.padding[0] + x.padding[2], width + x.padding[1] + x.padding[3])
    sole = x.sole and state.sole(node)
    if shape == (BATCH, *padded):
        return Value(x.tensor, x.shape, False, sole, x.padding)
    if shape == (BATCH, channels * height * width) and not any(x.padding):
        return Value(x.tensor, x.shape, True, sole)
    if shape is not None and shape[:2] == (BATCH, channels) and (height, width) == (1, 1):
        # (N, C, 1), on the way between a vector and a 1x1 map.
        return Value(x.tensor, x.shape, True, sole)
    raise Unsupported(f"it makes {list(x.shape)} into {list(shape or ())[1:]}")


def _family(names: str, function: Operator) -> dict[str, Operator]:
    return {f"aten.{name}": function for name in names.split()}


# By operator without its overload: "aten.conv2d" serves conv2d.default and conv2d.padding.
OPERATORS: dict[str, Operator] = {
    **_family("conv2d", _conv2d),
    **_family("linear", _linear),
    **_family("_native_batch_norm_legit_no_training", _batch_norm),
    **_family("relu", _relu),
    **_family("relu6", _relu6),
    **_family("hardtanh clamp clamp_min", _clamp),
    **_family("add", _add),
    **_family("adaptive_avg_pool2d mean avg_pool2d", _global_pool),
    **_family("pad constant_pad_nd", _pad),
    **_family(
        "view reshape _unsafe_view flatten squeeze unsqueeze contiguous clone alias detach dropout "
        "feature_dropout lift_fresh_copy _to_copy to",
        _same_numbers,
    ),
}
