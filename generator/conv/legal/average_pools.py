"""Average pooling in passes: up to 3x3 by a constant's digits, larger windows by a power of two."""

from __future__ import annotations

from dataclasses import replace

from shiftforge.errors import Problem
from shiftforge.generator.conv.legal.copies import WINDOW, Copies
from shiftforge.generator.conv.legal.max_pools import Builds, legal_max_pool, padded_map
from shiftforge.generator.conv.legal.windows import Axis, runs_natively
from shiftforge.quant.graph.types import AveragePool, MaxPool, Tensor

__all__ = ["average_axes", "average_problems", "legal_average_pool"]

_MOST_STRIDE = 4
_NONE = (0, 0, 0, 0)


def average_problems(node: AveragePool, x: Tensor, copies: Copies) -> list[Problem]:
    """What is wrong with a pool's windows or its constants."""
    axes, (kh, kw), place = average_axes(node, x), node.kernel, f"{node.name} ({node.source})"
    stride, count = max(axis.stride for axis in axes), node.constants[0][0]
    if len(node.constants) > 1:
        counts = ", ".join(str(count) for count, _, _ in node.constants)
        what = f"averages over {counts} places in one pool are not supported"
        return [Problem(what, "count the padding (count_include_pad), or pad less", place)]
    if stride > _MOST_STRIDE:
        what = f"windows of an average pool {stride} places apart are not supported"
        remedy = f"use a stride of {_MOST_STRIDE} at most, or windows of the whole map"
        return [Problem(what, remedy, place)]
    if copies.constant(node, x) is None:
        what = f"an average over {kh}x{kw} places is not supported"
        remedy = "use windows up to 3x3, or of a power of two of places: 4x4, 8x8, 2x8"
        return [Problem(what, remedy, place)]
    if max(kh, kw) <= WINDOW and count != kh * kw and not all(map(runs_natively, axes)):
        what = f"an average over {count} of {kh}x{kw} places is not supported with its padding"
        return [Problem(what, "count the padding (count_include_pad), or pad less", place)]
    return []


def average_axes(node: AveragePool, x: Tensor) -> tuple[Axis, Axis]:
    """Rows and columns of a pool's windows; a single one has the least stride."""
    top, left, bottom, right = node.padding
    rows = Axis(x.height, node.kernel[0], node.stride[0], top, bottom, wide=False)
    columns = Axis(x.width, node.kernel[1], node.stride[1], left, right, wide=True)
    return _single(rows), _single(columns)


def _single(axis: Axis) -> Axis:
    if axis.count > 1:
        return axis
    return replace(axis, stride=axis.before + axis.size + axis.after - axis.kernel + 1)


def legal_average_pool(node: AveragePool, to: Builds) -> None:
    """The pool in nodes that are a pass each; as it is where ``average_problems`` refuses it."""
    x, out = to.tensor(node.input), to.tensor(node.output)
    axes = average_axes(node, x)
    strides = axes[0].stride, axes[1].stride
    native = max(node.kernel) <= WINDOW and all(map(runs_natively, axes))
    if native or average_problems(node, x, to.copies):
        to.put(node if node.stride == strides else replace(node, stride=strides), node.name)
    elif max(node.kernel) > WINDOW:
        own = min(strides) if strides[0] == strides[1] and strides[0] <= 2 else 1
        own = 2 if strides == (4, 4) else own
        _thinned(node, out, replace(node, stride=(own, own)), strides, axes, to)
    else:
        if any(axis.padded for axis in axes):
            x, axes = padded_map(node, x, axes, to)
        count, multiplier, shift = node.kernel[0] * node.kernel[1], *node.constants[0][1:]
        part = replace(
            node, input=x.name, stride=(strides[0], {4: 2}.get(strides[1], strides[1])),
            padding=_NONE, counted=_NONE, constants=((count, multiplier, shift),),
        )  # fmt: skip
        _thinned(node, out, part, strides, axes, to)


def _thinned(
    node: AveragePool, out: Tensor, part: AveragePool, strides: tuple[int, int],
    axes: tuple[Axis, Axis], to: Builds,
) -> None:  # fmt: skip
    """A pool of smaller strides, and some of its rows and columns."""
    left = strides[0] // part.stride[0], strides[1] // part.stride[1]
    if left == (1, 1):
        _put(part, node.name, to)
        return
    rows, columns = (replace(a, stride=s).count for a, s in zip(axes, part.stride, strict=True))
    whole = to.between(replace(out, height=rows, width=columns), f"{out.name}:at{part.stride[1]}")
    _put(replace(part, name=f"{node.name}:pool", output=whole.name), node.name, to)
    legal_max_pool(MaxPool(node.name, node.source, whole.name, out.name, (1, 1), left, _NONE), to)


def _put(part: AveragePool, made_for: str, to: Builds) -> None:
    """As a pass of the line buffer, or as the convolution that a larger window is."""
    if max(part.kernel) <= WINDOW:
        to.put(part, made_for)
    else:
        x, out = to.tensor(part.input), to.tensor(part.output)
        to.put(to.copies.average(part, x, out).conv, made_for)
