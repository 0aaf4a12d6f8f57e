"""Random valid models: single convolutions for comparing back ends, and a small MobileNet.

Everything follows from the seed and the arguments, so a failing case is named by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.formats.encode import choose_exponent, encode, format_levels
from shiftforge.quant.formats.reciprocal import pool_constant
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
    WeightFormat,
)

__all__ = ["random_model"]

Padding = tuple[int, int, int, int]
_MAX_SPREAD = 4


def random_model(
    seed: int,
    *,
    kind: Literal["mobilenet", "conv"] = "mobilenet",
    kernel: int = 3,
    stride: int = 1,
    groups: int | Literal["depthwise"] = 1,
    in_channels: int | None = None,
    out_channels: int | None = None,
    height: int | None = None,
    width: int | None = None,
    padding: Padding | None = None,
    dilation: int = 1,
    weight_format: WeightFormat | None = None,
    signed_input: bool = False,
    requant: Literal["shift", "multiplier"] = "shift",
    input_bits: int = 8,
    output_bits: int = 8,
) -> QuantizedModel:
    """A random valid model.

    kind "conv": one convolution as a whole model, named "conv", from tensor "input" to "output".
    kind "mobilenet": stem, depthwise, linear pointwise, an inverted residual block with Add, a
    block of stride 2, a ReLU6 pointwise, pool and classifier (always pure shift, 32-bit output);
    kernel, stride, groups, padding, dilation and output_bits do not apply.
    groups "depthwise" means one group a channel. What is None is drawn from the seed: 1 to 9
    channels a group and maps of 1 to 12 rows and columns for "conv"; 3 channels, 10 classes and
    maps of 9 to 20 for "mobilenet". padding is (top, left, bottom, right), drawn among none,
    symmetric and the stride-2 form of TensorFlow where it is None.
    weight_format: two-term SHIFT<4> where it is None. input_bits, output_bits: 2 to 8.
    Output exponents are chosen so that outputs use most of their grid.
    Raises InputError where channels and groups, or the sizes, cannot be.
    """
    rng = np.random.default_rng(seed)
    fmt: WeightFormat = ShiftFormat() if weight_format is None else weight_format
    grid = Grid(input_bits, signed_input, -(input_bits - 1) if signed_input else -input_bits)
    if kind == "mobilenet":
        sizes = (height or int(rng.integers(9, 21)), width or int(rng.integers(9, 21)))
        b = _Builder(rng, Tensor("input", in_channels or 3, *sizes, grid), fmt, requant)
        return _mobilenet(b, seed, out_channels or 10)

    if groups == "depthwise":
        i = in_channels or out_channels or int(rng.integers(1, 10))
        o = out_channels or i
        g = i
    else:
        g = groups
        i = in_channels or g * int(rng.integers(1, 10))
        o = out_channels or g * int(rng.integers(1, 10))
    h, w = height or int(rng.integers(1, 13)), width or int(rng.integers(1, 13))
    reach = dilation * (kernel - 1) + 1
    pad = padding or _draw_padding(rng, reach, h, w)
    problems = []
    if i % g or o % g:
        problems.append(Problem(f"{i} input and {o} output channels do not divide by {g} groups"))
    if h + pad[0] + pad[2] < reach or w + pad[1] + pad[3] < reach:
        problems.append(Problem(f"a {kernel}x{kernel} kernel does not fit a {h}x{w} map", "pad it"))
    if problems:
        raise InputError(problems)
    b = _Builder(rng, Tensor("input", i, h, w, grid), fmt, requant)
    signed = bool(rng.integers(2))
    b.conv(
        "conv",
        "input",
        "output",
        o,
        kernel,
        stride=stride,
        padding=pad,
        groups=g,
        dilation=dilation,
        signed=signed,
        bits=output_bits,
        spread_levels=True,
    )
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


def _mobilenet(b: _Builder, seed: int, classes: int) -> QuantizedModel:
    tf_padding: Padding = (0, 0, 1, 1)
    same: Padding = (1, 1, 1, 1)
    b.conv("stem", "input", "t.stem", 8, 3, stride=2, padding=tf_padding)
    b.conv("first.depthwise", "t.stem", "t.dw0", 8, 3, padding=same, groups=8)
    b.conv("first.project", "t.dw0", "t.pw0", 6, 1, signed=True)
    b.conv("block1.expand", "t.pw0", "t.ex1", 20, 1)
    b.conv("block1.depthwise", "t.ex1", "t.dw1", 20, 3, padding=same, groups=20)
    b.conv("block1.project", "t.dw1", "t.pw1", 6, 1, signed=True)
    b.add("block1.add", "t.pw0", "t.pw1", "t.add1")
    b.conv("block2.expand", "t.add1", "t.ex2", 22, 1)
    b.conv("block2.depthwise", "t.ex2", "t.dw2", 22, 3, stride=2, padding=tf_padding, groups=22)
    b.conv("block2.project", "t.dw2", "t.pw2", 10, 1, signed=True)
    b.conv("head", "t.pw2", "t.head", 33, 1)
    b.pool("pool", "t.head", "t.pool")
    b.classifier("classifier", "t.pool", "logits", classes)
    return b.model(f"mobilenet{seed}", "logits", tuple(f"class{k}" for k in range(classes)))


@dataclass
class _Builder:
    """Collects tensors and nodes; each conv's output exponent follows from its weights' norms."""

    rng: np.random.Generator
    input: Tensor
    fmt: WeightFormat
    requant: Literal["shift", "multiplier"]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    floats: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tensors[self.input.name] = self.input

    def _weights(
        self, shape: tuple[int, int, int, int], spread_levels: bool
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """(w_int, z): every level alike for single layers, Gaussian at unit gain for networks."""
        if spread_levels:
            levels = format_levels(self.fmt)
            w_int = self.rng.choice(levels, size=shape).astype(np.int8)
            return w_int, self.rng.integers(-9, -6, size=shape[0]).astype(np.int8)
        taps = shape[1] * shape[2] * shape[3]
        gain = self.rng.uniform(0.7, 1.4, size=(shape[0], 1, 1, 1))
        real = self.rng.normal(0.0, 1.0, size=shape) * gain * (2.0 / taps) ** 0.5
        z = choose_exponent(real, format_levels(self.fmt))
        z = np.minimum(z, int(z.min()) + _MAX_SPREAD).astype(np.int8)
        return encode(real, z, self.fmt), z

    def conv(
        self,
        name: str,
        source: str,
        output: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Padding = (0, 0, 0, 0),
        groups: int = 1,
        dilation: int = 1,
        signed: bool = False,
        bits: int = 8,
        spread_levels: bool = False,
    ) -> None:
        x = self.tensors[source]
        w_int, z = self._weights((channels, x.channels // groups, kernel, kernel), spread_levels)
        bias, sigma = self._bias_and_sigma(w_int, x)
        # Three standard deviations of the typical channel reach the end of the grid.
        top = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
        typical = float(np.median(np.ldexp(np.maximum(sigma, 1.0), z)))
        exponent = x.grid.exponent + int(np.ceil(np.log2(3.0 * typical / top)))
        grid = Grid(bits, signed, exponent)
        lo, hi = grid.qmin, grid.qmax
        six = 6 << min(max(-exponent, 0), 16)
        if not signed and not spread_levels and six > hi // 2:
            hi = min(hi, six)  # ReLU6, where its bound lies in the upper half of the grid
        elif spread_levels and self.rng.integers(2):
            lo, hi = lo + (hi - lo) // 8, hi - (hi - lo) // 8
        r = exponent - x.grid.exponent - z.astype(np.int64)
        self._append(
            name,
            x,
            output,
            w_int,
            z,
            bias,
            grid,
            lo,
            hi,
            r,
            self.requant,
            (stride, padding, groups, dilation),
        )

    def classifier(self, name: str, source: str, output: str, classes: int) -> None:
        x = self.tensors[source]
        w_int, z = self._weights((classes, x.channels, 1, 1), False)
        bias, _ = self._bias_and_sigma(w_int, x)
        grid = Grid(32, True, x.grid.exponent + int(z.min()))
        r = grid.exponent - x.grid.exponent - z.astype(np.int64)
        self._append(
            name,
            x,
            output,
            w_int,
            z,
            bias,
            grid,
            grid.qmin,
            grid.qmax,
            r,
            "shift",
            (1, (0, 0, 0, 0), 1, 1),
        )

    def _bias_and_sigma(
        self, w_int: NDArray[np.int8], x: Tensor
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """A bias that mostly cancels the inputs' mean, and the accumulators' deviation about it."""
        rows = w_int.astype(np.int64).reshape(w_int.shape[0], -1)
        # The network's input is spread over its grid; a layer's output crowds about zero.
        reach = x.grid.qmax - x.grid.qmin
        uniform = x is self.input
        centre = 0.0 if x.grid.signed else reach * (0.5 if uniform else 0.2)
        spread = reach / 12**0.5 if uniform else reach * 0.16
        mean = centre * rows.sum(axis=1)
        sigma = spread * np.sqrt(np.square(rows).sum(axis=1))
        bias = np.rint(self.rng.normal(0.3, 0.5, size=rows.shape[0]) * sigma - mean)
        return bias.astype(np.int32), sigma

    def _append(
        self,
        name: str,
        x: Tensor,
        output: str,
        w_int: NDArray[np.int8],
        z: NDArray[np.int8],
        bias: NDArray[np.int32],
        grid: Grid,
        lo: int,
        hi: int,
        r: NDArray[np.int64],
        requant: Literal["shift", "multiplier"],
        geometry: tuple[int, Padding, int, int],
    ) -> None:
        stride, padding, groups, dilation = geometry
        multiplier = shift = None
        if requant == "multiplier":
            multiplier = self.rng.integers(1 << 30, 1 << 31, size=r.shape, dtype=np.int64)
            shift = np.clip(r + 31, 0, 62)
        offset = r if requant == "shift" else None
        top, left, bottom, right = padding
        reach = dilation * (w_int.shape[2] - 1) + 1
        self.tensors[output] = Tensor(
            output,
            w_int.shape[0],
            (x.height + top + bottom - reach) // stride + 1,
            (x.width + left + right - reach) // stride + 1,
            grid,
        )
        self.nodes.append(
            Conv(
                name=name,
                source=f"example.{name}",
                input=x.name,
                output=output,
                weight=w_int,
                z=z,
                bias=bias,
                format=self.fmt,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                lo=lo,
                hi=hi,
                acc_bits=accumulator_bits(w_int, bias, x.grid, offset),
                multiplier=multiplier,
                shift=shift,
            )
        )
        scale = z.astype(np.int64)
        real = np.ldexp(w_int.astype(np.float64), scale.reshape(-1, 1, 1, 1))
        self.floats[f"{name}.weight"] = real.astype(np.float32)
        self.floats[f"{name}.bias"] = np.ldexp(
            bias.astype(np.float64), scale + x.grid.exponent
        ).astype(np.float32)

    def add(self, name: str, a: str, b: str, output: str) -> None:
        left, right = self.tensors[a], self.tensors[b]
        grid = Grid(8, True, max(left.grid.exponent, right.grid.exponent))
        self.tensors[output] = Tensor(output, *left.shape, grid)
        self.nodes.append(Add(name, f"example.{name}", a, b, output, grid.qmin, grid.qmax))

    def pool(self, name: str, source: str, output: str) -> None:
        x = self.tensors[source]
        m, s = pool_constant(x.height * x.width, x.grid, x.grid)
        self.tensors[output] = Tensor(output, x.channels, 1, 1, x.grid)
        self.nodes.append(
            Pool(name, f"example.{name}", x.name, output, m, s, x.grid.qmin, x.grid.qmax)
        )

    def model(self, name: str, output: str, labels: tuple[str, ...] = ()) -> QuantizedModel:
        signed = self.input.grid.signed
        count = self.input.channels
        preprocess = Preprocess(
            count,
            self.input.height,
            self.input.width,
            ((0.5 if signed else 0.0),) * count,
            ((0.5 if signed else 1.0),) * count,
        )
        return QuantizedModel(
            name,
            preprocess,
            self.input.name,
            output,
            dict(self.tensors),
            tuple(self.nodes),
            labels,
            dict(self.floats),
            {"example": True},
        )
