"""Convolution to exact accumulators: ``acc[o] = bias[o] + sum(x * w_int)``.

The sum runs tap by tap: each kernel position contributes one matrix product between its
(O/g, I/g) weights and the strided window of the zero-padded input. Floating-point matrix products
serve only where every partial sum provably is an integer that the type holds exactly, whatever
the order of summation; everything else is int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.quant.graph.types import Conv

__all__ = ["check_accumulator_width", "convolve"]

# Largest sums of magnitudes that stay exact integers: 24 and 53 bits of significand.
_EXACT_FLOAT32 = 1 << 24
_EXACT_FLOAT64 = 1 << 53
_EXACT_INT64 = 1 << 62


def convolve(node: Conv, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the accumulators (N, O, OH, OW), bias included.

    x: integer codes (N, I, H, W). Output sizes are ``(H + top + bottom - d*(kh-1) - 1) // s + 1``
    and likewise for columns.
    Raises InputError where the shapes do not fit or a sum could pass 62 bits.
    """
    out_h, out_w = _check_shapes(node, x)
    kind = _exact_type(node, x)
    weight: NDArray[Any] = node.weight.astype(kind)
    groups = node.groups
    padded = _pad(x, node.padding, kind)
    parts = (
        _tap(weight[:, :, row, column], _window(node, padded, row, column, (out_h, out_w)), groups)
        for row, column in np.ndindex(node.kernel)
    )
    total = next(parts)
    for part in parts:
        total += part
    acc = total.reshape(x.shape[0], weight.shape[0], out_h, out_w).astype(np.int64)
    acc += node.bias.astype(np.int64)[:, None, None]
    return acc


def check_accumulator_width(node: Conv, acc: NDArray[np.int64]) -> None:
    """Raise CheckFailed where an accumulator leaves the signed ``acc_bits`` of its channel."""
    bits = np.minimum(node.acc_bits.astype(np.int64), _EXACT_INT64.bit_length() - 1)
    limit = np.left_shift(np.int64(1), bits) >> 1
    lowest, highest = acc.min(axis=(0, 2, 3)), acc.max(axis=(0, 2, 3))
    wrong = np.flatnonzero((lowest < -limit) | (highest > limit - 1))
    if wrong.size:
        channel = int(wrong[0])
        raise CheckFailed(
            f"{node.name} ({node.source}): accumulators of channel {channel} span "
            f"[{int(lowest[channel])}, {int(highest[channel])}], beyond its "
            f"{int(node.acc_bits[channel])} signed bits ({wrong.size} channels in all)"
        )


def _window(
    node: Conv, padded: NDArray[Any], row: int, column: int, size: tuple[int, int]
) -> NDArray[Any]:
    """View of the inputs that one kernel position meets: (N, I, OH, OW)."""
    top, left = row * node.dilation, column * node.dilation
    rows = slice(top, top + node.stride * (size[0] - 1) + 1, node.stride)
    columns = slice(left, left + node.stride * (size[1] - 1) + 1, node.stride)
    return padded[:, :, rows, columns]


def _tap(weight: NDArray[Any], window: NDArray[Any], groups: int) -> NDArray[Any]:
    """Sum over input channels at one kernel position: (O, I/g) x (N, I, H, W) -> new array."""
    frames, channels, height, width = window.shape
    outputs, depth = weight.shape
    if depth == 1 and outputs == groups:  # depthwise: nothing to sum
        product: NDArray[Any] = window * weight[:, 0, None, None]
        return product
    grouped = weight.reshape(groups, outputs // groups, depth)
    columns = window.reshape(frames, groups, channels // groups, height * width)
    result: NDArray[Any] = np.matmul(grouped, columns)
    return result.reshape(frames, outputs, height, width)


def _pad(x: NDArray[Any], padding: tuple[int, int, int, int], kind: type) -> NDArray[Any]:
    top, left, bottom, right = padding
    frames, channels, height, width = x.shape
    padded = np.zeros((frames, channels, top + height + bottom, left + width + right), dtype=kind)
    padded[:, :, top : top + height, left : left + width] = x
    return padded


def _exact_type(node: Conv, x: NDArray[Any]) -> type:
    """Cheapest type that holds every partial sum of this layer on this input exactly."""
    largest = max(int(x.max()), -int(x.min()))
    taps = int(np.abs(node.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
    reach = largest * taps
    if reach + int(np.abs(node.bias.astype(np.int64)).max()) >= _EXACT_INT64:
        raise InputError(
            Problem(
                "a sum of this layer could pass 62 bits",
                "use narrower activations or fewer input channels",
                f"{node.name} ({node.source})",
            )
        )
    if max(reach, largest) < _EXACT_FLOAT32:
        return np.float32
    return np.float64 if max(reach, largest) < _EXACT_FLOAT64 else np.int64


def _check_shapes(node: Conv, x: NDArray[Any]) -> tuple[int, int]:
    outputs, depth, kernel_h, kernel_w = node.weight.shape
    top, left, bottom, right = node.padding
    sizes = []
    problems = []
    where = f"{node.name} ({node.source})"
    if x.shape[1] != depth * node.groups or outputs % node.groups:
        problems.append(
            f"weights {node.weight.shape} in {node.groups} groups do not fit {x.shape[1]} channels"
        )
    for axis, kernel, low, high in ((2, kernel_h, top, bottom), (3, kernel_w, left, right)):
        free = x.shape[axis] + low + high - node.dilation * (kernel - 1) - 1
        if free < 0 or kernel < 1:
            problems.append(f"kernel size {kernel} does not fit {x.shape[axis]} + {low} + {high}")
        sizes.append(free // node.stride + 1)
    if problems:
        raise InputError([Problem(text, "mend the model", where) for text in problems])
    return sizes[0], sizes[1]
