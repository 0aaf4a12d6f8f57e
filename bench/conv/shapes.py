"""MobileNetV2's shapes as an integer graph without trained weights: for plans, not for results.

Memory, cycles and area depend on shapes and weight formats alone, so that the sweeps need neither
PyTorch nor a quantised model. ``array_sweep.py --check`` holds the plan of this graph against that
of the captured and quantised network.
"""

from __future__ import annotations

import numpy as np

from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    Node,
    Pool,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)

__all__ = ["mobilenet_v2"]

# Expansion, output channels, blocks, stride of the first: table 2 of "MobileNetV2: Inverted
# Residuals and Linear Bottlenecks" (arXiv:1801.04381).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
CODES = Grid(8, False, -4)
CLASSES = 1000


class _Builder:
    """Adds nodes one after the other; sums of small codes, so that every width is sound."""

    def __init__(self, side: int, terms: int) -> None:
        self.format = ShiftFormat(4, terms, "S1" if terms == 1 else "S2")
        self.tensors = {"image": Tensor("image", 3, side, side, CODES)}
        self.nodes: list[Node] = []

    def conv(
        self,
        name: str,
        source: str,
        out: int,
        kernel: int,
        stride: int = 1,
        depthwise: bool = False,
    ) -> str:
        """A convolution with TensorFlow's padding; returns its output's name."""
        x = self.tensors[source]
        side = -(-x.height // stride)
        total = max((side - 1) * stride + kernel - x.height, 0)
        before, after = total // 2, total - total // 2
        groups = x.channels if depthwise else 1
        self.tensors[name] = Tensor(name, out, side, side, CODES)
        self.nodes.append(
            Conv(
                name=name,
                source=name,
                input=source,
                output=name,
                weight=np.zeros((out, x.channels // groups, kernel, kernel), np.int8),
                z=np.zeros(out, np.int8),
                bias=np.zeros(out, np.int32),
                format=self.format,
                stride=stride,
                padding=(before, before, after, after),
                dilation=1,
                groups=groups,
                lo=CODES.qmin,
                hi=CODES.qmax,
                acc_bits=np.full(out, 32, np.uint8),
            )
        )
        return name

    def add(self, name: str, a: str, b: str) -> str:
        """A residual addition."""
        x = self.tensors[a]
        self.tensors[name] = Tensor(name, x.channels, x.height, x.width, CODES)
        self.nodes.append(Add(name, name, a, b, name, CODES.qmin, CODES.qmax))
        return name

    def pool(self, name: str, source: str) -> str:
        """Global average pooling."""
        x = self.tensors[source]
        self.tensors[name] = Tensor(name, x.channels, 1, 1, CODES)
        factor = round((1 << 20) / (x.height * x.width))
        self.nodes.append(Pool(name, name, source, name, factor, 20, CODES.qmin, CODES.qmax))
        return name


def _channels(wanted: float) -> int:
    """Rounded to a multiple of 8, at most 10 % down (as in the published networks)."""
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def mobilenet_v2(width: float = 1.0, side: int = 224, terms: int = 2) -> QuantizedModel:
    """MobileNetV2 for 1000 classes, all weights zero, SHIFT<4> with one or two terms.

    width: factor of all channel counts (the head's only above 1). side: of the square image.
    """
    b = _Builder(side, terms)
    last = b.conv("stem", "image", _channels(32 * width), 3, 2)
    for stage, (expansion, channels, blocks, first_stride) in enumerate(STAGES):
        out = _channels(channels * width)
        for block in range(blocks):
            name, skip = f"s{stage}b{block}", last
            stride = first_stride if block == 0 else 1
            inner = b.tensors[skip].channels * expansion
            if expansion != 1:
                last = b.conv(f"{name}.expand", last, inner, 1)
            last = b.conv(f"{name}.depthwise", last, inner, 3, stride, depthwise=True)
            last = b.conv(f"{name}.project", last, out, 1)
            if stride == 1 and b.tensors[skip].channels == out:
                last = b.add(f"{name}.add", skip, last)
    last = b.conv("head", last, _channels(1280 * max(width, 1.0)), 1)
    last = b.conv("classifier", b.pool("pool", last), CLASSES, 1)
    # Logits leave as 32-bit accumulators, like those of a quantised network.
    b.tensors[last] = Tensor(last, CLASSES, 1, 1, Grid(32, True, CODES.exponent))
    half = (0.5, 0.5, 0.5)
    return QuantizedModel(
        name=f"mobilenet_v2_{width:g}_{side}",
        preprocess=Preprocess(3, side, side, half, half),
        input="image",
        output=last,
        tensors=b.tensors,
        nodes=tuple(b.nodes),
    )
