"""ATen operators that map to the folded graph: one function for each kind.

Each takes the lowering state and a traced call and returns the value it stands for. It raises
Unsupported with the reason where this use of the operator cannot be mapped exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from torch.fx import Node

from shiftforge.quant.capture.affine import batch_norm, live_norm
from shiftforge.quant.capture.arithmetic import add, div, mul, neg, rsub, sub
from shiftforge.quant.capture.channels import (
    channel_view,
    concat,
    cut,
    flip,
    group_shuffle,
    index,
    index_select,
    roll,
    select,
    split,
    stack,
    transposed,
)
from shiftforge.quant.capture.draft import Padding, Value
from shiftforge.quant.capture.enlarge import nearest, repeated, transposed_conv
from shiftforge.quant.capture.functions import activate, clamp, unary
from shiftforge.quant.capture.layers import conv2d, linear, numbers_of
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.pools import adaptive, average_pool, max_pool, reduced
from shiftforge.quant.capture.trace import BATCH

__all__ = ["OPERATORS"]

Operator: TypeAlias = Callable[[Lowering, Node], Value]


def _relu(state: Lowering, node: Node) -> Value:
    return activate(state, node, "relu")


def _relu6(state: Lowering, node: Node) -> Value:
    return activate(state, node, "relu6")


def _pad(state: Lowering, node: Node) -> Value:
    call = state.arguments(node)
    x = state.value(call["self"], padded=True)
    if call.get("mode", "constant") != "constant":
        raise Unsupported(f"padding mode {call['mode']!r}", "only zero padding is supported")
    fill = call["value"] or 0.0
    if fill not in (0.0, -math.inf) or (any(x.padding) and fill != x.fill):
        raise Unsupported(f"it pads with {call['value']}", "only zero padding is supported")
    amounts = numbers_of(call["pad"])
    if x.flat or any(amounts[4:]) or any(n < 0 for n in amounts):
        raise Unsupported(
            "only adding rows and columns to a map is supported", "pad rows and columns with zeros"
        )
    left, right, top, bottom = [*amounts, 0, 0, 0, 0][:4]
    p = x.padding
    padding: Padding = (p[0] + top, p[1] + left, p[2] + bottom, p[3] + right)
    return replace(x, sole=x.sole and state.sole(node), padding=padding, fill=fill)


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
    x = state.value(call.get("self", call.get("input")), padded=True, lines=True, channels=True)
    traced = node.meta["val"]
    traced = traced[0] if isinstance(traced, tuple | list) else traced
    if not traced.is_floating_point() or traced.element_size() < 2:
        raise Unsupported(f"it converts the map to {traced.dtype}", "keep floating point")
    shape = state.result_shape(node)
    channels, height, width = x.shape
    padded = (channels, height + x.padding[0] + x.padding[2], width + x.padding[1] + x.padding[3])
    sole = x.sole and state.sole(node)
    held = call.get("self", call.get("input"))
    if x.channels is not None or (shape is not None and len(shape) > 4):
        if isinstance(held, Node) and state.result_shape(held) == shape:
            return replace(x, sole=sole)
        viewed = channel_view(state, node, x)
        if viewed is not None:
            return viewed
        shape = None if x.channels is not None else shape
    if shape == (BATCH, *padded):
        return replace(x, flat=False, lines=False, sole=sole)
    if not any(x.padding):
        if shape == (BATCH, channels * height * width):
            return Value(x.tensor, x.shape, True, sole)
        if shape is not None and shape[:2] == (BATCH, channels) and (height, width) == (1, 1):
            # (N, C, 1), on the way between a vector and a 1x1 map.
            return Value(x.tensor, x.shape, True, sole)
        if shape == (BATCH, channels, height * width):
            return Value(x.tensor, x.shape, False, sole, lines=True)
    raise Unsupported(
        f"it makes {list(x.shape)} into {list(state.result_shape(node) or ())[1:]}",
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
    **_family("conv_transpose2d", transposed_conv),
    **_family("relu", _relu),
    **_family("relu6", _relu6),
    **_family("hardtanh clamp clamp_min clamp_max", clamp),
    **_family(
        "leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish hardsigmoid sigmoid tanh "
        "softplus log_sigmoid threshold abs square sqrt exp log erf pow reciprocal sign",
        unary,
    ),
    **_family("add", add),
    **_family("sub", sub),
    **_family("rsub", rsub),
    **_family("neg", neg),
    **_family("mul", mul),
    **_family("div", div),
    **_family("max_pool2d max_pool2d_with_indices max_pool1d", max_pool),
    **_family("avg_pool2d avg_pool1d", average_pool),
    **_family(
        "adaptive_avg_pool2d adaptive_avg_pool1d adaptive_max_pool2d adaptive_max_pool1d", adaptive
    ),
    **_family("mean sum amax max", reduced),
    **_family("cat concat concatenate", concat),
    **_family("stack", stack),
    **_family("slice narrow", cut),
    **_family("select", select),
    **_family(
        "split split_with_sizes chunk tensor_split unbind unsafe_split unsafe_chunk "
        "unsafe_split_with_sizes",
        split,
    ),
    **_family("transpose permute", transposed),
    **_family("channel_shuffle native_channel_shuffle", group_shuffle),
    **_family("index", index),
    **_family("index_select", index_select),
    **_family("flip", flip),
    **_family("roll", roll),
    **_family("upsample_nearest2d _upsample_nearest_exact2d", nearest),
    **_family("repeat_interleave", repeated),
    **_family("native_dropout", _native_dropout),
    **_family("bernoulli rand rand_like randn randn_like rrelu_with_noise", _random),
    **_family("empty_like new_empty empty", _unset),
    **_family("pad constant_pad_nd", _pad),
    **_family(
        "view reshape _unsafe_view flatten unflatten squeeze unsqueeze contiguous clone "
        "alias detach dropout "
        "feature_dropout lift_fresh_copy _to_copy to",
        _same_numbers,
    ),
}
