"""The specification of channel orders: permutations that agree wherever channels are paired."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem
from shiftforge.quant.graph.ties import keeps_channels, names_channels
from shiftforge.quant.graph.types import Conv, QuantizedModel

__all__ = ["check_orders"]

_REMEDY = "quantise the model again"


def check_orders(model: QuantizedModel) -> list[Problem]:
    """What is wrong with a model's orders.

    Each belongs to a tensor, and is an int32 permutation of its channels; the network's input and
    output, and what a grouped convolution or a node that joins, cuts or shuffles channels reads or
    writes, have none; what any other node but an ordinary convolution reads has the order of what
    it writes. A tensor without one lies in the network's own order.
    """
    problems: list[Problem] = []
    sound: dict[str, NDArray[np.int32]] = {}
    for name, order in model.orders.items():
        text = _fault(model, name, order)
        if text:
            problems.append(Problem(text, _REMEDY, f"order of {name!r}"))
        else:
            sound[name] = order
    return problems + _between(model, sound)


def _fault(model: QuantizedModel, name: str, order: NDArray[np.int32]) -> str:
    """What is wrong with one order by itself; "" where nothing is."""
    tensor = model.tensors.get(name)
    if tensor is None:
        return "belongs to no tensor of the network"
    if name in (model.input, *model.outputs):
        end = "input" if name == model.input else "output"
        return f"the network's {end} lies in its own order and has no other"
    if order.dtype != np.int32 or order.shape != (tensor.channels,):
        return f"is {order.dtype} {order.shape}, not int32 ({tensor.channels},)"
    outside = (order < 0) | (order >= tensor.channels)
    if outside.any():
        return f"names channel {int(order[outside][0])} of {tensor.channels}"
    counts = np.bincount(order, minlength=tensor.channels)
    if counts.max() > 1:
        channel = int(counts.argmax())
        return f"names channel {channel} {int(counts[channel])} times"
    return ""


def _between(model: QuantizedModel, orders: dict[str, NDArray[np.int32]]) -> list[Problem]:
    """Nodes whose tensors' orders do not go together."""
    problems = []
    for node in model.nodes:
        place = f"{node.name} ({node.source})" if node.source else node.name
        if not keeps_channels(node):
            odd = [name for name in (*node.inputs, node.output) if name in orders]
            if names_channels(node) and odd:
                kind = "grouped convolution" if isinstance(node, Conv) else type(node).__name__
                what = f"a {kind} takes no channel order, {odd[0]!r} has one"
                problems.append(Problem(what, _REMEDY, place))
            continue
        for name in node.inputs:
            at = _first_difference(orders.get(name), orders.get(node.output))
            if at is not None:
                what = (
                    f"reads {name!r} in another channel order than it writes {node.output!r}, "
                    f"from place {at} on"
                )
                problems.append(Problem(what, _REMEDY, place))
    return problems


def _first_difference(a: NDArray[np.int32] | None, b: NDArray[np.int32] | None) -> int | None:
    """First place where two orders differ; one that is missing is the network's own."""
    if a is None and b is None:
        return None
    size = len(a) if a is not None else len(b) if b is not None else 0
    own = np.arange(size, dtype=np.int32)
    left, right = own if a is None else a, own if b is None else b
    if len(left) != len(right):
        return None  # tensors of different channels are reported already
    differing = np.flatnonzero(left != right)
    return int(differing[0]) if differing.size else None
