"""Channels that are joined, cut, reordered or viewed as several axes.

A view (N, g, C/g, H, W), its transposition and its slices only say which channel stands where; the
node is made where the channels are one axis again.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node

from shiftforge.quant.capture.draft import Value
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.trace import BATCH
from shiftforge.quant.capture.types import FloatConcat, FloatShuffle, FloatSlice

__all__ = [
    "SPLITS",
    "channel_view",
    "concat",
    "cut",
    "flip",
    "group_shuffle",
    "index",
    "index_select",
    "part",
    "roll",
    "select",
    "split",
    "stack",
    "transposed",
]

SPLITS = {
    f"aten.{name}"
    for name in ("split", "split_with_sizes", "chunk", "tensor_split", "unbind", "unsafe_split",
                 "unsafe_chunk", "unsafe_split_with_sizes")
}  # fmt: skip
"""Calls whose results are parts of their operand."""
_KEEP = "cut channels alone: x[:, a:b]"


def _numbers(x: Value) -> NDArray[np.int64]:
    """The channel in each place of the axes between frames and rows."""
    return np.arange(x.shape[0]) if x.channels is None else x.channels


def _named(state: Lowering, node: Node, x: Value, channels: NDArray[np.int64]) -> Value:
    """The value whose axes between frames and rows hold these channels of x's tensor.

    One axis of all channels is the tensor itself, one of others a slice or a shuffle of it.
    """
    sole = x.sole and state.sole(node)
    if channels.ndim != 1:
        return replace(x, sole=sole, channels=channels, flat=False)
    count = len(channels)
    if np.array_equal(channels, np.arange(x.shape[0])):
        return replace(x, sole=sole, channels=None)
    if not count:
        raise Unsupported("it leaves no channel", "keep one at least")
    out = state.fresh(node, replace(x, shape=(count, *x.shape[1:])))
    start = int(channels[0])
    if np.array_equal(channels, np.arange(start, start + count)):
        made: FloatSlice | FloatShuffle = FloatSlice("", "", "", "", start, start + count)
    else:
        made = FloatShuffle("", "", "", "", tuple(int(c) for c in channels))
    return state.emit_map(node, made, [replace(x, channels=None)], out)


def _map(state: Lowering, operand: object) -> tuple[Value, int]:
    """(value, axes of channels) of a map, or of a vector, which has one channel axis and no map."""
    x = state.value(operand, channels=True)
    if x.flat and x.shape[1:] != (1, 1):
        raise Unsupported("it cuts or joins a flattened map", "do it before flattening")
    return x, 1 if x.channels is None else x.channels.ndim


def _axis(state: Lowering, operand: object, dim: object, axes: int) -> int | None:
    """Which of the channel axes a dimension is; None for frames, rows and columns."""
    rank = len(state.result_shape(operand) or ()) if isinstance(operand, Node) else 0
    if not isinstance(dim, int) or not rank:
        raise Unsupported("its dimension is not fixed", _KEEP)
    at = dim % rank - 1
    return at if 0 <= at < axes else None


def cut(state: Lowering, node: Node) -> Value:
    """``x[:, start:end:step]``; cuts of frames, rows and columns have to leave all."""
    call = state.arguments(node)
    operand = call["self"]
    if state.result_shape(operand) == state.result_shape(node):
        return _untouched(state, node, operand)
    x, axes = _map(state, operand)
    axis = _axis(state, operand, call["dim"], axes)
    if axis is None:
        raise Unsupported("it cuts rows, columns or frames away", _KEEP)
    own = slice(call["start"], call["end"], call.get("step", 1))
    index_ = [slice(None)] * axes
    index_[axis] = own
    return _named(state, node, x, _numbers(x)[tuple(index_)])


def _untouched(state: Lowering, node: Node, operand: object) -> Value:
    x = state.value(operand, padded=True, lines=True, channels=True)
    return replace(x, sole=x.sole and state.sole(node))


def select(state: Lowering, node: Node) -> Value:
    """``x[:, k]`` of a map whose channels are several axes."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    axis = _axis(state, call["self"], call["dim"], axes)
    if axis is None or axes == 1:
        raise Unsupported("it takes one row, column, frame or channel", "use x[:, k:k + 1]")
    return _named(state, node, x, np.take(_numbers(x), call["index"], axis))


