"""A stand-in for the array's planner of second words: 16 units, 7 pixels, 9 taps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.types import (
    FloatAdd,
    FloatConv,
    FloatGraph,
    FloatNode,
    FloatPool,
)
from shiftforge.quant.graph.ties import is_depthwise
from shiftforge.quant.graph.types import Preprocess
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


@cache
def shallow_graph() -> FloatGraph:
    """A stem, two inverted residuals (one of stride 2), a pool and a classifier at 16x16."""
    rng = np.random.default_rng(4)
    shapes = {"image": (3, 16, 16)}
    nodes: list[FloatNode] = []

    def conv(source: str, out: int, kernel: int, stride: int, depthwise: bool, act: bool) -> str:
        channels, height, width = shapes[source]
        fan = kernel * kernel * (1 if depthwise else channels)
        size = (out, 1 if depthwise else channels, kernel, kernel)
        weight = (rng.normal(size=size) * (2 / fan) ** 0.5).astype(np.float32)
        bias = (rng.normal(size=out) * 0.1).astype(np.float32)
        name = f"n{len(nodes)}"
        after = kernel // 2
        before = after if stride == 1 else 0
        nodes.append(
            FloatConv(
                name, name, source, name, weight, bias, stride, (before, before, after, after), 1,
                channels if depthwise else 1, "relu6" if act else "none",
            )
        )  # fmt: skip
        shapes[name] = (out, height // stride, width // stride)
        return name

    stem = conv("image", 16, 3, 2, False, True)
    wide = conv(conv(stem, 48, 1, 1, False, True), 48, 3, 1, True, True)
    own = conv(wide, 16, 1, 1, False, False)
    nodes.append(FloatAdd("add", "add", stem, own, "sum", "none"))
    shapes["sum"] = shapes[own]
    wide = conv(conv("sum", 80, 1, 1, False, True), 80, 3, 2, True, True)
    last = conv(conv(wide, 24, 1, 1, False, False), 96, 1, 1, False, True)
    nodes.append(FloatPool("pool", "pool", last, "pooled"))
    shapes["pooled"] = (96, 1, 1)
    logits = conv("pooled", 10, 1, 1, False, False)
    preprocess = Preprocess(3, 16, 16, (0.5,) * 3, (0.25,) * 3)
    return FloatGraph("shallow", preprocess, "image", logits, shapes, tuple(nodes))
