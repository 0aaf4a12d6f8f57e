"""Max pooling in passes: windows of up to three rows and columns, of maps whose zero is neutral."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import Protocol

from shiftforge.errors import Problem
from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.generator.conv.legal.windows import Axis, stages
from shiftforge.quant.graph.types import AveragePool, Grid, MaxPool, Node, QuantizedModel, Tensor

__all__ = ["Builds", "legal_max_pool", "max_pool_axes", "padded_map", "pool_problems"]


def pool_problems(node: MaxPool, model: QuantizedModel) -> list[Problem]:
    """What is wrong with a pool's windows."""
    for axis in max_pool_axes(node, model.tensors[node.input]):
        whole = axis.size + axis.before + axis.behind
        if stages(axis) is None and stages(replace(axis, size=whole, before=0, after=0)) is None:
            what = f"windows of a pool {axis.stride} columns apart are not supported"
            remedy = "use a stride of 4 at most, or windows of the whole map"
            return [Problem(what, remedy, f"{node.name} ({node.source})")]
    return []


class Builds(Protocol):
    """What is asked of the network that is being made."""

    copies: Copies

    def tensor(self, name: str) -> Tensor: ...
    def put(self, node: Node, made_for: str) -> None: ...
    def between(self, like: Tensor, label: str) -> Tensor: ...


def max_pool_axes(node: MaxPool, x: Tensor) -> tuple[Axis, Axis]:
    """Rows and columns of a pool's windows."""
    top, left, bottom, right = node.padding
    return (
        Axis(x.height, node.kernel[0], node.stride[0], top, bottom, wide=False),
        Axis(x.width, node.kernel[1], node.stride[1], left, right, wide=True),
    )


def legal_max_pool(node: MaxPool, to: Builds) -> None:
    """The pool in nodes that are a pass each.

    Places outside the map are zeros in the array, the smallest codes of an unsigned grid: of other
    maps a copy is read whose codes begin at 0. What no stages have is padded first.
    """
    x, out = to.tensor(node.input), to.tensor(node.output)
    axes = max_pool_axes(node, x)
    own = [stages(axis) for axis in axes]
    # Stages may leave the map where the windows themselves do not.
    parts = [axes, *(part for part in own if part is not None)]
    shifted = x.grid.signed and any(axis.padded for part in parts for axis in part)
    if shifted:
        x = _from_zero(node, x, to)
    if None in own:
        x, axes = padded_map(node, x, axes, to)
        own = [stages(axis) for axis in axes]
    rows, columns = own
    if rows is None or columns is None:
        to.put(node, node.name)  # refused, see ``pool_problems``
        return
    steps = list(zip_longest(rows, columns))
    for n, (down, across) in enumerate(steps):
        whole = down or Axis(out.height, 1, 1, 0, 0, wide=False)
        wide = across or Axis(out.width, 1, 1, 0, 0, wide=True)
        last = n == len(steps) - 1
        target = out
        if not last or shifted:
            like = replace(x, height=whole.count, width=wide.count)
            target = to.between(like, f"{out.name}:stage{n}")
        stage = MaxPool(
            node.name if last else f"{node.name}:stage{n}", node.source, x.name, target.name,
            (whole.kernel, wide.kernel), (whole.stride, wide.stride),
            (whole.before, wide.before, whole.behind, wide.behind),
        )  # fmt: skip
        to.put(stage, node.name)
        x = target
    if shifted:
        offset = -(1 << (out.grid.bits - 1))
        to.put(to.copies.moved(f"{node.name}:signed", node.source, x, out, offset), node.name)


def _from_zero(node: MaxPool, x: Tensor, to: Builds) -> Tensor:
    grid = Grid(x.grid.bits, False, x.grid.exponent)
    out = to.between(replace(x, grid=grid), f"{node.output}:unsigned")
    offset = 1 << (x.grid.bits - 1)
    to.put(to.copies.moved(f"{node.name}:unsigned", node.source, x, out, offset), node.name)
    return out


def padded_map(
    node: MaxPool | AveragePool, x: Tensor, axes: tuple[Axis, Axis], to: Builds
) -> tuple[Tensor, tuple[Axis, Axis]]:
    """The map with the zeros around it that its windows have, and the windows in it."""
    rows, columns = axes
    sizes = [axis.size + axis.before + axis.behind for axis in axes]
    out = to.between(replace(x, height=sizes[0], width=sizes[1]), f"{node.output}:padded")
    padding = rows.before, columns.before, rows.behind, columns.behind
    to.put(to.copies.padded(f"{node.name}:padded", node.source, x, out, padding), node.name)
    inside = (
        replace(rows, size=sizes[0], before=0, after=0),
        replace(columns, size=sizes[1], before=0, after=0),
    )
    return out, inside
