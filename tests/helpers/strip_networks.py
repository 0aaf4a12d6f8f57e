"""Networks of inverted residual blocks, drawn, and segments of them in strips."""

from __future__ import annotations

import random

import numpy as np
from random_networks import Builder, Family

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.plan import array_for
from shiftforge.generator.conv.segments import Segment, inner_result
from shiftforge.quant.graph.types import Grid, Preprocess, QuantizedModel, Tensor
from shiftforge.quant.graph.verify import verify

PADDINGS = ((1, 1, 1, 1), (0, 0, 1, 1), (1, 1, 0, 0), (0, 0, 0, 0), (0, 0, 2, 2), (1, 0, 1, 2))


def blocks(seed: int, family: Family = "two-term") -> QuantizedModel:
    """A stem and blocks of expansion, depthwise convolution and projection, in some an addition."""
    rng = random.Random(seed)
    height, width = rng.randint(12, 40), rng.randint(8, 30)
    image = Tensor("input", 3, height, width, Grid(8, False, -8))
    built = Builder(np.random.default_rng(seed), image, family, False)
    built.conv(out=rng.choice((8, 20, 40)), kernel=3, stride=rng.randint(1, 2),
               padding=rng.choice(PADDINGS[:3]))  # fmt: skip
    for _ in range(rng.randint(1, 3)):
        source = built.last
        if rng.random() < 0.7:
            built.conv(out=rng.choice((16, 24, 40)), kernel=1)
        channels = built.last.channels
        same = rng.random() < 0.5
        small = min(built.last.height, built.last.width) < 5
        padding = PADDINGS[0] if same or small else rng.choice(PADDINGS)
        stride = 1 if same or small else rng.randint(1, 2)
        built.conv(out=channels, kernel=3, groups=channels, stride=stride, padding=padding)
        residual = same and source.name != "input" and rng.random() < 0.7
        built.conv(out=source.channels if residual else rng.choice((10, 16, 20)), kernel=1)
        if residual and abs(built.last.grid.exponent - source.grid.exponent) < 12:
            built.add(source)
    built.conv(out=rng.choice((10, 33)), kernel=1)
    ones = (1.0, 1.0, 1.0)
    model = QuantizedModel(
        f"blocks{seed}", Preprocess(3, height, width, ones, ones), "input", built.last.name,
        built.tensors, tuple(built.nodes),
    )  # fmt: skip
    verify(model)
    return model


def random_array(network: Network, seed: int) -> ArrayShape:
    """Of any units, and one to three frames in flight."""
    rng = random.Random(f"array {seed}")
    units, pixels = rng.choice((8, 16, 16, 24, 32, 48)), rng.randint(1, 9)
    return array_for(network, units, pixels, rng.choice((1, 1, 1, 2, 3)))


def random_segments(network: Network, rng: random.Random) -> tuple[Segment, ...]:
    """Neighbouring layers in strips, even ones where the image is sent; some at least."""
    for _ in range(30):
        found = _drawn(network, rng)
        if any(len(own.ends) > 1 for own in found):
            break
    return found


def _drawn(network: Network, rng: random.Random) -> tuple[Segment, ...]:
    layers, found, first = network.layers, [], 0
    while first < len(layers):
        last = first
        while last + 1 < len(layers) and inner_result(layers, last) and rng.random() < 0.85:
            last += 1
        if last > first:
            rows = layers[last].out_shape[1]
            if first == 0 and network.scheduled.streamed:
                begin, step = rng.randint(1, rows), rng.randint(1, 5)
                ends = [*range(begin, rows, step), rows]
            else:
                count = rng.randint(1, min(rows, 6))
                ends = [*sorted(rng.sample(range(1, rows), count - 1)), rows]
            found.append(Segment(first, last, tuple(ends)))
        first = last + 1
    return tuple(found)