def split(state: Lowering, node: Node) -> Value:
    """A split: its parts are made where they are read."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    if _axis(state, call["self"], call["dim"], axes) is None:
        raise Unsupported("it splits rows, columns or frames", "split channels: x.chunk(n, 1)")
    return replace(x, sole=x.sole and state.sole(node))


def part(state: Lowering, call: Node, node: Node) -> Value:
    """One result of a split. call: the split; node: what takes the result from it."""
    made, x = call.meta.get("val"), state.values.get(call)
    if x is None or not isinstance(made, tuple | list):
        raise Poisoned
    arguments = state.arguments(call)
    axes = 1 if x.channels is None else x.channels.ndim
    axis = _axis(state, arguments["self"], arguments["dim"], axes)
    place = node.args[1]
    if axis is None or not isinstance(place, int):
        raise Unsupported("its parts are not fixed", _KEEP)
    if "unbind" in str(call.target):
        if axes == 1:
            raise Unsupported("it takes single channels", "use x.split(1, 1)")
        return _named(state, node, x, np.take(_numbers(x), place, axis))
    sizes = [int(own.shape[axis + 1]) for own in made]
    place %= len(sizes)
    start = sum(sizes[:place])
    chosen = np.take(_numbers(x), np.arange(start, start + sizes[place]), axis)
    return _named(state, node, x, chosen)


def concat(state: Lowering, node: Node) -> Value:
    """Maps of one size, one after another along the channels."""
    call = state.arguments(node)
    operands = call.get("tensors")
    if not isinstance(operands, list | tuple) or not operands:
        raise Unsupported("it joins no fixed list of maps", "use torch.cat([a, b], 1)")
    found = [_map(state, operand) for operand in operands]
    if any(axes != 1 for _, axes in found):
        raise Unsupported("it joins maps whose channels are several axes", "view them back before")
    values = [x for x, _ in found]
    shape = state.result_shape(node) or ()
    if not isinstance(call["dim"], int) or call["dim"] % max(len(shape), 1) != 1:
        raise Unsupported("it joins rows, columns or frames", "join channels: torch.cat(maps, 1)")
    return _joined(state, node, values)


def _joined(state: Lowering, node: Node, values: list[Value]) -> Value:
    first = values[0]
    if any(x.shape[1:] != first.shape[1:] or x.flat != first.flat for x in values):
        raise Unsupported("its maps have different sizes", "bring them to one height and width")
    channels = sum(x.shape[0] for x in values)
    out = state.fresh(node, replace(first, shape=(channels, *first.shape[1:])))
    return state.emit_map(node, FloatConcat("", "", (), ""), values, out)


def stack(state: Lowering, node: Node) -> Value:
    """Maps joined along a new axis beside that of the channels."""
    call = state.arguments(node)
    operands, shape = call.get("tensors"), state.result_shape(node) or ()
    if not isinstance(operands, list | tuple) or not operands or len(shape) != 5:
        raise Unsupported("it joins no fixed list of maps", "use torch.cat([a, b], 1)")
    found = [_map(state, operand) for operand in operands]
    dim = call["dim"] % 5 if isinstance(call["dim"], int) else 0
    if dim not in (1, 2) or any(axes != 1 for _, axes in found):
        raise Unsupported("it stacks along rows, columns or frames", "use torch.cat([a, b], 1)")
    value = _joined(state, node, [x for x, _ in found])
    own = np.arange(value.shape[0]).reshape(len(found), -1)
    return replace(value, channels=own if dim == 1 else own.T)


def transposed(state: Lowering, node: Node) -> Value:
    """Axes in another order: those of the channels alone."""
    call = state.arguments(node)
    operand = call["self"]
    rank = len(state.result_shape(operand) or ())
    if "dims" in call:
        order = [int(d) % max(rank, 1) for d in call["dims"]]
    else:
        order, (a, b) = list(range(rank)), (call.get("dim0"), call.get("dim1"))
        if not isinstance(a, int) or not isinstance(b, int) or not rank:
            raise Unsupported("its axes are not fixed", "use fixed axes")
        order[a % rank], order[b % rank] = order[b % rank], order[a % rank]
    if order == list(range(rank)):
        return _untouched(state, node, operand)
    x, axes = _map(state, operand)
    fixed = [0, *range(axes + 1, rank)]
    if any(order[k] != k for k in fixed):
        raise Unsupported(
            "it moves rows, columns or frames to other axes",
            "keep (N, C, H, W); a Linear over channels is a convolution of 1x1",
        )
    own = _numbers(x).transpose([k - 1 for k in order[1 : axes + 1]])
    return _named(state, node, x, own)


def channel_view(state: Lowering, node: Node, x: Value) -> Value | None:
    """A view that splits or joins the axes of channels; None where it is none."""
    shape = state.result_shape(node)
    held = x.shape[1:]
    if shape is None or shape[0] != BATCH or any(x.padding) or x.lines:
        return None
    numbers = _numbers(x)
    if tuple(shape[-2:]) == held and len(shape) >= 4 and math.prod(shape[1:-2]) == numbers.size:
        return _named(state, node, replace(x, flat=False), numbers.reshape(shape[1:-2]))
    if x.channels is not None and tuple(shape[1:]) == (numbers.size * math.prod(held),):
        return replace(_named(state, node, x, numbers.reshape(-1)), flat=True)
    return None


def group_shuffle(state: Lowering, node: Node) -> Value:
    """``channel_shuffle(x, groups)``."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    groups = call["groups"]
    if axes != 1 or not isinstance(groups, int) or groups < 1 or x.shape[0] % groups:
        raise Unsupported("its groups do not divide the channels", "use groups that do")
    return _named(state, node, x, np.arange(x.shape[0]).reshape(groups, -1).T.reshape(-1))


