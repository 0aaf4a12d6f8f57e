"""Maps made larger: nearest neighbours, and transposed convolutions as what they are.

A transposed convolution of stride s puts s - 1 zeros between neighbours and runs the convolution of
the flipped kernel over that, padded by what is left of the kernel beside its own padding:
https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
"""

from __future__ import annotations

import numpy as np
from torch.fx import Node

from shiftforge.quant.capture.draft import DraftConv, Value
from shiftforge.quant.capture.layers import one_size, pair
from shiftforge.quant.capture.lower import Lowering, Unsupported
from shiftforge.quant.capture.trace import BATCH, module_path
from shiftforge.quant.capture.types import FloatUpsample

__all__ = ["nearest", "repeated", "transposed_conv"]

_INTEGER = "enlarge by whole numbers, nearest: nn.Upsample(scale_factor=2)"


def nearest(state: Lowering, node: Node) -> Value:
    """Nearest neighbours by whole factors."""
    call = state.arguments(node)
    x = state.value(call.get("input", call.get("self")))
    shape = state.result_shape(node) or ()
    if len(shape) != 4 or x.flat or shape[:2] != (BATCH, x.shape[0]):
        raise Unsupported("it enlarges no map (N, C, H, W)", _INTEGER)
    factor = (shape[2] // x.shape[1], shape[3] // x.shape[2])
    given = call.get("scale_factors") or factor
    whole = (factor[0] * x.shape[1], factor[1] * x.shape[2]) == shape[2:]
    if not whole or tuple(float(n) for n in given) != tuple(float(n) for n in factor):
        raise Unsupported(
            f"it makes {shape[2]}x{shape[3]} of {x.shape[1]}x{x.shape[2]}, by no whole number",
            _INTEGER,
        )
    return _enlarged(state, node, x, factor)


def _enlarged(state: Lowering, node: Node, x: Value, factor: tuple[int, int]) -> Value:
    out = state.fresh(
        node, Value("", (x.shape[0], x.shape[1] * factor[0], x.shape[2] * factor[1]), False, True)
    )
    return state.emit_map(node, FloatUpsample("", "", "", "", factor, "nearest"), [x], out)


def repeated(state: Lowering, node: Node) -> Value:
    """``x.repeat_interleave(n, dim)`` of rows or columns."""
    call = state.arguments(node)
    x, count, dim = state.value(call["self"]), call["repeats"], call["dim"]
    rank = len(state.result_shape(call["self"]) or ())
    if not isinstance(count, int) or not isinstance(dim, int) or rank != 4 or count < 1:
        raise Unsupported("it repeats no rows or columns by a number", _INTEGER)
    if dim % rank < 2:
        raise Unsupported("it repeats channels or frames", _INTEGER)
    return _enlarged(state, node, x, (count, 1) if dim % rank == 2 else (1, count))


def transposed_conv(state: Lowering, node: Node) -> Value:
    """A transposed convolution, as an enlargement by zeros and a convolution."""
    call = state.arguments(node)
    x = state.value(call["input"])
    weight = state.constant(call["weight"], "weight")
    if x.flat or weight.ndim != 4:
        raise Unsupported("only two-dimensional convolution of (N, C, H, W) maps is supported")
    groups = int(call["groups"])
    inputs, per_group, kh, kw = weight.shape
    stride, padding = pair(call["stride"]), pair(call["padding"])
    more, dilation = pair(call["output_padding"]), one_size(call["dilation"], "dilation", (kh, kw))
    before = [dilation * (k - 1) - p for k, p in zip((kh, kw), padding, strict=True)]
    if min(before) < 0:
        raise Unsupported(
            f"its padding {padding} cuts away more than its kernel of {kh}x{kw} reaches",
            f"use a padding of at most {dilation * (min(kh, kw) - 1)}",
        )
    # What output_padding asks for beyond the kernel's reach are zeros of the enlarged map.
    trailing = tuple(
        max(0, min(m - p, s - 1)) for m, p, s in zip(more, padding, stride, strict=True)
    )
    after = [b + m - t for b, m, t in zip(before, more, trailing, strict=True)]
    split = weight.reshape(groups, inputs // groups, per_group, kh, kw).transpose(0, 2, 1, 3, 4)
    kernel = split.reshape(groups * per_group, inputs // groups, kh, kw)[:, :, ::-1, ::-1]
    bias = np.zeros(len(kernel))
    if call["bias"] is not None:
        bias = state.constant(call["bias"], "bias")
    if stride != (1, 1) or any(trailing):
        sizes = [(s - 1) * f + 1 + t for s, f, t in zip(x.shape[1:], stride, trailing, strict=True)]
        wide = state.fresh(node, Value("", (x.shape[0], sizes[0], sizes[1]), False, True))
        made = FloatUpsample("", "", "", "", stride, "zeros", (trailing[0], trailing[1]))
        x = state.emit_map(node, made, [x], wide)
    shape = state.result_shape(node) or ()
    out = state.fresh(node, Value("", (len(kernel), shape[2], shape[3]), False, True))
    draft = DraftConv(
        source=module_path(node),
        operator="conv_transpose2d",
        input=x.tensor,
        output=out.tensor,
        weight=np.ascontiguousarray(kernel),
        bias=bias,
        padding=(before[0], before[1], after[0], after[1]),
        dilation=dilation,
        groups=groups,
    )
    return state.emit(draft, out)
