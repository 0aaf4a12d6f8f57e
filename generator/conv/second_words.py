"""What second words cost on an array, as the planner that quantisation asks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.check import dry_model
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
        layers = schedule(dry_model(graph, formats)).layers
        words, cycles = {}, 0
        for layer in layers:
            tiling = tile_layer(layer, array)
            walk = walk_layer(layer, tiling)
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
    shape = conv.weight.shape
    rows = _places(orders.get(conv.output), shape[0])
    if layer.mode == "depthwise":
        block = np.broadcast_to(own.block[rows, :1, :1, :1], shape)
    elif layer.mode == "pointwise" and shape[2:] != (1, 1):
        # The image's taps are the channels of the first layer.
        block = np.broadcast_to(own.block[:1].reshape(1, *shape[1:]), shape)
    else:
        columns = _places(orders.get(conv.input), shape[1])
        block = np.broadcast_to(own.block[:1, columns, :1, :1], shape)
    return SecondWords(own.group[rows], block, own.blocks, own.cycles, own.once)
