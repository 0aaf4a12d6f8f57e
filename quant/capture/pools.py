"""Pools: maxima, averages and sums over windows, over the whole map, over rows or columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from torch.fx import Node

from shiftforge.quant.capture.affine import scaled
from shiftforge.quant.capture.draft import NO_PADDING, DraftAdd, DraftConv, DraftMap, Padding, Value
from shiftforge.quant.capture.layers import numbers_of, pair
from shiftforge.quant.capture.lower import Lowering, Unsupported
from shiftforge.quant.capture.trace import BATCH
from shiftforge.quant.capture.types import (
    FloatAveragePool,
    FloatMaxPool,
    FloatPool,
    FloatUpsample,
)

__all__ = ["adaptive", "average_pool", "max_pool", "reduced"]

MEAN_REMEDY = "average over rows and columns: x.mean((2, 3))"
MAX_REMEDY = "take the largest of rows and columns: x.amax((2, 3))"


@dataclass(frozen=True)
class _Windows:
    """Kernel, stride and padding by rows and columns, and the output's rows and columns."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    size: tuple[int, int]


def _windows(state: Lowering, node: Node, x: Value, call: Any) -> tuple[_Windows, Padding]:
    """The windows of a pool of a map, and what its own padding is (of ceil_mode nothing)."""
    kernel = pair(call["kernel_size"])
    given = numbers_of(call["stride"] or ())
    stride = pair(given) if given else kernel
    high, wide = pair(call["padding"])
    shape = state.result_shape(node) or ()
    if len(shape) != 4 or x.flat or min(*kernel, *stride) < 1:
        raise Unsupported("it pools no map (N, C, H, W)", "pool before flattening")
    own = (high + x.padding[0], wide + x.padding[1], high + x.padding[2], wide + x.padding[3])
    ends = []
    for axis in (0, 1):
        # ceil_mode: windows that begin inside may end behind the padding.
        reach = (shape[2 + axis] - 1) * stride[axis] + kernel[axis]
        ends.append(max(own[axis + 2], reach - x.shape[1 + axis] - own[axis]))
    padding = (own[0], own[1], ends[0], ends[1])
    if max(padding[0], padding[2]) >= kernel[0] or max(padding[1], padding[3]) >= kernel[1]:
        raise Unsupported(
            f"its padding {padding} (top, left, bottom, right) is not below its kernel {kernel}",
            "pad less",
        )
    return _Windows(kernel, stride, padding, (shape[2], shape[3])), own


def _whole(x: Value, windows: _Windows) -> bool:
    return windows.kernel == x.shape[1:] and windows.padding == NO_PADDING


def _pooled(state: Lowering, node: Node, x: Value, size: tuple[int, int]) -> Value:
    """A new tensor of so many rows and columns for a result of any of their forms."""
    shape, channels = state.result_shape(node) or (), x.shape[0]
    out = state.fresh(node, Value("", (channels, *size), False, True))
    if shape == (BATCH, channels, *size):
        return out
    if shape[:2] == (BATCH, channels) and math.prod(shape[2:]) == math.prod(size):
        if size == (1, 1):
            return replace(out, flat=True)
        if len(shape) == 3:
            return replace(out, lines=True)
    raise Unsupported(f"it makes {list(shape)[1:]} of {list(x.shape)}", "keep (N, C, H, W)")


def _bare(x: Value) -> Value:
    """The tensor without what is pending."""
    return replace(x, padding=NO_PADDING, fill=0.0)


def max_pool(state: Lowering, node: Node) -> Value:
    """``max_pool2d`` in all its forms; of lines the whole."""
    call = state.arguments(node)
    x = state.value(call["self"], padded=True, lines=True)
    if x.lines:
        return _of_lines(state, node, x, call, largest=True)
    if pair(call["dilation"]) != (1, 1):
        raise Unsupported("its windows are dilated", "use dilation 1")
    windows, _ = _windows(state, node, x, call)
    if any(x.padding) and x.fill == 0 and not _never_below(state, x):
        raise Unsupported(
            "it reads a zero-padded map, and zeros may be larger than what is there",
            "pad in the pool, or with minus infinity, or after a ReLU",
        )
    made = FloatMaxPool("", "", "", "", windows.kernel, windows.stride, windows.padding)
    return state.emit_map(node, made, [_bare(x)], _pooled(state, node, x, windows.size))


