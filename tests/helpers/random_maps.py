"""Random valid networks of every operator of the integer graph, also such that no array runs yet.

``random_maps`` draws from the kinds that it is given, so that a fuzzer of the accelerator can take
them up one by one. All follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from random_networks import Builder

from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Grid,
    MaxPool,
    Node,
    Pool,
    Preprocess,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.graph.windows import distinct_counts, window_size

__all__ = ["KINDS", "MapBuilder", "finished", "random_maps"]

# Larger maps are not made larger, and smaller ones not smaller.
_MOST, _LEAST = 40, 3


@dataclass
class MapBuilder:
    """Adds one node after another; ``b.last`` is the newest tensor, ``b.stored`` all that may be
    read again. on_array: average pools are such as the array runs."""

    b: Builder
    kept: list[Tensor] = field(default_factory=list)
    on_array: bool = False

    @property
    def rng(self) -> np.random.Generator:
        return self.b.rng

    def draw(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def store(
        self, make: Callable[..., Node], shape: Sequence[int], grid: Grid, **own: Any
    ) -> None:
        name, output = f"n{len(self.b.nodes)}", f"t{len(self.b.nodes)}"
        node = make(name=name, source=f"net.{name}", output=output, **own)
        self.b._store(Tensor(output, *shape, grid), node)
        self.kept.append(self.b.last)

    def grid(self, exponent: int) -> Grid:
        """8 bits, now and then fewer."""
        return Grid(self.b.draw((8, 8, 8, 7, 4)), bool(self.rng.integers(2)), exponent)

    def conv(self) -> None:
        """Any kernel up to 11, stride up to 4, dilation, groups and padding."""
        x, rng = self.b.last, self.rng
        groups = self.b.draw([g for g in range(1, x.channels + 1) if x.channels % g == 0])
        out = groups * self.draw(1, max(1, 24 // groups))
        kernel = tuple(self.draw(1, min(11, side + 2)) for side in x.shape[1:])
        dilation = self.draw(1, 3) if rng.integers(3) == 0 else 1
        if any(dilation * (k - 1) >= s + 4 for k, s in zip(kernel, x.shape[1:], strict=True)):
            dilation = 1
        pad = [self.draw(0, min(k - 1, 3)) if rng.integers(3) else 0 for k in (*kernel, *kernel)]
        for axis in (0, 1):
            short = dilation * (kernel[axis] - 1) + 1 - x.shape[1 + axis] - pad[axis]
            pad[axis + 2] = max(pad[axis + 2], short)
        self.b.general(
            out, (kernel[0], kernel[1]), stride=self.draw(1, 4) if rng.integers(3) == 0 else 1,
            dilation=dilation, groups=groups, padding=(pad[0], pad[1], pad[2], pad[3]),
        )  # fmt: skip
        self.kept.append(self.b.last)

    def over_map(self) -> None:
        """A linear layer: a convolution of the map's size."""
        x = self.b.last
        self.b.general(self.draw(1, 20), x.shape[1:], padding=(0, 0, 0, 0))
        self.kept.append(self.b.last)

    def add(self) -> None:
        """Of any two maps of one shape, a map with itself too."""
        a = self.kept[self.draw(0, len(self.kept) - 1)]
        other = [t for t in self.kept if t.shape == a.shape]
        near = [t for t in other if abs(t.grid.exponent - a.grid.exponent) <= 12]
        b = near[self.draw(0, len(near) - 1)]
        finer = min(a.grid.exponent, b.grid.exponent)
        grid = self.grid(min(max(a.grid.exponent, b.grid.exponent) + self.draw(-1, 2), finer + 15))
        self.store(Add, a.shape, grid, a=a.name, b=b.name, lo=grid.qmin, hi=grid.qmax)

    def pool(self) -> None:
        x = self.b.last
        grid = Grid(8, x.grid.signed, x.grid.exponent)
        m, s = pool_constant(x.height * x.width, x.grid, grid)
        self.store(
            Pool, (x.channels, 1, 1), grid, input=x.name, multiplier=m, shift=s, lo=grid.qmin,
            hi=grid.qmax,
        )  # fmt: skip

    def _window(self) -> dict[str, Any]:
        x = self.b.last
        kernel = [self.draw(1, min(5, side)) for side in x.shape[1:]]
        if not self.rng.integers(6):
            kernel = list(x.shape[1:])  # over the whole map
        pads = [self.draw(0, (k - 1) // self.draw(1, 2)) for k in (*kernel, *kernel)]
        stride = [self.draw(1, 3), self.draw(1, 3)]
        return {"kernel": tuple(kernel), "stride": tuple(stride), "padding": tuple(pads)}

    def max_pool(self) -> None:
        x, own = self.b.last, self._window()
        node = MaxPool("", "", x.name, "", **own)
        size = window_size(node, x.height, x.width)
        self.store(MaxPool, (x.channels, *size), x.grid, input=x.name, **own)

    def average_pool(self) -> None:
        x, own = self.b.last, self._window()
        counted = tuple(self.draw(0, p) for p in own["padding"])
        if self.on_array:
            if max(own["kernel"]) > 3:
                size = {side: (1, 2, 2, 4, 4, 4)[min(side, 6) - 1] for side in x.shape[1:]}
                own["kernel"] = tuple(self.draw(1, size[side].bit_length()) for side in x.shape[1:])
                own["kernel"] = tuple(1 << (n - 1) for n in own["kernel"])
            pads = zip(own["padding"], own["kernel"] * 2, strict=True)
            own["padding"] = counted = tuple(min(p, k - 1) for p, k in pads)
        grid = self.grid(x.grid.exponent + self.draw(-2, 1))
        node = AveragePool(
            "", "", x.name, "", **own, counted=counted, constants=(), lo=0, hi=0,  # type: ignore
        )  # fmt: skip
        constants = tuple(
            (n, *pool_constant(n, x.grid, grid)) for n in distinct_counts(node, x.height, x.width)
        )
        lo = grid.qmin + (self.draw(0, 5) if self.rng.integers(2) else 0)
        size = window_size(node, x.height, x.width)
        self.store(
            AveragePool, (x.channels, *size), grid, input=x.name, **own, counted=counted,
            constants=constants, lo=lo, hi=grid.qmax,
        )  # fmt: skip

    def concat(self) -> None:
        """Of maps of one size, often on their own grid, sometimes the same one twice."""
        first = self.b.last
        fitting = [t for t in self.kept if t.shape[1:] == first.shape[1:]]
        inputs = [first]
        while len(inputs) < 4 and self.rng.integers(3):
            inputs.append(fitting[self.draw(0, len(fitting) - 1)])
        apart = [abs(t.grid.exponent - first.grid.exponent) for t in inputs]
        inputs = [t for t, far in zip(inputs, apart, strict=True) if far <= 20]
        grid = first.grid if self.rng.integers(2) else self.grid(first.grid.exponent + 1)
        channels = sum(t.channels for t in inputs)
        names = tuple(t.name for t in inputs)
        self.store(Concat, (channels, *first.shape[1:]), grid, inputs=names)

    def join(self) -> None:
        """One vector of all maps that nothing reads: linear layers over each, one after another."""
        read = {name for node in self.b.nodes for name in node.inputs}
        found = []
        for tensor in [t for t in self.kept if t.name not in read]:
            self.b.last = tensor
            self.over_map()
            if abs(self.b.last.grid.exponent) <= 15:
                found.append(self.b.last)
        exponents = [t.grid.exponent for t in found]
        if found:
            grid = self.grid((min(exponents) + max(exponents)) // 2)
            names = tuple(t.name for t in found)
            channels = sum(t.channels for t in found)
            self.store(Concat, (channels, 1, 1), grid, inputs=names)

    def slice(self) -> None:
        x = self.b.last
        start = self.draw(0, x.channels - 1)
        stop = self.draw(start + 1, x.channels)
        shape = (stop - start, *x.shape[1:])
        self.store(Slice, shape, x.grid, input=x.name, start=start, stop=stop)

    def shuffle(self) -> None:
        """A channel shuffle of groups, or any choice of channels."""
        x = self.b.last
        groups = self.b.draw([g for g in range(1, x.channels + 1) if x.channels % g == 0])
        order = np.arange(x.channels).reshape(groups, -1).T.ravel()
        if not self.rng.integers(3):
            order = self.rng.integers(0, x.channels, self.draw(1, x.channels + 3))
        names = tuple(int(c) for c in order)
        self.store(Shuffle, (len(names), *x.shape[1:]), x.grid, input=x.name, order=names)

    def table(self) -> None:
        """Any entries: a steep random walk."""
        x = self.b.last
        grid = self.grid(x.grid.exponent)
        walk = np.cumsum(self.rng.integers(-9, 10, 1 << x.grid.bits))
        codes = tuple(int(c) for c in np.clip(walk, grid.qmin, grid.qmax))
        self.store(Table, x.shape, grid, input=x.name, codes=codes)

    def upsample(self) -> None:
        x = self.b.last
        factor = (self.draw(1, 3), self.draw(1, 3))
        if max(x.height * factor[0], x.width * factor[1]) > _MOST:
            factor = (1, 1)
        if self.rng.integers(2):
            shape = (x.channels, x.height * factor[0], x.width * factor[1])
            self.store(Upsample, shape, x.grid, input=x.name, factor=factor, mode="nearest")
            return
        trailing = (self.draw(0, factor[0] - 1), self.draw(0, factor[1] - 1))
        sizes = [(s - 1) * f + 1 + t for s, f, t in zip(x.shape[1:], factor, trailing, strict=True)]
        self.store(
            Upsample, (x.channels, *sizes), x.grid, input=x.name, factor=factor, mode="zeros",
            trailing=trailing,
        )  # fmt: skip


KINDS: dict[type, Callable[[MapBuilder], None]] = {
    Conv: MapBuilder.conv,
    Add: MapBuilder.add,
    Pool: MapBuilder.pool,
    MaxPool: MapBuilder.max_pool,
    AveragePool: MapBuilder.average_pool,
    Concat: MapBuilder.concat,
    Slice: MapBuilder.slice,
    Shuffle: MapBuilder.shuffle,
    Table: MapBuilder.table,
    Upsample: MapBuilder.upsample,
}
"""By operator: what adds one of any geometry."""


def random_maps(
    seed: int,
    *,
    nodes: int = 14,
    kinds: Sequence[type] = tuple(KINDS),
    sides: tuple[int, int] = (3, 20),
    classifier: bool | None = None,
    on_array: bool = False,
    more: int = 0,
) -> QuantizedModel:
    """A verified random network of ``nodes`` nodes or some more.

    more: outputs beside the last tensor, where there are as many.

    kinds: the operators that are drawn from; a convolution is among them in any case. sides: of the
    image. classifier: end in a 32-bit linear layer; drawn where None. on_array: average pools are
    such as the array runs.
    """
    rng = np.random.default_rng([seed, 7])
    signed = bool(rng.integers(2))
    grid = Grid(8, signed, -7 if signed else -8)
    size = [int(n) for n in rng.integers(sides[0], sides[1] + 1, 2)]
    image = Tensor("input", int(rng.integers(1, 7)), *size, grid)
    m = MapBuilder(Builder(rng, image, "two-term", False), on_array=on_array)
    m.kept.append(image)
    m.conv()
    drawn = [kind for kind in kinds if kind is not Pool]
    while len(m.b.nodes) < nodes - 1:
        kind = drawn[m.draw(0, len(drawn) - 1)]
        KINDS[kind](m)
        if not rng.integers(9):
            # Another branch begins at an earlier map.
            m.b.last = m.kept[m.draw(0, len(m.kept) - 1)]
        if max(m.b.last.shape) > 3 * _MOST or min(m.b.last.shape[1:]) < _LEAST:
            large = [t for t in m.kept if max(t.shape) <= _MOST] or m.kept
            m.b.last = max(large, key=lambda t: min(t.shape[1:]))
    if Concat in kinds and rng.integers(4):
        m.join()
    if Pool in kinds and rng.integers(2):
        m.pool()
    if rng.integers(2) if classifier is None else classifier:
        m.b.general(m.draw(1, 12), m.b.last.shape[1:], padding=(0, 0, 0, 0), wide=True)
    found = finished(m, f"maps{seed}")
    others = [node.output for node in found.nodes[:-1]]
    drawn = rng.permutation(len(others))[:more] if more else []
    return replace(found, more_outputs=tuple(others[k] for k in drawn))


def finished(m: MapBuilder, name: str) -> QuantizedModel:
    """The network of what its last tensor depends on; the rest is left out."""
    if not m.b.nodes or m.b.last.name == "input":
        m.conv()
    needed, kept = {m.b.last.name}, []
    for node in reversed(m.b.nodes):
        if node.output in needed:
            needed |= set(node.inputs)
            kept.append(node)
    image = m.b.tensors["input"]
    needed.add("input")
    ones = (1.0,) * image.channels
    model = QuantizedModel(
        name, Preprocess(*image.shape, ones, ones), "input", m.b.last.name,
        {t: v for t, v in m.b.tensors.items() if t in needed}, tuple(reversed(kept)),
    )  # fmt: skip
    verify(model)
    return model
