"""Small float networks of any geometry, also such that no array runs, and their integer networks.

All follows from the seed. ``RULES`` plants each rule of the accelerator once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.capture.types import (
    Activation,
    FloatAdd,
    FloatAveragePool,
    FloatConv,
    FloatGraph,
    FloatNode,
    FloatPool,
    FloatUpsample,
)
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import Grid, Preprocess, QuantizedModel, WeightFormat
from shiftforge.quant.graph.verify import verify

Padding = tuple[int, int, int, int]
SAME: Padding = (1, 1, 1, 1)


class Chain:
    """Collects nodes; ``last`` names the newest tensor."""

    def __init__(self, shape: tuple[int, int, int] = (3, 16, 16)) -> None:
        self.shapes: dict[str, tuple[int, int, int]] = {"input": shape}
        self.nodes: list[FloatNode] = []
        self.last = "input"

    def _store(self, node: FloatNode, shape: tuple[int, int, int]) -> str:
        self.nodes.append(node)
        self.shapes[node.output] = shape
        self.last = node.output
        return self.last

    def conv(
        self,
        out: int,
        kernel: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: Padding | None = None,
        dilation: int = 1,
        groups: int = 1,
        source: str | None = None,
    ) -> str:
        name, at = f"n{len(self.nodes)}", source or self.last
        channels, height, width = self.shapes[at]
        kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        pad = padding if padding is not None else (kh // 2, kw // 2, kh // 2, kw // 2)
        rows = (height + pad[0] + pad[2] - dilation * (kh - 1) - 1) // stride + 1
        columns = (width + pad[1] + pad[3] - dilation * (kw - 1) - 1) // stride + 1
        weight = np.zeros((out, channels // groups, kh, kw), np.float32)
        activation: Activation = "relu"
        node = FloatConv(
            name, f"net.{name}", at, name, weight, np.zeros(out, np.float32), stride, pad,
            dilation, groups, activation,
        )  # fmt: skip
        return self._store(node, (out, rows, columns))

    def add(self, a: str, b: str) -> str:
        name = f"n{len(self.nodes)}"
        return self._store(FloatAdd(name, f"net.{name}", a, b, name, "none"), self.shapes[a])

    def pool(self) -> str:
        name, at = f"n{len(self.nodes)}", self.last
        channels = self.shapes[at][0]
        return self._store(FloatPool(name, f"net.{name}", at, name), (channels, 1, 1))

    def map(
        self, make: Callable[..., FloatNode], shape: tuple[int, int, int], *own: object,
        names: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        """A node of any other kind that reads the newest tensor, or ``names``; shape: of its
        output."""
        name = f"n{len(self.nodes)}"
        read: object = names or self.last
        return self._store(make(name, f"net.{name}", read, name, *own), shape)

    def graph(self) -> FloatGraph:
        half = (0.5,) * self.shapes["input"][0]
        preprocess = Preprocess(*self.shapes["input"], half, half)
        return FloatGraph("planted", preprocess, "input", self.last, self.shapes, tuple(self.nodes))


def integer_model(
    graph: FloatGraph, formats: Mapping[str, WeightFormat], seed: int = 0
) -> QuantizedModel:
    """A verified integer network with random weights, as calibration would convert it."""
    rng = np.random.default_rng(seed)
    convs = [node for node in graph.nodes if isinstance(node, FloatConv)]
    wide = graph.output if isinstance(graph.nodes[-1], FloatConv) else None
    names = (graph.input, *(node.output for node in graph.nodes))
    weights = {
        c.name: (
            rng.choice(format_levels(formats[c.name]), c.weight.shape).astype(np.int8),
            np.zeros(len(c.bias), np.int8),
        )
        for c in convs
    }
    grids = {name: Grid(8, True, -4) for name in names if name != wide}
    model = convert(graph, grids, weights, formats)
    verify(model)
    return model


def _after_a_layer(plant: Callable[[Chain], object]) -> FloatGraph:
    chain = Chain()
    chain.conv(8, 3, stride=2)
    plant(chain)
    chain.conv(5, 1)
    return chain.graph()


def _at_the_end(plant: Callable[[Chain], object]) -> FloatGraph:
    chain = Chain()
    chain.conv(8, 3, stride=2)
    plant(chain)
    return chain.graph()


_SAME = ((3, 3), (1, 1), (1, 1, 1, 1))
_LARGE = ((5, 5), (1, 1), (0, 0, 0, 0))

RULES: dict[str, tuple[FloatGraph, str]] = {
    "stride": (_after_a_layer(lambda c: c.conv(8, 3, stride=5)), "stride 5 is not supported"),
    "stride of 32 bits": (
        _at_the_end(lambda c: c.conv(8, 3, stride=3)),
        "stride 3 is not supported where results leave as 32-bit integers",
    ),
    "averages": (
        _after_a_layer(lambda c: c.map(FloatAveragePool, (8, 8, 8), *_SAME, (0, 0, 0, 0))),
        "averages over 4, 6, 9 places in one pool are not supported",
    ),
    "average over 25": (
        _after_a_layer(lambda c: c.map(FloatAveragePool, (8, 4, 4), *_LARGE, (0, 0, 0, 0))),
        "an average over 5x5 places is not supported",
    ),
    "9 times the columns": (
        _after_a_layer(lambda c: c.map(FloatUpsample, (8, 8, 72), (1, 9), "nearest")),
        "9 times as many columns are not supported",
    ),
}
"""By rule: a network that breaks it, and a part of what is said."""


def random_graph(seed: int) -> FloatGraph:
    """A chain with additions and pools; about half of them break a rule somewhere."""
    rng = np.random.default_rng(seed)
    odd = 0.2 if rng.integers(2) else 0.0

    def draw(usual: tuple[int, ...], rare: tuple[int, ...]) -> int:
        pool = rare if rng.random() < odd else usual
        return int(pool[int(rng.integers(len(pool)))])

    chain = Chain((int(rng.integers(1, 5)), int(rng.integers(6, 20)), int(rng.integers(6, 20))))
    if rng.random() < 0.8:
        chain.conv(int(rng.integers(1, 24)), draw((3, 5, 7), (9, 11)), stride=draw((1, 2), (3, 4)))
    for _ in range(int(rng.integers(1, 6))):
        before, (channels, height, width) = chain.last, chain.shapes[chain.last]
        small = min(height, width) < 3
        kernel = 1 if small else draw((1, 3), (5, 7))
        dilation = 1 if kernel == 1 else draw((1,), (1, 2, 3))
        reach = dilation * (kernel - 1)
        pad = min(reach // 2 + draw((0,), (0, 0, 1, 2)), 6)
        groups = channels if rng.integers(3) == 0 else 1
        out = channels * draw((1,), (1, 2)) if groups > 1 else int(rng.integers(1, 24))
        if height + 2 * pad <= reach or width + 2 * pad <= reach:
            kernel, dilation, pad = 1, 1, 0
        stride = draw((1, 2), (2, 5))
        chain.conv(out, kernel, stride=stride, padding=(pad,) * 4, dilation=dilation, groups=groups)
        if rng.random() < 0.4 and chain.shapes[before] != chain.shapes[chain.last]:
            first = chain.conv(6, 1)
            chain.conv(6, 1)
            skip = chain.last if rng.random() < odd else first
            chain.add(skip, chain.last)
        if rng.random() < odd / 2:
            chain.add(chain.last, chain.last)
    if rng.integers(2):
        chain.pool()
    if rng.random() < odd / 2:
        chain.pool()
    if rng.integers(2):
        chain.conv(int(rng.integers(1, 12)), 1)
    return chain.graph()