def _never_below(state: Lowering, x: Value) -> bool:
    """Whether no value of a map is below 0: zeros beside it then change no maximum."""
    before = state.producers.get(x.tensor)
    return isinstance(before, DraftConv | DraftAdd) and before.activation != "none"


def average_pool(state: Lowering, node: Node) -> Value:
    """``avg_pool2d`` in all its forms; of lines the whole."""
    call = state.arguments(node)
    x = state.value(call["self"], padded=True, lines=True)
    if x.lines:
        return _of_lines(state, node, x, call, largest=False)
    if any(x.padding) and x.fill != 0:
        raise Unsupported("it averages minus infinity", "pad with zeros")
    windows, own = _windows(state, node, x, call)
    override = call.get("divisor_override")
    if _whole(x, windows) and override is None:
        made: FloatPool | FloatAveragePool = FloatPool("", "", "", "")
        return state.emit_map(node, made, [_bare(x)], _pooled(state, node, x, (1, 1)))
    counted = own if call["count_include_pad"] else x.padding
    if override is not None:
        counted = windows.padding  # every window counts its whole kernel
    made = FloatAveragePool(
        "", "", "", "", windows.kernel, windows.stride, windows.padding, counted
    )
    value = state.emit_map(node, made, [_bare(x)], _pooled(state, node, x, windows.size))
    if override is None:
        return value
    if not isinstance(override, int) or override == 0:
        raise Unsupported(f"its divisor is {override!r}", "use a whole number above 0")
    share = windows.kernel[0] * windows.kernel[1] / override
    return scaled(state, node, replace(value, sole=True), share, 0.0)


def _of_lines(state: Lowering, node: Node, x: Value, call: Any, *, largest: bool) -> Value:
    """A one-dimensional pool of (N, C, H*W), over all of it."""
    length = x.shape[1] * x.shape[2]
    kernel, padding = numbers_of(call["kernel_size"]), numbers_of(call["padding"])
    if kernel != [length] or any(padding):
        raise Unsupported(
            "it pools a part of rows and columns that are one axis, (N, C, H*W)",
            MAX_REMEDY if largest else MEAN_REMEDY,
        )
    return _over_all(state, node, x, largest=largest)


def _over_all(state: Lowering, node: Node, x: Value, *, largest: bool) -> Value:
    """The largest or the average of each channel."""
    out = _pooled(state, node, x, (1, 1))
    if largest:
        size = (x.shape[1], x.shape[2])
        made = FloatMaxPool("", "", "", "", size, (1, 1), NO_PADDING)
        return state.emit_map(node, made, [x], out)
    before = state.producers.get(x.tensor)
    if x.sole and isinstance(before, DraftMap) and isinstance(before.node, FloatAveragePool):
        # The average of rows and then of columns is that of both.
        rows, columns = state.shapes[before.inputs[0]][1:]
        axis = before.node.kernel in ((1, columns), (rows, 1)) and not any(before.node.padding)
        if axis and before.node.stride == (1, 1):
            read = Value(before.inputs[0], state.shapes[before.inputs[0]], False, before.soles[0])
            return state.emit_map(node, FloatPool("", "", "", ""), [read], out)
    return state.emit_map(node, FloatPool("", "", "", ""), [x], out)


