"""The folded float graph run with PyTorch: what capture is checked by and calibration measures."""

from __future__ import annotations

from typing import assert_never

import torch
from torch.nn import functional

from shiftforge.quant.capture.types import Activation, FloatAdd, FloatConv, FloatGraph, FloatPool

__all__ = ["run_float"]


def _activated(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    if activation == "relu":
        return x.clamp(min=0)
    return x.clamp(0, 6) if activation == "relu6" else x


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
            match node:
                case FloatConv():
                    top, left, bottom, right = node.padding
                    y = functional.conv2d(
                        functional.pad(values[node.input], (left, right, top, bottom)),
                        torch.from_numpy(node.weight).to(x.dtype),
                        torch.from_numpy(node.bias).to(x.dtype),
                        stride=node.stride,
                        dilation=node.dilation,
                        groups=node.groups,
                    )
                    values[node.output] = _activated(y, node.activation)
                case FloatAdd():
                    y = values[node.a] + values[node.b]
                    values[node.output] = _activated(y, node.activation)
                case FloatPool():
                    values[node.output] = values[node.input].mean(dim=(2, 3), keepdim=True)
                case _:
                    assert_never(node)
    return values
