"""ATen operators that map to the folded graph: one function for each kind.

Each takes the lowering state and a traced call and returns the value it stands for. It raises
Unsupported with the reason where this use of the operator cannot be mapped exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch.fx import Node

from shiftforge.quant.capture.affine import batch_norm, depthwise, live_norm
from shiftforge.quant.capture.arithmetic import add, div, mul, neg, rsub, sub
from shiftforge.quant.capture.draft import DraftAdd, DraftConv, DraftPool, Padding, Value
from shiftforge.quant.capture.layers import conv2d, linear, numbers_of, pair
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.trace import BATCH, module_path
from shiftforge.quant.capture.types import Activation

__all__ = ["OPERATORS"]

POOL_REMEDY = "average over rows and columns: x.mean((2, 3))"
Operator: TypeAlias = Callable[[Lowering, Node], Value]


def _activate(state: Lowering, node: Node, activation: Activation) -> Value:
    operand = state.arguments(node)["self"]
    x = state.value(operand)
    before = state.producers.get(x.tensor)
    if isinstance(before, (DraftConv, DraftAdd)) and x.sole:
        if before.activation != "relu6":
            before.activation = activation
        return Value(x.tensor, x.shape, x.flat, state.sole(node))
    # The unclipped map has other readers (or is the image): clip a copy of it.
    value, made = depthwise(state, node, operand, 1.0, 0.0)
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


def _global_pool(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["self"], lines=True)
    held = state.result_shape(call["self"]) or ()
    shape = state.result_shape(node) or ()
    # (N, C, H, W), (N, C, H*W), or (N, C, 1) of a 1x1 map: what is averaged stands behind C.
    spatial = tuple(range(2, len(held)))
    if not spatial or (x.flat and x.shape[1:] != (1, 1)):
        raise Unsupported("it averages a flattened map", POOL_REMEDY)
    if "output_size" in call:
        sizes = numbers_of(call["output_size"])
        whole = len(sizes) == len(spatial) and set(sizes) == {1}
    elif "dim" in call:
        whole = {d % len(held) for d in numbers_of(call["dim"] or ())} == set(spatial)
    elif "kernel_size" in call:
        covers = pair(call["kernel_size"]) == (held[2], held[-1])
        whole = covers and len(held) == len(spatial) + 2 and not any(pair(call["padding"]))
        whole = whole and call.get("divisor_override") is None
    else:
        raise Unsupported("it averages over all values, of all frames at once", POOL_REMEDY)
    channels = x.shape[0]
    if not whole or shape[:2] != (BATCH, channels) or any(n != 1 for n in shape[2:]):
        raise Unsupported("only the average over all rows and columns is supported", POOL_REMEDY)
    state.shapes[node.name] = (channels, 1, 1)
    out = Value(node.name, (channels, 1, 1), len(shape) != 4, state.sole(node))
    return state.emit(DraftPool(module_path(node), "pool", x.tensor, out.tensor), out)


def _pad(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["self"], padded=True)
    if call.get("mode", "constant") != "constant":
        raise Unsupported(f"padding mode {call['mode']!r}", "only zero padding is supported")
    if call["value"] not in (None, 0):
        raise Unsupported(f"it pads with {call['value']}", "only zero padding is supported")
    amounts = numbers_of(call["pad"])
    if x.flat or any(amounts[4:]) or any(n < 0 for n in amounts):
        raise Unsupported(
            "only adding rows and columns to a map is supported", "pad rows and columns with zeros"
        )
    left, right, top, bottom = [*amounts, 0, 0, 0, 0][:4]
    p = x.padding
    padding: Padding = (p[0] + top, p[1] + left, p[2] + bottom, p[3] + right)
    return Value(x.tensor, x.shape, x.flat, x.sole and state.sole(node), padding)


def _random(state: Lowering, node: Node) -> Value:
    raise Unsupported(
        "it draws random numbers: dropout is active at inference",
        "use nn.Dropout, or F.dropout(x, p, training=self.training)",
    )


def _native_dropout(state: Lowering, node: Node) -> Value:
    return (
        _random(state, node)
        if state.arguments(node)["train"] is not False
        else _same_numbers(state, node)
    )


def _unset(state: Lowering, node: Node) -> Value:
    """Memory that is about to be filled with random numbers, which is told there."""
    if any(OPERATORS.get(str(n.target).rpartition(".")[0]) is _random for n in node.users):
        raise Poisoned
    raise Unsupported("it makes a tensor without values", "make it of numbers that are fixed")


def _same_numbers(state: Lowering, node: Node) -> Value:
    """Operators that rename axes or copy: the numbers and their order stay."""
    call = state.arguments(node)
    if call.get("train") or call.get("training"):
        return _random(state, node)
    x = state.value(call.get("self", call.get("input")), padded=True, lines=True)
    traced = node.meta["val"]
    traced = traced[0] if isinstance(traced, tuple | list) else traced
    if not traced.is_floating_point() or traced.element_size() < 2:
        raise Unsupported(f"it converts the map to {traced.dtype}", "keep floating point")
    shape = state.result_shape(node)
    channels, height, width = x.shape
    padded = (channels, height + x.padding[0] + x.padding[2], width + x.padding[1] + x.padding[3])
    sole = x.sole and state.sole(node)
    if shape == (BATCH, *padded):
        return Value(x.tensor, x.shape, False, sole, x.padding)
    if not any(x.padding):
        if shape == (BATCH, channels * height * width):
            return Value(x.tensor, x.shape, True, sole)
        if shape is not None and shape[:2] == (BATCH, channels) and (height, width) == (1, 1):
            # (N, C, 1), on the way between a vector and a 1x1 map.
            return Value(x.tensor, x.shape, True, sole)
        if shape == (BATCH, channels, height * width):
            return Value(x.tensor, x.shape, False, sole, lines=True)
    raise Unsupported(
        f"it makes {list(x.shape)} into {list(shape or ())[1:]}",
        "keep (N, C, H, W), or flatten it to (N, C*H*W)",
    )


def _family(names: str, function: Operator) -> dict[str, Operator]:
    return {f"aten.{name}": function for name in names.split()}


# By operator without its overload: "aten.conv2d" serves conv2d.default and conv2d.padding.
OPERATORS: dict[str, Operator] = {
    **_family("conv2d", conv2d),
    **_family("linear", linear),
    **_family("_native_batch_norm_legit_no_training", batch_norm),
    **_family("_native_batch_norm_legit _native_batch_norm_legit_functional", live_norm),
    **_family("instance_norm group_norm layer_norm", live_norm),
    **_family("relu", _relu),
    **_family("relu6", _relu6),
    **_family("hardtanh clamp clamp_min", _clamp),
    **_family("add", add),
    **_family("sub", sub),
    **_family("rsub", rsub),
    **_family("neg", neg),
    **_family("mul", mul),
    **_family("div", div),
    **_family("adaptive_avg_pool2d adaptive_avg_pool1d mean avg_pool2d avg_pool1d", _global_pool),
    **_family("native_dropout", _native_dropout),
    **_family("bernoulli rand rand_like randn randn_like rrelu_with_noise", _random),
    **_family("empty_like new_empty empty", _unset),
    **_family("pad constant_pad_nd", _pad),
    **_family(
        "view reshape _unsafe_view flatten squeeze unsqueeze contiguous clone alias detach dropout "
        "feature_dropout lift_fresh_copy _to_copy to",
        _same_numbers,
    ),
}
