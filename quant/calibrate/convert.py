"""From a folded float graph, its grids and its integer weights to the integer graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.convert_maps import convert_map
from shiftforge.quant.capture.function import to_json
from shiftforge.quant.capture.types import (
    Activation,
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMap,
    FloatMaxPool,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.formats.accumulator import accumulator_bits, accumulator_bound
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    Node,
    Pool,
    QuantizedModel,
    Tensor,
    WeightFormat,
)
from shiftforge.quant.graph.verify import MAX_EXPONENT
from shiftforge.quant.quantisation import Requant

__all__ = ["Requant", "clamp_codes", "convert", "exponent_floor", "output_grid"]

IntegerWeights: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8]]

# Fixed-point position of the multiplier variant: m = 2^30 stands for 1.
_MULTIPLIER_BITS = 30
# Right shifts kept below this leave the rounding offset far from the accumulator's top.
_MAX_RIGHT = 24
_BIAS_BITS = 29


def clamp_codes(grid: Grid, activation: Activation) -> tuple[int, int]:
    """Clamp bounds (lo, hi) that stand for an activation on a grid; relu6 ends at the code of 6."""
    low, high = grid.qmin, grid.qmax
    if activation != "none":
        low = max(low, 0)
    if activation == "relu6":
        high = min(high, int(np.rint(np.ldexp(6.0, -grid.exponent))))
    return low, high


def exponent_floor(
    bias: NDArray[np.floating], source: Grid, target: Grid | None
) -> NDArray[np.int64]:
    """Smallest weight exponent of each channel that the integer graph can hold, int64 (O,).

    The bias must stay within 29 bits at the accumulator's exponent and the right shift of the
    requantisation at most 24 (target None: no limit from it). Binding only for channels whose
    weights are next to nothing beside their bias or their output's step.
    """
    magnitude = np.abs(np.asarray(bias, dtype=np.float64))
    size = np.where(magnitude > 0, magnitude, np.ldexp(1.0, -96))
    floor = np.ceil(np.log2(size)).astype(np.int64) - _BIAS_BITS - source.exponent
    floor = np.maximum(floor, -60)
    if target is not None:
        floor = np.maximum(floor, target.exponent - source.exponent - _MAX_RIGHT)
    return np.asarray(floor, dtype=np.int64)


def output_grid(
    weight: NDArray[np.int8], bias: NDArray[np.int64], z: NDArray[np.int8], source: Grid
) -> Grid:
    """The 32-bit signed grid of a classifier: the finest exponent that loses no accumulator bit.

    x.exponent + min(z), made coarser where an accumulator shifted left by z - min(z) would leave
    31 bits.
    """
    bound = accumulator_bound(weight, bias, source)
    exponents = z.astype(np.int64)
    exponent = int(exponents.min())
    for top, own in zip(bound, exponents, strict=True):
        exponent = max(exponent, int(own) + int(top).bit_length() - 31)
    return Grid(32, True, source.exponent + exponent)


class _Builder:
    """Collects the nodes, tensors and problems of one conversion."""

    def __init__(self, graph: FloatGraph, grids: Mapping[str, Grid], requant: Requant) -> None:
        self.graph, self.requant = graph, requant
        self.grids = dict(grids)
        self.problems: list[Problem] = []

    def conv(
        self,
        node: FloatConv,
        given: IntegerWeights,
        fmt: WeightFormat,
        bias: NDArray[np.floating],
    ) -> Conv | None:
        w_int, z = np.asarray(given[0], dtype=np.int8), np.asarray(given[1], dtype=np.int8)
        place = f"{node.name} ({node.source})"
        if w_int.shape != node.weight.shape or z.shape != w_int.shape[:1]:
            self.problems.append(
                Problem(
                    f"integer weights {w_int.shape} with exponents {z.shape} for a convolution of "
                    f"{node.weight.shape}",
                    "give one int8 weight for each float one and one exponent a channel",
                    place,
                )
            )
            return None
        source = self.grids[node.input]
        unit = source.exponent + z.astype(np.int64)
        exact = np.ldexp(np.asarray(bias, dtype=np.float64), -unit)
        if not np.isfinite(exact).all() or np.abs(exact).max(initial=0.0) >= 1 << 31:
            channel = int(np.abs(np.nan_to_num(exact, nan=np.inf)).argmax())
            self.problems.append(
                Problem(
                    f"bias {float(bias[channel]):g} of channel {channel} does not fit 32 bits at "
                    f"the exponent {source.exponent + int(z[channel])}",
                    "raise the channel's weight exponent",
                    place,
                )
            )
            return None
        integer = np.rint(exact).astype(np.int64)
        if node.output not in self.grids:
            self.grids[node.output] = output_grid(w_int, integer, z, source)
            exponent = self.grids[node.output].exponent
            if abs(exponent) > MAX_EXPONENT:
                size = "small" if exponent < 0 else "large"
                self.problems.append(
                    Problem(
                        f"its results are too {size} for any grid: exponent {exponent} beyond "
                        f"+-{MAX_EXPONENT}",
                        "are these trained weights? rescale this layer, or load a checkpoint",
                        place,
                    )
                )
                return None
        target = self.grids[node.output]
        r = target.exponent - source.exponent - z.astype(np.int64)
        extra: dict[str, Any] = {}
        if self.requant == "multiplier":
            extra["multiplier"] = np.full(z.shape, 1 << _MULTIPLIER_BITS, np.int64)
            extra["shift"] = r + _MULTIPLIER_BITS
        width = accumulator_bits(w_int, integer, source, r if self.requant == "shift" else None)
        if width.max() > 32:
            self.problems.append(
                Problem(
                    f"channel {int(width.argmax())} needs a {int(width.max())}-bit accumulator",
                    "raise its weight exponent or use coarser activations",
                    place,
                )
            )
            return None
        low, high = clamp_codes(target, node.activation)
        return Conv(
            name=node.name,
            source=node.source,
            input=node.input,
            output=node.output,
            weight=w_int,
            z=z,
            bias=integer.astype(np.int32),
            format=fmt,
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
            lo=low,
            hi=high,
            acc_bits=width,
            **extra,
        )

    def pool(self, node: FloatPool) -> Pool | None:
        source, target = self.grids[node.input], self.grids[node.output]
        _, height, width = self.graph.shapes[node.input]
        try:
            multiplier, shift = pool_constant(height * width, source, target)
        except InputError as error:
            self.problems += [Problem(p.what, p.remedy, node.name) for p in error.problems]
            return None
        return Pool(
            node.name, node.source, node.input, node.output, multiplier, shift, target.qmin,
            target.qmax,
        )  # fmt: skip

    def add(self, node: FloatAdd) -> Add:
        low, high = clamp_codes(self.grids[node.output], node.activation)
        return Add(node.name, node.source, node.a, node.b, node.output, low, high)

    def map(self, node: FloatMap) -> Node | None:
        """A pool, a move or a table."""
        try:
            return convert_map(node, self.graph.shapes, self.grids)
        except InputError as error:
            self.problems += error.problems
            return None


def _missing(
    graph: FloatGraph,
    grids: Mapping[str, Grid],
    weights: Mapping[str, IntegerWeights],
    formats: Mapping[str, WeightFormat],
) -> list[Problem]:
    problems = []
    wide = graph.wide_outputs()
    for name in (graph.input, *(node.output for node in graph.nodes)):
        if name not in grids and name not in wide:
            problems.append(Problem("has no grid", "calibrate it", f"tensor {name!r}"))
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            for what, given in (("weights", weights), ("format", formats)):
                if node.name not in given:
                    problems.append(Problem(f"no integer {what} given", "quantise it", node.name))
    return problems


def convert(
    graph: FloatGraph,
    grids: Mapping[str, Grid],
    weights: Mapping[str, IntegerWeights],
    formats: Mapping[str, WeightFormat],
    *,
    biases: Mapping[str, NDArray[np.floating]] | None = None,
    requant: Requant = "shift",
    meta: Mapping[str, Any] | None = None,
) -> QuantizedModel:
    """The integer graph of a float graph.

    grids: of every tensor; a convolution's output that is the graph's may be left out and gets a
    32-bit signed grid (see ``output_grid``). weights: (w_int int8 (O, I/g, kh, kw), z int8 (O,)) by
    convolution name, w = w_int * 2**z. formats: by convolution name. biases: real values replacing
    the float graph's, by convolution name. requant: "shift", or "multiplier" with m = 2**30 a
    channel: the weight scales being powers of two, both give the same integers.
    Raises InputError with every missing grid, weight or format, wrong shape, and bias or
    accumulator beyond 32 bits.
    """
    problems = _missing(graph, grids, weights, formats)
    if requant not in ("shift", "multiplier"):
        problems.append(Problem(f"unknown requantisation {requant!r}", "use shift or multiplier"))
    if problems:
        raise InputError(problems)
    build = _Builder(graph, grids, requant)
    nodes: list[Node | None] = []
    for node in graph.nodes:
        match node:
            case FloatConv():
                bias = (biases or {}).get(node.name, node.bias)
                nodes.append(build.conv(node, weights[node.name], formats[node.name], bias))
                if nodes[-1] is None and node.output not in build.grids:
                    break  # its output has no grid: what reads it cannot be converted
            case FloatAdd():
                nodes.append(build.add(node))
            case FloatPool():
                nodes.append(build.pool(node))
            case FloatMaxPool() | FloatAveragePool() | FloatConcat() | FloatSlice():
                nodes.append(build.map(node))
            case FloatShuffle() | FloatTable() | FloatUpsample():
                nodes.append(build.map(node))
            case _:
                assert_never(node)
    if build.problems:
        raise InputError(build.problems)
    convs = [node for node in graph.nodes if isinstance(node, FloatConv)]
    floats = {f"{c.name}.weight": c.weight for c in convs} | {
        f"{c.name}.bias": c.bias for c in convs
    }
    activations = {n.name: n.activation for n in graph.nodes if isinstance(n, FloatConv | FloatAdd)}
    functions = {n.name: to_json(n.function) for n in graph.nodes if isinstance(n, FloatTable)}
    told = {**(meta or {}), "activations": activations}
    return QuantizedModel(
        name=graph.name,
        preprocess=graph.preprocess,
        input=graph.input,
        output=graph.output,
        tensors={
            name: Tensor(name, *graph.shapes[name], build.grids[name])
            for name in (graph.input, *(node.output for node in graph.nodes))
        },
        nodes=tuple(node for node in nodes if node is not None),
        labels=graph.labels,
        floats=floats,
        meta={**told, "functions": functions} if functions else told,
        more_outputs=graph.more_outputs,
        host=graph.host,
    )
