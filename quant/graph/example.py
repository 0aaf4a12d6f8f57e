"""Random valid models: single convolutions for comparing back ends, and a small MobileNet.

Everything follows from the seed and the options, so a failing case is named by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shiftforge.errors import Problem, Problems
from shiftforge.quant.graph.example_builder import Builder, Layer, Padding, Requant
from shiftforge.quant.graph.types import Grid, QuantizedModel, ShiftFormat, Tensor, WeightFormat

__all__ = ["ConvOptions", "ModelOptions", "random_conv", "random_model"]


@dataclass(frozen=True)
class ModelOptions:
    """Sizes that are None are drawn from the seed.

    out_channels: of a MobileNet its classes. weight_format: two-term SHIFT<4> by default.
    input_bits: 2 to 8.
    """

    height: int | None = None
    width: int | None = None
    in_channels: int | None = None
    out_channels: int | None = None
    weight_format: WeightFormat = field(default_factory=ShiftFormat)
    requant: Requant = "shift"
    signed_input: bool = False
    input_bits: int = 8

    def input_grid(self) -> Grid:
        """0..1 where it is unsigned, otherwise -1..1."""
        bits = self.input_bits
        return Grid(bits, self.signed_input, -(bits - 1) if self.signed_input else -bits)


@dataclass(frozen=True)
class ConvOptions(ModelOptions):
    """groups: "depthwise" means one a channel. padding: (top, left, bottom, right); None draws one
    of none, symmetric and the stride-2 form of TensorFlow. output_bits: 2 to 8."""

    kernel: int = 3
    stride: int = 1
    groups: int | Literal["depthwise"] = 1
    padding: Padding | None = None
    dilation: int = 1
    output_bits: int = 8


def random_model(seed: int, options: ModelOptions | None = None) -> QuantizedModel:
    """A small MobileNet: stem, depthwise, linear pointwise, an inverted residual block with Add, a
    block of stride 2, a ReLU6 pointwise, pool and classifier (always pure shift, 32-bit output).

    Drawn are maps of 9 to 20 rows and columns; there are 3 channels and 10 classes by default.
    """
    given = options or ModelOptions()
    rng = np.random.default_rng(seed)
    sizes = (given.height or int(rng.integers(9, 21)), given.width or int(rng.integers(9, 21)))
    image = Tensor("input", given.in_channels or 3, *sizes, given.input_grid())
    b = Builder(rng, image, given.weight_format, given.requant)
    return _mobilenet(b, seed, given.out_channels or 10)


def random_conv(seed: int, options: ConvOptions | None = None) -> QuantizedModel:
    """One convolution as a whole model, named "conv", from tensor "input" to "output".

    Drawn are 1 to 9 channels a group and maps of 1 to 12 rows and columns. The output's exponent is
    chosen so that outputs use most of their grid. Raises InputError where channels and groups, or
    the sizes, cannot be.
    """
    given = options or ConvOptions()
    rng = np.random.default_rng(seed)
    if given.groups == "depthwise":
        i = given.in_channels or given.out_channels or int(rng.integers(1, 10))
        o = given.out_channels or i
        g = i
    else:
        g = given.groups
        i = given.in_channels or g * int(rng.integers(1, 10))
        o = given.out_channels or g * int(rng.integers(1, 10))
    h, w = given.height or int(rng.integers(1, 13)), given.width or int(rng.integers(1, 13))
    kernel = given.kernel
    reach = given.dilation * (kernel - 1) + 1
    pad = given.padding or _draw_padding(rng, reach, h, w)
    problems = Problems()
    if i % g or o % g:
        problems.append(Problem(f"{i} input and {o} output channels do not divide by {g} groups"))
    if h + pad[0] + pad[2] < reach or w + pad[1] + pad[3] < reach:
        problems.append(Problem(f"a {kernel}x{kernel} kernel does not fit a {h}x{w} map", "pad it"))
    problems.stop()
    image = Tensor("input", i, h, w, given.input_grid())
    b = Builder(rng, image, given.weight_format, given.requant)
    signed = bool(rng.integers(2))
    layer = Layer(
        "conv", "input", "output", o, kernel, given.stride, pad, g, given.dilation, signed,
        given.output_bits, spread_levels=True,
    )  # fmt: skip
    b.conv(layer)
    return b.model(f"conv{seed}", "output")


def _draw_padding(rng: np.random.Generator, reach: int, h: int, w: int) -> Padding:
    half = reach // 2
    choices: list[Padding] = [(half, half, half, half)]
    if reach > 1:
        choices.append((0, 0, reach - 1, reach - 1))
        choices.append((half, 0, reach - 1 - half, reach - 1))
    if h >= reach and w >= reach:
        choices.append((0, 0, 0, 0))
    return choices[int(rng.integers(len(choices)))]


def _mobilenet(b: Builder, seed: int, classes: int) -> QuantizedModel:
    tf_padding: Padding = (0, 0, 1, 1)
    same: Padding = (1, 1, 1, 1)
    b.conv(Layer("stem", "input", "t.stem", 8, 3, stride=2, padding=tf_padding))
    b.conv(Layer("first.depthwise", "t.stem", "t.dw0", 8, 3, padding=same, groups=8))
    b.conv(Layer("first.project", "t.dw0", "t.pw0", 6, 1, signed=True))
    b.conv(Layer("block1.expand", "t.pw0", "t.ex1", 20, 1))
    b.conv(Layer("block1.depthwise", "t.ex1", "t.dw1", 20, 3, padding=same, groups=20))
    b.conv(Layer("block1.project", "t.dw1", "t.pw1", 6, 1, signed=True))
    b.add("block1.add", "t.pw0", "t.pw1", "t.add1")
    b.conv(Layer("block2.expand", "t.add1", "t.ex2", 22, 1))
    b.conv(
        Layer("block2.depthwise", "t.ex2", "t.dw2", 22, 3, stride=2, padding=tf_padding, groups=22)
    )
    b.conv(Layer("block2.project", "t.dw2", "t.pw2", 10, 1, signed=True))
    b.conv(Layer("head", "t.pw2", "t.head", 33, 1))
    b.pool("pool", "t.head", "t.pool")
    b.classifier("classifier", "t.pool", "logits", classes)
    return b.model(f"mobilenet{seed}", "logits", tuple(f"class{k}" for k in range(classes)))
