"""Convolutions and linear layers of a traced network, as drafts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node

from shiftforge.quant.capture.draft import NO_PADDING, DraftConv, Padding, Value
from shiftforge.quant.capture.lower import Lowering, Unsupported, operator_name
from shiftforge.quant.capture.trace import module_path

__all__ = ["conv2d", "linear", "numbers_of", "one_size", "pair"]

# Smaller maps than this are padded to it: the array runs kernels of 3x3.
_KERNEL = 3


def numbers_of(value: int | Sequence[int]) -> list[int]:
    """Numbers that do not depend on the image. Raises Unsupported."""
    numbers = [value] if isinstance(value, int) else list(value)
    if not all(isinstance(n, int) for n in numbers):
        raise Unsupported("its sizes depend on the image", "use sizes that are fixed")
    return numbers


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of one number or two."""
    numbers = numbers_of(value)
    return (numbers[0], numbers[-1])


def one_size(value: int | Sequence[int], what: str, steps: tuple[int, int]) -> int:
    """The stride or dilation of both axes. steps: how many there are of them along each axis, of
    which an axis with a single one takes any. Raises Unsupported where they differ."""
    high, wide = pair(value)
    if high == wide or steps[1] == 1:
        return high
    if steps[0] == 1:
        return wide
    raise Unsupported(f"{what} ({high}, {wide}) differs between rows and columns", "make it square")


def _same_padding(size: int, dilation: int) -> tuple[int, int]:
    total = dilation * (size - 1)
    return total // 2, total - total // 2


def conv2d(state: Lowering, node: Node) -> Value:
    """A convolution; the zero padding before it is merged into it."""
    call = state.arguments(node)
    x = state.value(call["input"], padded=True)
    weight = state.constant(call["weight"], "weight")
    if x.flat or weight.ndim != 4:
        raise Unsupported("only two-dimensional convolution of (N, C, H, W) maps is supported")
    bias = np.zeros(weight.shape[0])
    if call["bias"] is not None:
        bias = state.constant(call["bias"], "bias")
    kernel, shape = (weight.shape[2], weight.shape[3]), state.result_shape(node) or (0,) * 4
    stride = one_size(call["stride"], "stride", (shape[2], shape[3]))
    dilation = one_size(call["dilation"], "dilation", kernel)
    if x.fill != 0:
        raise Unsupported("it reads a map padded with minus infinity", "pad with zeros")
    if isinstance(call["padding"], str):
        same = call["padding"] == "same"
        top, bottom = _same_padding(weight.shape[2], dilation) if same else (0, 0)
        left, right = _same_padding(weight.shape[3], dilation) if same else (0, 0)
    else:
        top, left = pair(call["padding"])
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


def linear(state: Lowering, node: Node) -> Value:
    """A linear layer, as the convolution that covers the whole map."""
    call = state.arguments(node)
    x = state.value(call["input"])
    held = state.result_shape(call["input"])
    if not x.flat or held is None or len(held) != 2:
        raise Unsupported(
            "it runs over the columns of a map",
            "average the map or flatten the map first, or use nn.Conv2d with a kernel of 1x1",
        )
    weight = state.constant(call["weight"], "weight")
    if weight.ndim != 2 or weight.shape[1] != int(np.prod(x.shape)):
        raise Unsupported("it runs over one axis of the map", "flatten the map first")
    bias = np.zeros(weight.shape[0])
    if call["bias"] is not None:
        bias = state.constant(call["bias"], "bias")
    if bias.shape != weight.shape[:1]:
        raise Unsupported(
            f"its bias has shape {list(bias.shape)}", "use one number for each output"
        )
    kernel, padding = _over_map(weight.reshape(weight.shape[0], *x.shape), x)
    out = state.new_value(node)
    draft = DraftConv(
        module_path(node), "linear", x.tensor, out.tensor, kernel, bias, padding=padding
    )
    return state.emit(draft, out)


def _over_map(kernel: NDArray[np.float64], x: Value) -> tuple[NDArray[np.float64], Padding]:
    """A linear layer over a flattened (C, H, W) map: the convolution that covers the whole map.

    Where the map is smaller than 3x3 but not 1x1, taps of zero that read padding make it 3x3.
    """
    _, high, wide = x.shape
    if high == wide == 1 or max(high, wide) > _KERNEL:
        return kernel, NO_PADDING
    top, left = (_KERNEL - high) // 2, (_KERNEL - wide) // 2
    bottom, right = _KERNEL - high - top, _KERNEL - wide - left
    padded = np.pad(kernel, ((0, 0), (0, 0), (top, bottom), (left, right)))
    return padded, (top, left, bottom, right)