def _chosen(state: Lowering, operand: object, size: int) -> NDArray[np.int64]:
    numbers = state.constant(operand, "index")
    found = np.asarray(numbers, np.float64)
    if found.ndim != 1 or not found.size or (found != np.rint(found)).any():
        raise Unsupported("its index is no list of channels", "index with channel numbers")
    whole = found.astype(np.int64)
    whole = np.where(whole < 0, whole + size, whole)
    if whole.min() < 0 or whole.max() >= size:
        raise Unsupported("its index names channels that there are not", "index with what is there")
    return np.asarray(whole, dtype=np.int64)


def index(state: Lowering, node: Node) -> Value:
    """``x[:, [2, 0, 1]]``."""
    call = state.arguments(node)
    chosen = list(call["indices"])
    x, axes = _map(state, call["self"])
    given = [k for k, own in enumerate(chosen) if own is not None]
    if axes != 1 or given != [1]:
        raise Unsupported("it indexes rows, columns or frames", "index channels: x[:, [2, 0, 1]]")
    return _named(state, node, x, _chosen(state, chosen[1], x.shape[0]))


def index_select(state: Lowering, node: Node) -> Value:
    """``x.index_select(1, channels)``."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    axis = _axis(state, call["self"], call["dim"], axes)
    if axis is None:
        raise Unsupported("it indexes rows, columns or frames", "index channels: dimension 1")
    own = _numbers(x)
    chosen = _chosen(state, call["index"], own.shape[axis])
    return _named(state, node, x, np.take(own, chosen, axis))


def flip(state: Lowering, node: Node) -> Value:
    """Channels the other way round."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    turned = [_axis(state, call["self"], dim, axes) for dim in call["dims"]]
    if any(axis is None for axis in turned):
        raise Unsupported("it flips rows, columns or frames", "flip the image on the host")
    return _named(state, node, x, np.flip(_numbers(x), tuple({a for a in turned if a is not None})))


def roll(state: Lowering, node: Node) -> Value:
    """Channels moved round by a number of places."""
    call = state.arguments(node)
    x, axes = _map(state, call["self"])
    shifts, dims = list(call["shifts"]), list(call["dims"] or ())
    turned = [_axis(state, call["self"], dim, axes) for dim in dims]
    if not dims or any(axis is None for axis in turned) or len(shifts) != len(dims):
        raise Unsupported("it moves rows, columns or frames round", "roll channels alone")
    own = _numbers(x)
    for shift, axis in zip(shifts, turned, strict=True):
        own = np.roll(own, int(shift), axis)
    return _named(state, node, x, own)
