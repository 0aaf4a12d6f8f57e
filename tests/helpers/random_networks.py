"""Random valid networks: every layer kind, geometry and number format the accelerator takes.

A network is a chain with residual additions and now and then a pool, so that one build of the
kernels tests many random layers, each against its own reference map. All follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from random_terms import mixed_weights

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.ties import fixed_ties, tied_tensors
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
    Variant,
    WeightFormat,
)
from shiftforge.quant.graph.verify import verify

Family = Literal["two-term", "one-term", "multiplier", "nibble", "mixed"]
Operator = Literal["kernel"]

FORMATS: dict[Family, tuple[WeightFormat, ...]] = {
    "two-term": (
        ShiftFormat(4, 2, "S2"), ShiftFormat(3, 2, "SEL"), ShiftFormat(4, 2, "SEL"),
        ShiftFormat(4, 1, "S1"), ShiftFormat(3, 1, "S1"),
    ),
    "one-term": (ShiftFormat(4, 1, "S1"), ShiftFormat(3, 1, "S1")),
    "multiplier": (IntFormat(8), IntFormat(5), IntFormat(2), ShiftFormat(4, 2, "S2")),
    "nibble": (IntFormat(4), IntFormat(3), IntFormat(2)),
    "mixed": (ShiftFormat(4, 2, "SEL"), ShiftFormat(3, 2, "SEL"), ShiftFormat(4, 2, "S2")),
}  # fmt: skip
PADDINGS = (
    (0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (0, 1, 2, 0), (1, 0, 0, 1), (1, 0, 1, 2),
    (0, 0, 2, 2), (1, 1, 0, 0), (0, 1, 1, 1),
)  # fmt: skip


@dataclass
class Builder:
    """Collects the nodes of a network; ``last`` is the newest tensor."""

    rng: np.random.Generator
    last: Tensor
    family: Family
    multiplier_requant: bool
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    stored: list[Tensor] = field(default_factory=list)
    second: tuple[bool, ...] = (False, True)  # mixed weights: depthwise layers with two terms
    operators: tuple[Operator, ...] = ()  # beside the usual ones

    def __post_init__(self) -> None:
        self.tensors[self.last.name] = self.last

    def draw(self, choices: Sequence[int]) -> int:
        return int(choices[int(self.rng.integers(len(choices)))])

    def padding(self, kernel: int) -> tuple[int, int, int, int]:
        h, w = self.last.height, self.last.width
        fitting = [
            p for p in PADDINGS
            if kernel == 3 and h + p[0] + p[2] >= 3 and w + p[1] + p[3] >= 3
        ]  # fmt: skip
        return fitting[self.draw(range(len(fitting)))] if fitting else (0, 0, 0, 0)

    def weights(
        self, shape: tuple[int, int, int, int], depthwise: bool
    ) -> tuple[NDArray[np.int8], WeightFormat]:
        formats = FORMATS[self.family]
        fmt = formats[self.draw(range(len(formats)))]
        if self.family == "mixed" and isinstance(fmt, ShiftFormat):
            second = depthwise in self.second
            return mixed_weights(self.rng, shape, fmt, depthwise=depthwise, second=second), fmt
        return self.rng.choice(format_levels(fmt), size=shape).astype(np.int8), fmt

    def conv(
        self,
        out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        padding: tuple[int, int, int, int] | None = None,
        wide: bool = False,
    ) -> None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        pad = self.padding(sides[0]) if padding is None else padding
        self.general(out, sides, stride=stride, groups=groups, padding=pad, dilation=dilation,
                     wide=wide)  # fmt: skip

    def general(
        self,
        out: int,
        kernel: tuple[int, int],
        *,
        padding: tuple[int, int, int, int],
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        wide: bool = False,
    ) -> None:
        """A convolution of any geometry."""
        rng, x, name, pad = self.rng, self.last, f"conv{len(self.nodes)}", padding
        w, fmt = self.weights((out, x.channels // groups, *kernel), groups > 1)
        # Exponents would run away along a long chain.
        lowest = -9 if x.grid.exponent > -24 else 2
        z = rng.integers(lowest, lowest + 4, out).astype(np.int8)
        deviation = np.sqrt(np.square(w.reshape(out, -1).astype(np.float64)).sum(1)) + 1
        reach = (x.grid.qmax - x.grid.qmin) / 4
        bias = np.rint(rng.normal(0, 0.7, out) * deviation * reach).astype(np.int32)
        signed = wide or bool(rng.integers(2))
        bits = 32 if wide else self.draw((8, 8, 8, 8, 7, 4, 2))
        # Some layers' outputs overshoot: clamps at both ends, and left shifts.
        spread = 0 if rng.integers(4) else -int(rng.choice((1, 2, 3, 9)))
        size = np.log2(np.median(deviation * np.exp2(z)) * reach / 2 ** (bits - 1) * 4)
        exponent = x.grid.exponent + int(np.ceil(size)) + spread
        if wide:
            exponent = x.grid.exponent + int(z.min()) + self.draw((0, 0, 3))
        grid = Grid(bits, signed, exponent)
        lo, hi = grid.qmin, grid.qmax
        if not rng.integers(3):
            lo, hi = lo + (hi - lo) // 5, hi - (hi - lo) // 7
        r = exponent - x.grid.exponent - z.astype(np.int64)
        multiplier = shift = None
        if self.multiplier_requant and not wide and rng.integers(4):
            multiplier = rng.integers(1, 1 << 31, out, dtype=np.int64)
            shift = np.clip(r + 31 - rng.integers(0, 2, out), 0, 62)
        reach_h, reach_w = x.height + pad[0] + pad[2], x.width + pad[1] + pad[3]
        rows = (reach_h - dilation * (kernel[0] - 1) - 1) // stride + 1
        columns = (reach_w - dilation * (kernel[1] - 1) - 1) // stride + 1
        offset = r if multiplier is None else None
        self._store(Tensor(f"t{len(self.nodes)}", out, rows, columns, grid), Conv(
            name=name, source=f"net.{name}", input=x.name, output=f"t{len(self.nodes)}",
            weight=w, z=z, bias=bias, format=fmt, stride=stride, padding=pad, dilation=dilation,
            groups=groups, lo=lo, hi=hi, acc_bits=accumulator_bits(w, bias, x.grid, offset),
            multiplier=multiplier, shift=shift,
        ))  # fmt: skip

    def add(self, skip: Tensor) -> None:
        rng, x, name = self.rng, self.last, f"add{len(self.nodes)}"
        finer = min(skip.grid.exponent, x.grid.exponent)
        coarser = max(skip.grid.exponent, x.grid.exponent)
        exponent = min(coarser + int(rng.integers(-2, 3)), finer + 15)
        grid = Grid(8, bool(rng.integers(2)), exponent)
        lo, hi = grid.qmin, grid.qmax
        if not rng.integers(3):
            lo, hi = lo + (hi - lo) // 5, hi - (hi - lo) // 7
        order = (skip.name, x.name) if rng.integers(2) else (x.name, skip.name)
        tensor = Tensor(f"t{len(self.nodes)}", *x.shape, grid)
        self._store(tensor, Add(name, f"net.{name}", *order, tensor.name, lo, hi))

    def pool(self) -> None:
        x, name = self.last, f"pool{len(self.nodes)}"
        grid = Grid(8, x.grid.signed, x.grid.exponent)
        m, s = pool_constant(x.height * x.width, x.grid, grid)
        tensor = Tensor(f"t{len(self.nodes)}", x.channels, 1, 1, grid)
        self._store(tensor, Pool(name, f"net.{name}", x.name, tensor.name, m, s, grid.qmin,
                                 grid.qmax))  # fmt: skip

    def _store(self, tensor: Tensor, node: Node) -> None:
        self.tensors[tensor.name] = tensor
        self.nodes.append(node)
        self.last = tensor

    def stem(self) -> None:
        """A convolution on the image: any square kernel up to 7, any stride and padding."""
        h, w = self.last.height, self.last.width
        kernel = self.draw((2, 3, 3, 5, 7))
        pad = [int(v) for v in self.rng.integers(0, kernel, 4)]
        pad[2] = max(pad[2], kernel - h - pad[0])
        pad[3] = max(pad[3], kernel - w - pad[1])
        self.conv(self.draw(range(1, 40)), kernel, stride=self.draw((1, 2, 2, 3)),
                  padding=(pad[0], pad[1], pad[2], pad[3]))  # fmt: skip
        self.stored.append(self.last)

    def any_kernel(self) -> None:
        """A convolution of any kernel, stride, padding, dilation and groups."""
        x, rng = self.last, self.rng
        dilation = self.draw((1, 1, 1, 2, 3, 4))
        kernel = int(rng.integers(1, 8)), int(rng.integers(1, 8))
        if not rng.integers(8):
            kernel = min(x.height, 9), min(x.width, 9)
            dilation = 1
        dilation = dilation if max(kernel) < 4 else 1
        pad = rng.integers(0, 5, 4)
        for axis, side in enumerate((x.height, x.width)):
            short = dilation * (kernel[axis] - 1) + 1 - side
            pad[axis + 2] = max(pad[axis + 2], short - pad[axis])
        groups = self.draw([g for g in range(1, x.channels + 1) if x.channels % g == 0])
        out = groups * int(rng.integers(1, max(2, 40 // groups)))
        self.conv(out, kernel, stride=self.draw((1, 1, 2, 3, 4)), groups=groups,
                  padding=tuple(int(p) for p in pad), dilation=dilation)  # fmt: skip

    def layer(self) -> None:
        """One random pass: a convolution, perhaps an addition, rarely a pool."""
        x, rng = self.last, self.rng
        if self.operators and not rng.integers(3):
            {"kernel": self.any_kernel}[self.operators[self.draw(range(len(self.operators)))]]()
            self.stored.append(self.last)
            return
        kinds = ("pointwise", "pointwise", "depthwise", "depthwise", "standard", "strided",
                 "residual", "residual")  # fmt: skip
        kind = kinds[self.draw(range(len(kinds)))]
        if kind == "residual" and not self.stored:
            kind = "pointwise"
        stride, kernel = self.draw((1, 1, 1, 2)), 3
        # Second words differ by groups of channels.
        more = 40 if self.family == "mixed" else 0
        if kind in ("depthwise", "standard") and not self._fits(kernel):
            kernel = 1
        if kind == "pointwise":
            self.conv(self.draw(range(1, 70 + more)), 1)
        elif kind == "depthwise":
            self.conv(x.channels, self.draw((kernel, kernel, kernel, 1)), stride=stride,
                      groups=x.channels)  # fmt: skip
        elif kind == "standard":
            self.conv(self.draw(range(1, 40 + 2 * more)), kernel, stride=stride)
        elif kind == "strided":
            self.conv(self.draw(range(1, 40)), 1, stride=2)
        else:
            skip = self.stored[-1]
            same = (1, 1, 1, 1)
            if rng.integers(2):
                self.conv(skip.channels, 1)
            else:
                groups = x.channels if x.channels == skip.channels and rng.integers(2) else 1
                self.conv(skip.channels, 3, padding=same, groups=groups)
            apart = abs(self.last.grid.exponent - skip.grid.exponent)
            if self.last.shape == skip.shape and apart <= 12:
                self.add(skip)
        often = 5 if more and kind == "depthwise" else 25
        if max(self.last.height, self.last.width) > 1 and not rng.integers(often):
            self.pool()
        self.stored.append(self.last)

    def _fits(self, kernel: int) -> bool:
        return any(
            self.last.height + p[0] + p[2] >= kernel and self.last.width + p[1] + p[3] >= kernel
            for p in PADDINGS
        )


def random_network(
    seed: int,
    *,
    layers: int = 12,
    family: Family = "two-term",
    multiplier_requant: bool = False,
    sides: tuple[int, int] = (1, 30),
    orders: bool = False,
    operators: tuple[Operator, ...] = (),
) -> QuantizedModel:
    """A verified random chain of ``layers`` passes; about half end in a 32-bit classifier.

    family: the weight formats that are mixed, by the array they need; of "mixed" all weights, or
    those of depthwise layers alone, or of all others, have second terms in patterns of words.
    sides: range of the image's height and width. orders: lay channels out in random orders; nothing
    else changes. operators: what there is beside the usual ones.
    """
    rng = np.random.default_rng(seed)
    signed = bool(rng.integers(2))
    grid = Grid(8, signed, -7 if signed else -8)
    size = (int(rng.integers(*sides)), int(rng.integers(*sides)))
    b = Builder(rng, Tensor("input", int(rng.integers(1, 6)), *size, grid), family,
                multiplier_requant, operators=operators)  # fmt: skip
    if family == "mixed":
        b.second = ((False, True), (False, True), (True,), (False,))[b.draw(range(4))]
    if rng.integers(2):
        b.stem()
    while sum(isinstance(n, Conv) for n in b.nodes) < layers - 1:
        b.layer()
    if rng.integers(2):
        b.conv(int(rng.integers(1, 40)), 1, wide=True)
    else:
        b.layer()
    channels, height, width = b.tensors["input"].shape
    ones = (1.0,) * channels
    model = QuantizedModel(
        f"random{seed}", Preprocess(channels, height, width, ones, ones), "input", b.last.name,
        b.tensors, tuple(b.nodes),
    )  # fmt: skip
    if orders:
        model = replace(model, orders=random_orders(model, seed))
    verify(model)
    return model


def random_orders(model: QuantizedModel, seed: int) -> dict[str, NDArray[np.int32]]:
    """Valid channel orders: a permutation for all tensors that are tied, and now and then none."""
    rng, fixed = np.random.default_rng([seed, 2]), fixed_ties(model)
    found: dict[str, NDArray[np.int32]] = {}
    for first, names in tied_tensors(model).items():
        own = rng.permutation(model.tensors[first].channels).astype(np.int32)
        if first not in fixed and rng.integers(8):
            found |= dict.fromkeys(names, own)
    return found


def with_random_variants(
    model: QuantizedModel, seed: int, shares: Sequence[float], own: float
) -> QuantizedModel:
    """The model with a variant of random weights for every share; own: of the nodes' weights."""
    rng = np.random.default_rng([seed, 3])

    def convs() -> dict[str, Conv]:
        found = {}
        for conv in model.conv_nodes():
            x, out = model.tensors[conv.input], model.tensors[conv.output]
            w = rng.choice(format_levels(conv.format), size=conv.weight.shape).astype(np.int8)
            bias = rng.integers(-99, 100, len(conv.bias)).astype(np.int32)
            r = out.grid.exponent - x.grid.exponent - conv.z.astype(np.int64)
            bits = accumulator_bits(w, bias, x.grid, r if conv.multiplier is None else None)
            found[conv.name] = replace(conv, weight=w, bias=bias, acc_bits=bits)
        return found

    variants = tuple(Variant(f, 20 + f, convs()) for f in sorted(shares))
    told = {"f": own, "sqnr_db": 20.0 + own, "array": {"units": 16}}
    return replace(model, variants=variants, meta={**model.meta, "second_terms": told})


def random_frames(model: QuantizedModel, seed: int, frames: int = 2) -> NDArray[np.int64]:
    """Uniform codes over the input's whole grid."""
    x = model.tensors[model.input]
    rng = np.random.default_rng([seed, 1])
    return rng.integers(x.grid.qmin, x.grid.qmax + 1, (frames, *x.shape), dtype=np.int64)
