"""A stand-in for the array's planner of second words: 16 units, 7 pixels, 9 taps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.ties import is_depthwise
from shiftforge.quant.second_words import Orders, SecondWords, WordPlan

TAPS = 9


def stand_in(units: int = 16, pixels: int = 7) -> Callable[[FloatGraph, Orders], WordPlan]:
    def planner(graph: FloatGraph, orders: Orders) -> WordPlan:
        words, total = {}, 0
        for node in graph.nodes:
            if not isinstance(node, FloatConv):
                continue
            words[node.name], base = layer(graph, node, orders, units, pixels)
            total += base
        array = {"board": "a10gx1150", "units": units, "pixels": pixels}
        return WordPlan(words, total, array)

    return planner


def places(orders: Orders, name: str, channels: int) -> NDArray[np.int64]:
    place = np.arange(channels)
    if name in orders:
        place[orders[name]] = np.arange(channels)
    return place


def layer(
    graph: FloatGraph, node: FloatConv, orders: Orders, units: int, pixels: int
) -> tuple[SecondWords, int]:
    channels, rows, columns = graph.shapes[node.output]
    tiles = rows * -(-columns // pixels)
    groups = -(-channels // units)
    out = places(orders, node.output, channels)
    shape = node.weight.shape
    if is_depthwise(node):
        block = np.broadcast_to((out // units)[:, None, None, None], shape).astype(np.int32)
        cycles = tiles if node.stride == 1 else 0
        return SecondWords(np.zeros(channels, np.int32), block, groups, cycles), groups * tiles
    if node.input == graph.input:
        index = np.arange(shape[1] * shape[2] * shape[3]).reshape(1, *shape[1:])
    else:
        index = places(orders, node.input, shape[1])[None, :, None, None]
    block = np.broadcast_to(index // TAPS, shape).astype(np.int32)
    found = SecondWords((out // units).astype(np.int32), block, int(block.max()) + 1, tiles)
    return found, groups * tiles * -(-node.weight[0].size // TAPS)
