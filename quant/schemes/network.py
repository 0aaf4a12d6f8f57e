"""The folded network with fake-quantised weights and activations, as a torch module to train.

Each convolution's clamp is the clamp of the integer graph: codes lo..hi of its output grid, where
relu6 ends at the code of 6. Values are float32; every grid step is a power of two, so that only the
accumulation can differ from the integers, and that by float32 rounding alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.calibrate.convert import clamp_codes
from shiftforge.quant.calibrate.network import inputs_of
from shiftforge.quant.capture.types import Activation, FloatAdd, FloatConv, FloatGraph, FloatNode
from shiftforge.quant.graph.types import Grid, WeightFormat
from shiftforge.quant.schemes.folded import (
    Converted,
    FoldedQuantiser,
    FoldedScheme,
    StartCodes,
)

__all__ = ["QuantNetwork", "prepare"]


def _on_grid(x: torch.Tensor, grid: Grid | None, activation: Activation) -> torch.Tensor:
    """Rounded half to even and clamped; the gradient passes inside the clamp, else it is 0."""
    if grid is None:
        if activation == "relu":
            return functional.relu(x)
        return functional.relu6(x) if activation == "relu6" else x
    low, high = clamp_codes(grid, activation)
    return torch.fake_quantize_per_tensor_affine(x, 2.0**grid.exponent, 0, low, high)


class _Conv(nn.Module):
    """One convolution: quantised weight, float bias."""

    bias: nn.Parameter

    def __init__(self, quantiser: FoldedQuantiser, bias: NDArray[np.floating]) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.bias = nn.Parameter(torch.from_numpy(bias.astype(np.float32)))

    def forward(self, x: torch.Tensor, node: FloatConv) -> torch.Tensor:
        top, left, bottom, right = node.padding
        padding: tuple[int, int] | int = (top, left)
        if (top, left) != (bottom, right):
            x, padding = functional.pad(x, (left, right, top, bottom)), 0
        weight = self.quantiser()
        return functional.conv2d(
            x, weight, self.bias, node.stride, padding, node.dilation, node.groups
        )


class QuantNetwork(nn.Module):
    """A FloatGraph to train. Input: normalised float32 (N, C, H, W); output: (N, classes, 1, 1)."""

    def __init__(
        self,
        graph: FloatGraph,
        grids: Mapping[str, Grid],
        quantisers: Mapping[str, FoldedQuantiser],
        biases: Mapping[str, NDArray[np.floating]],
    ) -> None:
        super().__init__()
        self.graph = graph
        self.grids = dict(grids)
        convs = [node for node in graph.nodes if isinstance(node, FloatConv)]
        # A ModuleList: node names may hold dots, which module names must not.
        self.convs = nn.ModuleList(
            _Conv(quantisers[node.name], biases.get(node.name, node.bias)) for node in convs
        )
        self._place = {node.name: place for place, node in enumerate(convs)}
        self._readers = Counter(name for node in graph.nodes for name in inputs_of(node))

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
        if isinstance(node, FloatConv):
            return _on_grid(self.conv(node.name)(live[node.input], node), grid, node.activation)
        if isinstance(node, FloatAdd):
            return _on_grid(live[node.a] + live[node.b], grid, node.activation)
        return _on_grid(live[node.input].mean((2, 3), keepdim=True), grid, "none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        live = {self.graph.input: _on_grid(x, self.grids.get(self.graph.input), "none")}
        left = Counter(self._readers)
        for node in self.graph.nodes:
            live[node.output] = self._run(node, live)
            for name in inputs_of(node):
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


def prepare(
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
    codes = start or {}
    quantisers = {
        node.name: scheme.quantiser(node, formats[node.name], codes.get(node.name))
        for node in graph.nodes
        if isinstance(node, FloatConv)
    }
    return QuantNetwork(graph, grids, quantisers, biases or {})
