"""All layers of a network lowered for an array: what a plan and a search begin with alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.image import ImageLayout, image_layout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.lower_controller import (
    lower_controller,
    lower_image,
    result_lag,
    result_lines,
)
from shiftforge.generator.conv.lower_conv import lower_conv
from shiftforge.generator.conv.lower_post import lower_post
from shiftforge.generator.conv.network import Network, WordCounts
from shiftforge.generator.conv.records import ControllerPass
from shiftforge.generator.conv.times import Passes
from shiftforge.generator.conv.walk import Walk, walk_layer

__all__ = ["Lowered", "lower_network"]


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network in the terms of an array; one entry a layer.

    image_pass: stores the image, where it is not streamed into the first layer. passes: records.
    lags: see ``result_lag``. trace_lines: of all stored maps.
    """

    tilings: tuple[Tiling, ...]
    walks: tuple[Walk, ...]
    words: tuple[WordCounts, ...]
    lags: tuple[int, ...]
    passes: tuple[Passes, ...]
    image: ImageLayout
    image_pass: ControllerPass | None
    trace_lines: int

    @property
    def row_lines(self) -> int:
        """Lines of the longest row of a depthwise layer."""
        return max((conv.row_length for _, conv, _ in self.passes), default=1) or 1

    @property
    def weight_words(self) -> int:
        """Of the largest group that is resident at once."""
        return max(sum(pair) for own in self.words for pair in own)

    @property
    def frame_words(self) -> int:
        """Weight words of all layers."""
        return sum(sum(pair) for own in self.words for pair in own)


def lower_network(
    network: Network, array: ArrayShape, latencies: Latencies, bases: Mapping[str, int]
) -> Lowered:
    """The records of all layers. bases: first line of every stored map."""
    layers, scheduled = network.layers, network.scheduled
    tilings = tuple(tile_layer(layer, array) for layer in layers)
    walks = tuple(walk_layer(layer, t) for layer, t in zip(layers, tilings, strict=True))
    words = network.words(array)
    image = image_layout(
        scheduled.image, network.image_shape[0], array, scheduled.streamed, tilings[0].out_groups
    )
    image_pass = None
    if not scheduled.streamed:
        base = bases[layers[0].input.name]
        image_pass = lower_image(image.map_groups, image.map_rows, image.map_tiles, base)
    lags = tuple(
        result_lag(layer, t, w, latencies.round_trip, array.units)
        for layer, t, w in zip(layers, tilings, walks, strict=True)
    )
    numbers = {geometry: n for n, geometry in enumerate(network.geometries)}
    passes, trace = [], 0
    for i, (layer, tiling, walk) in enumerate(zip(layers, tilings, walks, strict=True)):
        pool = 0
        if layer.pool is not None:
            pool = 1 + network.pools.index((layer.pool.multiplier, layer.pool.shift))
        controller = lower_controller(layer, tiling, walk, bases, trace, lags[i])
        next_words = sum(words[(i + 1) % len(words)][0])
        conv = lower_conv(layer, tiling, walk, array.units, words[i], next_words, numbers)
        passes.append((controller, conv, lower_post(layer, tiling, walk, array, pool)))
        trace += result_lines(layer, tiling)
    return Lowered(tilings, walks, words, lags, tuple(passes), image, image_pass, trace)