def reduced(state: Lowering, node: Node) -> Value:
    """``mean``, ``sum``, ``amax`` and ``max`` over rows, columns or both."""
    kind = str(node.target).removeprefix("aten.").rpartition(".")[0]
    largest = kind in ("amax", "max")
    remedy = MAX_REMEDY if largest else MEAN_REMEDY
    call = state.arguments(node)
    x = state.value(call["self"], lines=True)
    held = state.result_shape(call["self"]) or ()
    spatial = range(2, len(held))
    if not spatial or (x.flat and x.shape[1:] != (1, 1)):
        raise Unsupported("it reduces a flattened map", remedy)
    if call.get("dim") is None and not isinstance(call.get("dim"), list):
        raise Unsupported("it reduces all values, of all frames at once", remedy)
    dims = {d % len(held) for d in numbers_of(call["dim"])}
    if not dims or not dims <= set(spatial):
        raise Unsupported("only rows and columns can be reduced", remedy)
    if all(d in dims or held[d] == 1 for d in spatial):
        value = _over_all(state, node, x, largest=largest)
        count = x.shape[1] * x.shape[2]
    else:
        value, count = _over_one(state, node, x, dims, largest=largest)
    if kind == "sum":
        return scaled(state, node, replace(value, sole=True), float(count), 0.0)
    return value


def _over_one(
    state: Lowering, node: Node, x: Value, dims: set[int], *, largest: bool
) -> tuple[Value, int]:
    """(rows or columns reduced to one, how many there were)."""
    axis = dims.pop() - 2
    count = x.shape[1 + axis]
    kernel = (count, 1) if axis == 0 else (1, count)
    size = (1, x.shape[2]) if axis == 0 else (x.shape[1], 1)
    out = _pooled(state, node, x, size)
    made: FloatMaxPool | FloatAveragePool
    if largest:
        made = FloatMaxPool("", "", "", "", kernel, (1, 1), NO_PADDING)
    else:
        made = FloatAveragePool("", "", "", "", kernel, (1, 1), NO_PADDING, NO_PADDING)
    return state.emit_map(node, made, [x], out), count


def adaptive(state: Lowering, node: Node) -> Value:
    """Adaptive pools to sizes that divide the map's, or are multiples of them."""
    largest = "max" in str(node.target)
    call = state.arguments(node)
    x = state.value(call["self"], lines=True)
    held, shape = state.result_shape(call["self"]) or (), state.result_shape(node) or ()
    axes = 1 if "1d" in str(node.target) else 2
    if len(held) != axes + 2 or len(shape) != len(held) or (x.flat and x.shape[1:] != (1, 1)):
        remedy = MAX_REMEDY if largest else MEAN_REMEDY
        raise Unsupported("only rows and columns of a map can be pooled", remedy)
    if all(n == 1 for n in shape[2:]):
        return _over_all(state, node, x, largest=largest)
    if len(held) == 3:
        remedy = MAX_REMEDY if largest else MEAN_REMEDY
        raise Unsupported("it pools a part of rows and columns that are one axis", remedy)
    rows, columns, high, wide = x.shape[1], x.shape[2], shape[2], shape[3]
    if (rows, columns) == (high, wide):
        return replace(x, sole=x.sole and state.sole(node))
    out = _pooled(state, node, x, (high, wide))
    if rows % high == 0 and columns % wide == 0:
        kernel = (rows // high, columns // wide)
        made: FloatMaxPool | FloatAveragePool
        if largest:
            made = FloatMaxPool("", "", "", "", kernel, kernel, NO_PADDING)
        else:
            made = FloatAveragePool("", "", "", "", kernel, kernel, NO_PADDING, NO_PADDING)
        return state.emit_map(node, made, [x], out)
    if high % rows == 0 and wide % columns == 0:
        factor = (high // rows, wide // columns)
        return state.emit_map(node, FloatUpsample("", "", "", "", factor, "nearest"), [x], out)
    raise Unsupported(
        f"its output of {high}x{wide} does not divide a map of {rows}x{columns}: windows differ in "
        "size",
        "use a size that divides the map's, or average over all: nn.AdaptiveAvgPool2d(1)",
    )
