"""Puts a random model together, node by node; output grids follow from the weights drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
    Tensor,
    WeightFormat,
)

__all__ = ["Builder", "Layer", "Padding", "Requant"]

Padding = tuple[int, int, int, int]
Requant = Literal["shift", "multiplier"]
_MAX_SPREAD = 4


@dataclass(frozen=True)
class Layer:
    """A convolution to add. source, output: names of tensors. padding: (top, left, bottom, right).
    signed, bits: of the output's grid. spread_levels: every level of the weights is equally likely,
    as single layers want it; otherwise they are Gaussian at unit gain, as networks want it."""

    name: str
    source: str
    output: str
    channels: int
    kernel: int = 1
    stride: int = 1
    padding: Padding = (0, 0, 0, 0)
    groups: int = 1
    dilation: int = 1
    signed: bool = False
    bits: int = 8
    spread_levels: bool = False


@dataclass(frozen=True, eq=False)
class _Codes:
    """weight: int8 (O, I / groups, k, k). z: int8 (O,). bias: int32 (O,)."""

    weight: NDArray[np.int8]
    z: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass
class Builder:
    """Collects tensors and nodes; each conv's output exponent follows from its weights' norms."""

    rng: np.random.Generator
    input: Tensor
    fmt: WeightFormat
    requant: Requant
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    floats: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tensors[self.input.name] = self.input

    def _weights(
        self, shape: tuple[int, int, int, int], spread_levels: bool
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """(w_int, z)."""
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

    def conv(self, layer: Layer) -> None:
        x = self.tensors[layer.source]
        shape = (layer.channels, x.channels // layer.groups, layer.kernel, layer.kernel)
        w_int, z = self._weights(shape, layer.spread_levels)
        bias, sigma = self._bias_and_sigma(w_int, x)
        # Three standard deviations of the typical channel reach the end of the grid.
        top = (1 << (layer.bits - 1)) - 1 if layer.signed else (1 << layer.bits) - 1
        typical = float(np.median(np.ldexp(np.maximum(sigma, 1.0), z)))
        exponent = x.grid.exponent + int(np.ceil(np.log2(3.0 * typical / top)))
        grid = Grid(layer.bits, layer.signed, exponent)
        lo, hi = grid.qmin, grid.qmax
        six = 6 << min(max(-exponent, 0), 16)
        if not layer.signed and not layer.spread_levels and six > hi // 2:
            hi = min(hi, six)  # ReLU6, where its bound lies in the upper half of the grid
        elif layer.spread_levels and self.rng.integers(2):
            lo, hi = lo + (hi - lo) // 8, hi - (hi - lo) // 8
        self._append(layer, _Codes(w_int, z, bias), grid, (lo, hi), self.requant)

    def classifier(self, name: str, source: str, output: str, classes: int) -> None:
        x = self.tensors[source]
        w_int, z = self._weights((classes, x.channels, 1, 1), False)
        bias, _ = self._bias_and_sigma(w_int, x)
        grid = Grid(32, True, x.grid.exponent + int(z.min()))
        layer = Layer(name, source, output, classes)
        self._append(layer, _Codes(w_int, z, bias), grid, (grid.qmin, grid.qmax), "shift")

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
        self, layer: Layer, codes: _Codes, grid: Grid, bounds: tuple[int, int], requant: Requant
    ) -> None:
        name, x = layer.name, self.tensors[layer.source]
        scale = codes.z.astype(np.int64)
        r = grid.exponent - x.grid.exponent - scale
        multiplier = shift = None
        if requant == "multiplier":
            multiplier = self.rng.integers(1 << 30, 1 << 31, size=r.shape, dtype=np.int64)
            shift = np.clip(r + 31, 0, 62)
        offset = r if requant == "shift" else None
        top, left, bottom, right = layer.padding
        reach = layer.dilation * (layer.kernel - 1) + 1
        self.tensors[layer.output] = Tensor(
            layer.output,
            layer.channels,
            (x.height + top + bottom - reach) // layer.stride + 1,
            (x.width + left + right - reach) // layer.stride + 1,
            grid,
        )
        self.nodes.append(
            Conv(
                name=name,
                source=f"example.{name}",
                input=x.name,
                output=layer.output,
                weight=codes.weight,
                z=codes.z,
                bias=codes.bias,
                format=self.fmt,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=layer.groups,
                lo=bounds[0],
                hi=bounds[1],
                acc_bits=accumulator_bits(codes.weight, codes.bias, x.grid, offset),
                multiplier=multiplier,
                shift=shift,
            )
        )
        real = np.ldexp(codes.weight.astype(np.float64), scale.reshape(-1, 1, 1, 1))
        self.floats[f"{name}.weight"] = real.astype(np.float32)
        self.floats[f"{name}.bias"] = np.ldexp(
            codes.bias.astype(np.float64), scale + x.grid.exponent
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
            meta={"example": True},
        )
