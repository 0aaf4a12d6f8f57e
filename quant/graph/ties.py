"""Which tensors must lie in the same channel order, and which of them in the network's own.

A depthwise convolution works channel by channel, an addition pairs the channels of its operands,
and pools, tables and enlargements keep them: their tensors are tied. An ordinary convolution mixes
its channels, so that its input and output lie in any order of their own; a grouped one mixes them
within groups that are runs of the network's own order, and what joins, cuts or shuffles channels
names them by it.
"""

from __future__ import annotations

from typing import TypeAlias

from shiftforge.quant.capture.types import (
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatNode,
    FloatShuffle,
    FloatSlice,
)
from shiftforge.quant.graph.types import Concat, Conv, Node, QuantizedModel, Shuffle, Slice

__all__ = [
    "channel_ties",
    "fixed_ties",
    "is_depthwise",
    "is_grouped",
    "keeps_channels",
    "names_channels",
    "tied_tensors",
]

Graph: TypeAlias = FloatGraph | QuantizedModel


def is_depthwise(conv: Conv | FloatConv) -> bool:
    """Whether a convolution makes each output channel of the input channel of the same number."""
    return conv.groups > 1 and conv.weight.shape[:2] == (conv.groups, 1)


def is_grouped(conv: Conv | FloatConv) -> bool:
    """Whether a convolution has groups and is not depthwise."""
    return conv.groups > 1 and not is_depthwise(conv)


def names_channels(node: Node | FloatNode) -> bool:
    """Whether a node reads or writes channels by their numbers in the network's own order."""
    if isinstance(node, Conv | FloatConv):
        return is_grouped(node)
    return isinstance(node, Concat | Slice | Shuffle | FloatConcat | FloatSlice | FloatShuffle)


def keeps_channels(node: Node | FloatNode) -> bool:
    """Whether output channel c comes of the inputs' channels c alone, whatever c is."""
    if isinstance(node, Conv | FloatConv):
        return is_depthwise(node)
    return not names_channels(node)


def channel_ties(graph: Graph) -> dict[str, str]:
    """The representative of every tensor: tensors of one representative have the same order.

    It is the first of the tied tensors in execution order, the network's input before all.
    """
    place = {graph.input: 0}
    for node in graph.nodes:
        for name in (*node.inputs, node.output):
            place.setdefault(name, len(place))
    parent = {name: name for name in place}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for node in graph.nodes:
        if not keeps_channels(node):
            continue
        for name in node.inputs:
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

    Among these are its input or its output, or what a grouped convolution, or a node that joins,
    cuts or shuffles channels, reads or writes.
    """
    ties = channel_ties(graph)
    fixed = {graph.input, *graph.outputs}
    for node in graph.nodes:
        if names_channels(node):
            fixed |= {*node.inputs, node.output}
    return frozenset(ties[name] for name in fixed if name in ties)
