"""The folded network with fake-quantised weights and activations, as a torch module to train.

Each convolution's clamp is the clamp of the integer graph: codes lo..hi of its output grid, where
relu6 ends at the code of 6. Values are float32; every grid step is a power of two, so that only the
accumulation can differ from the integers, and that by float32 rounding alone.

An exact network (``exact=True``) also rounds biases to the accumulator's unit, straight through,
and pools by the integer graph's constant: in float64 (``network.double()``) its values are then
those of the converted graph bit for bit; in float32 they are wherever 24 bits hold the sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import assert_never

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.convert import clamp_codes
from shiftforge.quant.capture.evaluate import computed
from shiftforge.quant.capture.map_values import window_sums
from shiftforge.quant.capture.types import (
    Activation,
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMaxPool,
    FloatNode,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import Grid, WeightFormat
from shiftforge.quant.graph.windows import counts, distinct_counts
from shiftforge.quant.schemes.folded import (
    Converted,
    FoldedQuantiser,
    FoldedScheme,
    ParametrisedWeight,
    StartCodes,
)

__all__ = ["QuantNetwork", "folded_network"]


def _on_grid(x: torch.Tensor, grid: Grid | None, activation: Activation) -> torch.Tensor:
    """Rounded half to even and clamped; the gradient passes inside the clamp, else it is 0."""
    if grid is None:
        if activation == "relu":
            return functional.relu(x)
        return functional.relu6(x) if activation == "relu6" else x
    low, high = clamp_codes(grid, activation)
    if x.dtype == torch.float64:
        # torch.fake_quantize computes in float32.
        step = 2.0**grid.exponent
        inside = x.clamp(low * step, high * step)
        value = torch.round(x.detach() / step).clamp(low, high) * step
        return value + (inside - inside.detach())
    return torch.fake_quantize_per_tensor_affine(x, 2.0**grid.exponent, 0, low, high)


class _Conv(nn.Module):
    """One convolution: quantised weight, float bias."""

    bias: nn.Parameter

    def __init__(self, quantiser: FoldedQuantiser, bias: NDArray[np.floating]) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.bias = nn.Parameter(torch.from_numpy(bias.astype(np.float32)))

    def _bias(self, source: Grid | None) -> torch.Tensor:
        """The bias in whole accumulator units, where source (the input's grid) gives one."""
        unit = self.quantiser.unit() if isinstance(self.quantiser, ParametrisedWeight) else None
        if source is None or unit is None:
            return self.bias
        step = unit * 2.0**source.exponent
        return torch.round(self.bias.detach() / step) * step + (self.bias - self.bias.detach())

    def forward(self, x: torch.Tensor, node: FloatConv, source: Grid | None) -> torch.Tensor:
        top, left, bottom, right = node.padding
        padding: tuple[int, int] | int = (top, left)
        if (top, left) != (bottom, right):
            x, padding = functional.pad(x, (left, right, top, bottom)), 0
        weight = self.quantiser()
        bias = self._bias(source)
        return functional.conv2d(x, weight, bias, node.stride, padding, node.dilation, node.groups)


class QuantNetwork(nn.Module):
    """A FloatGraph to train. Input: normalised float32 (N, C, H, W); output: (N, classes, 1, 1)."""

    def __init__(
        self,
        graph: FloatGraph,
        grids: Mapping[str, Grid],
        quantisers: Mapping[str, FoldedQuantiser],
        biases: Mapping[str, NDArray[np.floating]],
        exact: bool = False,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.exact = exact
        self.grids = dict(grids)
        convs = [node for node in graph.nodes if isinstance(node, FloatConv)]
        # A ModuleList: node names may hold dots, which module names must not.
        self.convs = nn.ModuleList(
            _Conv(quantisers[node.name], biases.get(node.name, node.bias)) for node in convs
        )
        self._place = {node.name: place for place, node in enumerate(convs)}
        self._readers = Counter(name for node in graph.nodes for name in node.inputs)

    def conv(self, name: str) -> _Conv:
        """The module of one convolution."""
        module = self.convs[self._place[name]]
        if not isinstance(module, _Conv):
            raise TypeError(f"{name} is no convolution")
        return module

    def quantisers(self) -> dict[str, FoldedQuantiser]:
        """The weight quantisers by convolution name, in execution order."""
        return {name: self.conv(name).quantiser for name in self._place}

    def _run(self, node: FloatNode, live: Mapping[str, torch.Tensor]) -> torch.Tensor:
        grid = self.grids.get(node.output)
        match node:
            case FloatConv():
                source = self.grids.get(node.input) if self.exact else None
                value = self.conv(node.name)(live[node.input], node, source)
                return _on_grid(value, grid, node.activation)
            case FloatAdd():
                return _on_grid(live[node.a] + live[node.b], grid, node.activation)
            case FloatPool():
                return _on_grid(self._pooled(node, live[node.input]), grid, "none")
            case FloatAveragePool():
                return _on_grid(self._averaged(node, live), grid, "none")
            case FloatConcat() | FloatTable():
                return _on_grid(computed(node, live), grid, "none")
            case FloatMaxPool() | FloatSlice() | FloatShuffle() | FloatUpsample():
                return computed(node, live)  # on the grid of what they read
            case _:
                assert_never(node)

    def _pooled(self, node: FloatPool, x: torch.Tensor) -> torch.Tensor:
        source, target = self.grids.get(node.input), self.grids.get(node.output)
        if not self.exact or source is None or target is None:
            return x.mean((2, 3), keepdim=True)
        factor, shift = pool_constant(x.shape[2] * x.shape[3], source, target)
        share = factor * 2.0 ** (target.exponent - source.exponent - shift)
        return x.sum((2, 3), keepdim=True) * share

    def _averaged(self, node: FloatAveragePool, live: Mapping[str, torch.Tensor]) -> torch.Tensor:
        x = live[node.input]
        source, target = self.grids.get(node.input), self.grids.get(node.output)
        if not self.exact or source is None or target is None:
            return computed(node, live)
        apart = target.exponent - source.exponent
        share = {}
        for count in distinct_counts(node, *x.shape[2:]):
            factor, shift = pool_constant(count, source, target)
            share[count] = factor * 2.0 ** (apart - shift)
        each = [[share[int(n)] for n in row] for row in counts(node, *x.shape[2:])]
        return window_sums(node, x) * torch.tensor(each, dtype=x.dtype, device=x.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        live = {self.graph.input: _on_grid(x, self.grids.get(self.graph.input), "none")}
        left = Counter(self._readers)
        for node in self.graph.nodes:
            live[node.output] = self._run(node, live)
            for name in node.inputs:
                left[name] -= 1
                if left[name] == 0:
                    del live[name]
        return live[self.graph.output]

    def convert(self) -> Converted:
        """StartCodes, biases and masters as numpy, for the integer graph."""
        found = self.quantisers()
        return Converted(
            {name: q.codes() for name, q in found.items()},
            {n: self.conv(n).bias.detach().cpu().double().numpy() for n in found},
            {name: q.masters() for name, q in found.items()},
        )


def folded_network(
    scheme: FoldedScheme,
    graph: FloatGraph,
    grids: Mapping[str, Grid],
    formats: Mapping[str, WeightFormat],
    *,
    start: Mapping[str, StartCodes] | None = None,
    biases: Mapping[str, NDArray[np.floating]] | None = None,
) -> QuantNetwork:
    """The network that a scheme trains.

    grids: by tensor name; a tensor without one (a classifier's output) stays float. formats: by
    convolution name. start, biases: what post-training quantisation found; without them training
    begins at the nearest levels of the float weights, with the float biases.
    """
    if graph.more_outputs:
        what = f"it has {len(graph.outputs)} outputs, and training knows the loss of one"
        raise InputError(Problem(what, "return one of them, or quantise it untrained", graph.name))
    codes = start or {}
    quantisers = {
        node.name: scheme.quantiser(node, formats[node.name], codes.get(node.name))
        for node in graph.nodes
        if isinstance(node, FloatConv)
    }
    return QuantNetwork(graph, grids, quantisers, biases or {})
