"""Which tensors must lie in the same channel order, and which of them in the network's own.

A depthwise convolution works channel by channel, an addition pairs the channels of its operands,
and a global pool keeps them: their tensors are tied. An ordinary convolution mixes its channels, so
that its input and output lie in any order of their own; a grouped one mixes them within groups that
are runs of the network's own order.
"""

from __future__ import annotations

from typing import TypeAlias

from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatPool
from shiftforge.quant.graph.types import Add, Conv, Pool, QuantizedModel

__all__ = ["channel_ties", "fixed_ties", "is_depthwise", "is_grouped", "tied_tensors"]

Graph: TypeAlias = FloatGraph | QuantizedModel


def is_depthwise(conv: Conv | FloatConv) -> bool:
    """Whether a convolution makes each output channel of the input channel of the same number."""
    return conv.groups > 1 and conv.weight.shape[:2] == (conv.groups, 1)


def is_grouped(conv: Conv | FloatConv) -> bool:
    """Whether a convolution has groups and is not depthwise."""
    return conv.groups > 1 and not is_depthwise(conv)


def channel_ties(graph: Graph) -> dict[str, str]:
    """The representative of every tensor: tensors of one representative have the same order.

    It is the first of the tied tensors in execution order, the network's input before all.
    """
    place = {graph.input: 0}
    for node in graph.nodes:
        for name in (*_inputs(node), node.output):
            place.setdefault(name, len(place))
    parent = {name: name for name in place}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for node in graph.nodes:
        if isinstance(node, Conv | FloatConv) and not is_depthwise(node):
            continue
        for name in _inputs(node):
            first, later = sorted((find(name), find(node.output)), key=place.__getitem__)
            parent[later] = first
    return {name: find(name) for name in place}


def tied_tensors(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The tensors of every representative, in execution order."""
    found: dict[str, tuple[str, ...]] = {}
    for name, first in channel_ties(graph).items():
        found[first] = (*found.get(first, ()), name)
    return found


def fixed_ties(graph: Graph) -> frozenset[str]:
    """Representatives whose tensors keep the network's own order.

    Among these are its input or its output, or what a grouped convolution reads or writes.
    """
    ties = channel_ties(graph)
    fixed = {graph.input, graph.output}
    for node in graph.nodes:
        if isinstance(node, Conv | FloatConv) and is_grouped(node):
            fixed |= {node.input, node.output}
    return frozenset(ties[name] for name in fixed if name in ties)


def _inputs(
    node: Conv | Add | Pool | FloatConv | FloatAdd | FloatPool,
) -> tuple[str, ...]:
    return (node.a, node.b) if isinstance(node, Add | FloatAdd) else (node.input,)
