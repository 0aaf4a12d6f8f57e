"""The folded float graph run with PyTorch: what capture is checked by and calibration measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import torch
from torch.nn import functional

from shiftforge.quant.capture.function_values import values as function_values
from shiftforge.quant.capture.map_values import enlarged, maximum, shuffled, window_sums
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
from shiftforge.quant.graph.windows import counts

__all__ = ["computed", "run_float", "run_output"]


def _activated(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    if activation == "relu":
        return x.clamp(min=0)
    return x.clamp(0, 6) if activation == "relu6" else x


def _constants(node: FloatConv, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias as they were folded, as far as the type holds them."""
    weight, bias = (torch.from_numpy(own).to(dtype) for own in (node.weight, node.bias))
    if node.rest is None or dtype != torch.float64:
        return weight, bias
    return weight + torch.from_numpy(node.rest[0]), bias + torch.from_numpy(node.rest[1])


def computed(node: FloatNode, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A node's output (N, C, H, W) from the tensors that it reads, in their type."""
    match node:
        case FloatConv():
            x = values[node.input]
            top, left, bottom, right = node.padding
            y = functional.conv2d(
                functional.pad(x, (left, right, top, bottom)),
                *_constants(node, x.dtype),
                stride=node.stride,
                dilation=node.dilation,
                groups=node.groups,
            )
            return _activated(y, node.activation)
        case FloatAdd():
            return _activated(values[node.a] + values[node.b], node.activation)
        case FloatPool():
            return values[node.input].mean(dim=(2, 3), keepdim=True)
        case FloatMaxPool():
            return maximum(node, values[node.input])
        case FloatAveragePool():
            x = values[node.input]
            return window_sums(node, x) / torch.from_numpy(counts(node, *x.shape[2:])).to(x)
        case FloatConcat():
            return torch.cat([values[name] for name in node.inputs], 1)
        case FloatSlice():
            return values[node.input][:, node.start : node.stop]
        case FloatShuffle():
            return shuffled(values[node.input], node.order)
        case FloatTable():
            return function_values(node.function, values[node.input])
        case FloatUpsample():
            return enlarged(node, values[node.input])
        case _:
            assert_never(node)


def run_float(graph: FloatGraph, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every tensor of the graph for frames x, float32 or float64 of shape (N, C, H, W).

    Results have x's type and shape (N, C, H, W), the classifier's (N, C, 1, 1). Raises ValueError
    for another shape of x. No gradients are recorded.
    """
    expected = graph.shapes[graph.input]
    if x.ndim != 4 or tuple(x.shape[1:]) != expected:
        raise ValueError(f"frames must have shape (N, {expected}), not {tuple(x.shape)}")
    values = {graph.input: x}
    with torch.no_grad():
        for node in graph.nodes:
            values[node.output] = computed(node, values)
    return values


def run_output(graph: FloatGraph, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], float]:
    """(the outputs (N, C, H, W), the largest magnitude in the graph) for frames x, as run_float.

    Maps are dropped after their last reader.
    """
    last = {name: node for node in graph.nodes for name in node.inputs}
    values, largest = {graph.input: x}, 0.0
    with torch.no_grad():
        for node in graph.nodes:
            values[node.output] = computed(node, values)
            largest = max(largest, float(values[node.output].abs().max()))
            for name in node.inputs:
                if last[name] is node and name not in graph.outputs:
                    values.pop(name, None)
    return tuple(values[name] for name in graph.outputs), largest
