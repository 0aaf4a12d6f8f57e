"""Pools over windows, place by place of the window.

Output row r of a window of kh rows, stride sh and `top` rows of padding reads the rows
``r*sh - top ... r*sh - top + kh - 1`` of the map; columns likewise. ``MaxPool``: the largest code
inside the map. ``AveragePool``: ``y = clamp(rhe(S * m / 2**s))``, S the sum of the codes inside the
map and m / 2**s the constant for as many places as the window counts: its rows and columns between
``-counted`` and the map's size plus ``counted``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import AveragePool, MaxPool
from shiftforge.sim.golden.conv.requantise import requantise_multiplier

__all__ = ["average_pool", "max_pool"]

# Below every code, which has at most 32 bits.
_NOTHING = -(1 << 40)


def max_pool(node: MaxPool, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the largest codes (N, C, OH, OW) of the windows of x (N, C, H, W).

    Raises InputError where a window holds no place of the map.
    """
    result: NDArray[np.int64] | None = None
    for part in _places(node, x, _NOTHING):
        result = part.copy() if result is None else np.maximum(result, part)
    if result is None or (result == _NOTHING).any():
        raise InputError(_unfit(node))
    return result


def average_pool(node: AveragePool, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the averages (N, C, OH, OW) of the windows of x (N, C, H, W), as codes.

    Raises InputError where a window counts a number of places that has no constant.
    """
    total: NDArray[np.int64] | None = None
    for part in _places(node, x, 0):
        total = part.copy() if total is None else total + part
    if total is None:
        raise InputError(_unfit(node))
    constants = {count: (multiplier, shift) for count, multiplier, shift in node.constants}
    result = np.empty_like(total)
    for row, column in np.ndindex(total.shape[2:]):
        count = 1
        for axis, (at, size) in enumerate(((row, x.shape[2]), (column, x.shape[3]))):
            first = at * node.stride[axis] - node.padding[axis]
            places = range(first, first + node.kernel[axis])
            low, high = -node.counted[axis], size + node.counted[axis + 2]
            count *= sum(low <= place < high for place in places)
        if count not in constants:
            raise InputError(
                Problem(
                    f"the window at {row}, {column} counts {count} places, for which it has no "
                    "constant",
                    "mend the model",
                    f"{node.name} ({node.source})",
                )
            )
        result[:, :, row, column] = requantise_multiplier(
            total[:, :, row, column], *constants[count], node.lo, node.hi
        )
    return result


def _places(node: MaxPool | AveragePool, x: NDArray[Any], outside: int) -> list[NDArray[np.int64]]:
    """For every place of the window what all windows see there, (N, C, OH, OW)."""
    top, left, bottom, right = node.padding
    frames, channels, height, width = x.shape
    padded = np.full(
        (frames, channels, top + height + bottom, left + width + right), outside, np.int64
    )
    padded[:, :, top : top + height, left : left + width] = x
    rows = (padded.shape[2] - node.kernel[0]) // node.stride[0] + 1
    columns = (padded.shape[3] - node.kernel[1]) // node.stride[1] + 1
    if rows < 1 or columns < 1:
        return []
    return [
        padded[
            :,
            :,
            i : i + (rows - 1) * node.stride[0] + 1 : node.stride[0],
            j : j + (columns - 1) * node.stride[1] + 1 : node.stride[1],
        ]
        for i, j in np.ndindex(node.kernel)
    ]


def _unfit(node: MaxPool | AveragePool) -> Problem:
    what = f"a window of {node.kernel} with padding {node.padding} lies outside the map"
    return Problem(what, "mend the model", f"{node.name} ({node.source})")
