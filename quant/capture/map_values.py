"""Pools and moves of maps in torch, for any floating type: what float and fake-quantised share.

Maps are (N, C, H, W). The nodes are those of the integer graph or of the float one, which have the
same geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch.nn import functional

from shiftforge.quant.capture.types import FloatAveragePool, FloatMaxPool, FloatUpsample
from shiftforge.quant.graph.nodes import AveragePool, MaxPool, Upsample

__all__ = ["enlarged", "maximum", "shuffled", "window_sums"]

_Windows: TypeAlias = MaxPool | FloatMaxPool | AveragePool | FloatAveragePool


def _padded(node: _Windows, x: torch.Tensor, value: float) -> torch.Tensor:
    top, left, bottom, right = node.padding
    return functional.pad(x, (left, right, top, bottom), value=value) if any(node.padding) else x


def maximum(node: MaxPool | FloatMaxPool, x: torch.Tensor) -> torch.Tensor:
    """The largest value of every window."""
    return functional.max_pool2d(_padded(node, x, -torch.inf), node.kernel, node.stride)


def window_sums(node: AveragePool | FloatAveragePool, x: torch.Tensor) -> torch.Tensor:
    """The sum of every window; padding is 0."""
    padded = _padded(node, x, 0.0)
    return functional.avg_pool2d(padded, node.kernel, node.stride, divisor_override=1)


def shuffled(x: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    """Channels in another order."""
    return x[:, list(order)]


def enlarged(node: Upsample | FloatUpsample, x: torch.Tensor) -> torch.Tensor:
    """The map with more rows and columns."""
    fh, fw = node.factor
    if node.mode == "nearest":
        return x.repeat_interleave(fh, 2).repeat_interleave(fw, 3)
    frames, channels, height, width = x.shape
    rows, columns = (height - 1) * fh + 1, (width - 1) * fw + 1
    size = (frames, channels, rows + node.trailing[0], columns + node.trailing[1])
    result = x.new_zeros(size)
    result[:, :, :rows:fh, :columns:fw] = x
    return result
