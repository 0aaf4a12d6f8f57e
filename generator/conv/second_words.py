"""What second words cost on an array, as the planner that quantisation asks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.check import dry_model
from shiftforge.generator.conv.embed import embedded
from shiftforge.generator.conv.lower_conv import array_iterations
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.generator.conv.walk import walk_layer
from shiftforge.generator.conv.word_layout import layer_words, word_counts
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.second_words import Orders, SecondWords, WordPlan, WordPlanner

__all__ = ["word_planner"]


_ONE_TERM = ShiftFormat(4, 1, "S1")


def word_planner(board: Board, units: int, pixels: int) -> WordPlanner:
    """The planner that quantisation asks for words and their cycles on an array.

    It raises InputError for a network that the array cannot run.
    """
    array = ArrayShape(units, pixels)

    def plan(graph: FloatGraph, orders: Orders) -> WordPlan:
        formats = {n.name: _ONE_TERM for n in graph.nodes if isinstance(n, FloatConv)}
        layers = schedule(dry_model(graph, formats), units).layers
        words, cycles = {}, 0
        for layer in layers:
            tiling = tile_layer(layer, array)
            walk = walk_layer(layer, tiling)
            if layer.conv.name in formats:
                own = layer_words(layer, tiling, units)
                words[layer.conv.name] = _in_network(own, layer, orders)
            counts = word_counts(layer, tiling, array)
            cycles += array_iterations(layer, tiling, walk, units, counts)
        return WordPlan(words, cycles, {"board": board.name, "units": units, "pixels": pixels})

    return plan


def _places(order: NDArray[np.int32] | None, channels: int) -> NDArray[np.int64]:
    """Place of every channel."""
    places = np.arange(channels)
    if order is not None:
        places[np.asarray(order)] = np.arange(channels)
    return places


def _in_network(own: SecondWords, layer: Layer, orders: Orders) -> SecondWords:
    """The same for weights (O, I // groups, kh, kw) in the network's order."""
    conv = layer.conv
    rows = _places(orders.get(conv.output), conv.weight.shape[0])
    block = _blocks(own, layer)
    if len(block) > 1:
        block = block[rows]
    if layer.mode != "depthwise" and not layer.taps:
        block = block[:, _places(orders.get(conv.input), block.shape[1])]
    whole = np.broadcast_to(block, conv.weight.shape)
    if layer.places is not None:
        whole = whole[:, layer.places]
    return SecondWords(own.group[rows], whole, own.blocks, own.cycles, own.once)


def _blocks(own: SecondWords, layer: Layer) -> NDArray[np.int32]:
    """The block of each weight in the accelerator's order, (O or 1, I // groups or 1, kh, kw)."""
    conv = layer.conv
    if layer.mode == "depthwise":
        return own.block[:, :1, :1, :1]
    # Without groups all outputs have their weights in the same blocks.
    shape = (1 if conv.groups == 1 else conv.weight.shape[0], *conv.weight.shape[1:])
    size = int(np.prod(shape))
    places = embedded(layer.form, conv, np.arange(1, size + 1).reshape(shape))
    blocks = np.broadcast_to(own.block[: shape[0]], (*places.shape, 1, 1)[:4]).reshape(-1)
    there = np.flatnonzero(places)
    found = np.zeros(size, np.int32)
    found[places.reshape(-1)[there] - 1] = blocks[there]
    return found.reshape(shape)
