"""Networks of convolutions with slices, shuffles and concatenations between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    Add,
    Concat,
    Conv,
    Grid,
    MaxPool,
    Node,
    Pool,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Shuffle,
    Slice,
    Tensor,
)
from shiftforge.quant.graph.verify import verify

__all__ = ["Joined", "dense_block", "fires", "heads", "shuffle_units", "u_net"]

# One grid for all, as calibration gives what is joined.
GRID = Grid(8, False, -8)


@dataclass
class Joined:
    """Adds nodes by name of what they read; each method returns the name of what it makes."""

    height: int = 9
    width: int = 10
    channels: int = 3
    seed: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors["input"] = Tensor("input", self.channels, self.height, self.width, GRID)
        self.rng = np.random.default_rng(self.seed)

    def conv(self, x: str, out: int, kernel: int = 1, groups: int = 1, stride: int = 1) -> str:
        own = self.tensors[x]
        weight = self.rng.choice((-4, -2, -1, 1, 2, 4), (out, own.channels // groups, kernel,
                                                         kernel)).astype(np.int8)  # fmt: skip
        # Results spread over the grid.
        right = int(np.ceil(np.log2(np.sqrt(weight[0].size)))) + 1
        bias = self.rng.integers(0, 256 << right, out).astype(np.int32)
        bits = accumulator_bits(weight, bias, GRID, np.full(out, right))
        pad = kernel // 2
        sides = [(side + 2 * pad - kernel) // stride + 1 for side in own.shape[1:]]
        return self.node(
            Conv, (out, *sides), GRID, input=x, weight=weight,
            z=np.full(out, -right, np.int8), bias=bias, format=ShiftFormat(4, 1, "S1"),
            stride=stride, padding=(pad,) * 4, dilation=1, groups=groups, lo=0, hi=255,
            acc_bits=bits,
        )  # fmt: skip

    def node(self, make: Any, shape: Sequence[int], grid: Grid, **own: Any) -> str:
        name, output = f"n{len(self.nodes)}", f"t{len(self.nodes)}"
        self.nodes.append(make(name=name, source=f"net.{name}", output=output, **own))
        self.tensors[output] = Tensor(output, *shape, grid)
        return output

    def concat(self, *names: str) -> str:
        parts = [self.tensors[name] for name in names]
        shape = sum(x.channels for x in parts), *parts[0].shape[1:]
        return self.node(Concat, shape, parts[0].grid, inputs=names)

    def slice(self, x: str, start: int, stop: int) -> str:
        own = self.tensors[x]
        shape = stop - start, *own.shape[1:]
        return self.node(Slice, shape, own.grid, input=x, start=start, stop=stop)

    def shuffle(self, x: str, groups: int) -> str:
        own = self.tensors[x]
        order = np.arange(own.channels).reshape(groups, -1).T.ravel()
        return self.node(Shuffle, own.shape, own.grid, input=x, order=tuple(map(int, order)))

    def halved(self, x: str) -> str:
        own = self.tensors[x]
        shape = own.channels, own.height // 2, own.width // 2
        window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}
        return self.node(MaxPool, shape, own.grid, input=x, **window)

    def add(self, a: str, b: str) -> str:
        own = self.tensors[a]
        grid = Grid(8, own.grid.signed, own.grid.exponent + 1)
        return self.node(Add, own.shape, grid, a=a, b=b, lo=grid.qmin, hi=grid.qmax)

    def pool(self, x: str) -> str:
        own = self.tensors[x]
        m, s = pool_constant(own.height * own.width, own.grid, own.grid)
        bounds = {"lo": own.grid.qmin, "hi": own.grid.qmax}
        shape = own.channels, 1, 1
        return self.node(Pool, shape, own.grid, input=x, multiplier=m, shift=s, **bounds)

    def wide(self, x: str, out: int) -> str:
        """A convolution whose results have 32 bits."""
        name = self.conv(x, out)
        node = self.nodes[-1]
        assert isinstance(node, Conv)
        grid = Grid(32, True, GRID.exponent + int(node.z[0]))
        self.nodes[-1] = replace(node, lo=grid.qmin, hi=grid.qmax)
        self.tensors[name] = replace(self.tensors[name], grid=grid)
        return name

    def model(self, output: str, *more: str) -> QuantizedModel:
        ones = (1.0,) * self.channels
        preprocess = Preprocess(self.channels, self.height, self.width, ones, ones)
        found = QuantizedModel(
            "joined", preprocess, "input", output, self.tensors, tuple(self.nodes),
            more_outputs=more,
        )  # fmt: skip
        verify(found)
        return found


def fires(channels: int = 16) -> QuantizedModel:
    """Two fire modules of SqueezeNet, a pool between them: a squeeze, and two convolutions whose
    results are joined."""
    own = Joined()
    x = own.conv("input", 16, 3)
    for n in (1, 2):
        x = own.conv(x, 8)
        x = own.concat(own.conv(x, n * channels), own.conv(x, n * channels, 3))
        x = own.halved(x) if n == 1 else x
    return own.model(own.conv(x, 5))


def u_net(channels: int = 16) -> QuantizedModel:
    """Maps that are joined with much later ones, one inside the other."""
    own = Joined()
    outer = own.conv("input", channels, 3)
    inner = own.conv(outer, channels, 3)
    x = own.conv(own.conv(inner, 8, 3), channels, 3)
    x = own.conv(own.concat(x, inner), channels, 3)
    return own.model(own.conv(own.concat(x, outer), 4))


def dense_block(growth: int = 16) -> QuantizedModel:
    """Every convolution reads all maps before it."""
    own = Joined()
    x = own.conv("input", 16, 3)
    for _ in range(3):
        x = own.concat(x, own.conv(own.conv(x, 8), growth, 3))
    return own.model(own.conv(x, 5))


def shuffle_units(channels: int = 32, count: int = 2) -> QuantizedModel:
    """Units of ShuffleNet V2: one half goes past the convolutions of the other."""
    own = Joined()
    x = own.conv("input", channels, 3)
    half = channels // 2
    for _ in range(count):
        kept, taken = own.slice(x, 0, half), own.slice(x, half, channels)
        taken = own.conv(own.conv(own.conv(taken, half), half, 3, half), half)
        x = own.shuffle(own.concat(kept, taken), 2)
    return own.model(own.conv(own.pool(own.conv(x, 8)), 4))


def heads() -> QuantizedModel:
    """Two heads of 32 bits on one map."""
    own = Joined()
    x = own.conv(own.conv("input", 20, 3), 24, 3)
    return own.model(own.wide(x, 7), own.wide(x, 40))
