"""The order in which the accelerator holds each tensor's channels.

A group of output channels and a block of inputs share a second word, and a group's blocks with
second words are its first ones: channels whose weights gain most from a second term come first, so
that few words hold most of the gain.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.calibrate.importance import Gains
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.ties import channel_ties, fixed_ties, is_depthwise, is_grouped
from shiftforge.quant.second_words import WordPlan

__all__ = ["channel_orders"]

# What the gains of a depthwise layer's channels count beside those of other layers' rows and
# columns: its words are few and cheap, so that its own order matters less (measured).
_DEPTHWISE = 0.2


def channel_orders(
    graph: FloatGraph, gains: Mapping[str, Gains], plan: WordPlan
) -> dict[str, NDArray[np.int32]]:
    """Orders (C,) by tensor: place i holds channel order[i]; no entry for a tensor in its own.

    gains: (O, I // groups, kh, kw) of every convolution's weights. plan: of the network's own
    orders, for the cycles of each layer's words. Tied tensors have one order, by what their
    channels gain a cycle as rows of the layers that write them and columns of those that read them;
    those that must lie in the network's own keep it.
    """
    ties, fixed = channel_ties(graph), fixed_ties(graph)
    keys = {ties[name]: np.zeros(shape[0]) for name, shape in graph.shapes.items() if name in ties}
    for node in graph.nodes:
        if not isinstance(node, FloatConv) or is_grouped(node):
            continue
        cycles = plan.words[node.name].cycles
        if cycles == 0:
            continue  # free words are all taken, whatever the order
        gain = gains[node.name] / cycles
        rows = gain.sum((1, 2, 3))
        if is_depthwise(node):
            keys[ties[node.output]] += _DEPTHWISE * rows
        else:
            keys[ties[node.output]] += rows
            keys[ties[node.input]] += gain.sum((0, 2, 3))
    found = {
        first: np.argsort(-key, kind="stable").astype(np.int32)
        for first, key in keys.items()
        if first not in fixed
    }
    return {
        name: found[first]
        for name, first in ties.items()
        if first in found and not np.array_equal(found[first], np.arange(len(found[first])))
    }
