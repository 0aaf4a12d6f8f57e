"""Windows of pools: how many there are, and how many places of each are counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.types import FloatAveragePool, FloatMaxPool
from shiftforge.quant.graph.nodes import AveragePool, MaxPool

__all__ = ["axis_counts", "counts", "distinct_counts", "output_size", "window_size"]


def output_size(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Windows along one axis of so many places, with padding before and after; 0 or less: none."""
    return (size + before + after - kernel) // stride + 1


def window_size(
    node: MaxPool | AveragePool | FloatMaxPool | FloatAveragePool, height: int, width: int
) -> tuple[int, int]:
    """(rows, columns) of a pool's output, of a map of so many."""
    top, left, bottom, right = node.padding
    return (
        output_size(height, node.kernel[0], node.stride[0], top, bottom),
        output_size(width, node.kernel[1], node.stride[1], left, right),
    )


def axis_counts(
    size: int, kernel: int, stride: int, padding: tuple[int, int], counted: tuple[int, int]
) -> NDArray[np.int64]:
    """Places that are counted in each window along one axis, int64 (windows,).

    padding: (before, after); counted: how many of each are counted, next to the map.
    """
    windows = output_size(size, kernel, stride, *padding)
    start = np.arange(windows, dtype=np.int64) * stride - padding[0]
    stop = np.minimum(start + kernel, size + counted[1])
    return np.asarray(stop - np.maximum(start, -counted[0]), dtype=np.int64)


def counts(node: AveragePool | FloatAveragePool, height: int, width: int) -> NDArray[np.int64]:
    """Places that are counted in each window of a map, int64 (rows, columns) of the output."""
    rows, columns = _axes(node, height, width)
    return np.asarray(rows[:, None] * columns[None, :], dtype=np.int64)


def distinct_counts(
    node: AveragePool | FloatAveragePool, height: int, width: int
) -> tuple[int, ...]:
    """The numbers of places that windows of a map count, ascending."""
    rows, columns = (sorted(set(own.tolist())) for own in _axes(node, height, width))
    return tuple(sorted({r * c for r in rows for c in columns}))


def _axes(
    node: AveragePool | FloatAveragePool, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    top, left, bottom, right = node.padding
    above, ahead, below, behind = node.counted
    return (
        axis_counts(height, node.kernel[0], node.stride[0], (top, bottom), (above, below)),
        axis_counts(width, node.kernel[1], node.stride[1], (left, right), (ahead, behind)),
    )
