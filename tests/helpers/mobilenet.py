"""MobileNetV2's structure with random integer weights: what the planner sees of the network."""

from __future__ import annotations

from math import log2

import numpy as np

from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    IntFormat,
    Node,
    Pool,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
    WeightFormat,
)

__all__ = ["mobilenet_v2"]

# Expansion, output channels, blocks, stride of the first block: table 2 of the MobileNetV2 paper.
BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
UNSIGNED, SIGNED = Grid(8, False, -5), Grid(8, True, -4)


class _Network:
    def __init__(self, side: int, fmt: WeightFormat) -> None:
        self.rng = np.random.default_rng(0)
        self.format = fmt
        self.last = Tensor("image", 3, side, side, SIGNED)
        self.tensors = {"image": self.last}
        self.nodes: list[Node] = []

    def conv(self, name: str, out: int, kernel: int, stride: int, groups: int, grid: Grid) -> None:
        x = self.last
        half = (kernel - 1) // 2
        before = half if stride == 1 else 0
        padding = (before, before, half, half)
        weight = self.rng.integers(
            -1, 2, (out, x.channels // groups, kernel, kernel), dtype=np.int8
        )
        # About unit gain: two thirds of the weights are not zero.
        z = -round(log2(max(weight[0].size * 2 / 3, 4)) / 2)
        rows = (x.height + before + half - kernel) // stride + 1
        self._store(
            Tensor(name, out, rows, rows, grid),
            Conv(
                name, f"net.{name}", x.name, name, weight, np.full(out, z, np.int8),
                np.zeros(out, np.int32), self.format, stride, padding, 1, groups, grid.qmin,
                grid.qmax, np.full(out, 24, np.uint8),
            ),
        )  # fmt: skip

    def add(self, name: str, skip: Tensor) -> None:
        node = Add(name, f"net.{name}", skip.name, self.last.name, name, SIGNED.qmin, SIGNED.qmax)
        self._store(Tensor(name, *skip.shape, SIGNED), node)

    def pool(self, name: str) -> None:
        x = self.last
        m, s = pool_constant(x.height * x.width, x.grid, UNSIGNED)
        node = Pool(name, f"net.{name}", x.name, name, m, s, 0, 255)
        self._store(Tensor(name, x.channels, 1, 1, UNSIGNED), node)

    def _store(self, tensor: Tensor, node: Node) -> None:
        self.tensors[tensor.name] = self.last = tensor
        self.nodes.append(node)


def mobilenet_v2(
    side: int = 224, *, terms: int = 2, integers: bool = False, classes: int = 1000
) -> QuantizedModel:
    """MobileNetV2 1.0 for side x side images: 53 convolutions with their pools and additions."""
    fmt: WeightFormat = IntFormat(8) if integers else ShiftFormat(4, terms, "S2")
    net = _Network(side, fmt)
    net.conv("stem", 32, 3, 2, 1, UNSIGNED)
    for stage, (expansion, out, blocks, first_stride) in enumerate(BLOCKS):
        for block in range(blocks):
            name, skip = f"s{stage}b{block}", net.last
            stride = first_stride if block == 0 else 1
            if expansion != 1:
                net.conv(f"{name}.expand", skip.channels * expansion, 1, 1, 1, UNSIGNED)
            wide = net.last.channels
            net.conv(f"{name}.depthwise", wide, 3, stride, wide, UNSIGNED)
            net.conv(f"{name}.project", out, 1, 1, 1, SIGNED)
            if stride == 1 and skip.channels == out:
                net.add(f"{name}.add", skip)
    net.conv("head", 1280, 1, 1, 1, UNSIGNED)
    net.pool("pool")
    net.conv("classifier", classes, 1, 1, 1, Grid(32, True, -13))
    ones = (1.0,) * 3
    return QuantizedModel(
        "mobilenet_v2", Preprocess(3, side, side, ones, ones), "image", "classifier", net.tensors,
        tuple(net.nodes),
    )  # fmt: skip
