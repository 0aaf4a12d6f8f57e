"""Channels joined, cut and shuffled, codes looked up, maps enlarged: no sums.

``Concat``: ``y = clamp(rhe(x * 2**(x.exponent - out.exponent)))`` of each input, clamped to the
output's grid. ``Slice``: channels start ... stop - 1. ``Shuffle``: ``y[i] = x[order[i]]``.
``Table``: ``y = codes[x - x.qmin]``. ``Upsample``: ``y[r, c] = x[r // fh, c // fw]``, or
``y[fh*i, fw*j] = x[i, j]`` and zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Grid, Shuffle, Slice, Table, Upsample
from shiftforge.sim.golden.conv.requantise import clamp, divide_half_even

__all__ = ["concat", "look_up", "shuffle", "slice_channels", "upsample"]


def concat(
    inputs: Sequence[NDArray[Any]], exponents: Sequence[int], out: Grid
) -> NDArray[np.int64]:
    """Return the channels of all inputs (N, C_k, H, W) on the output's grid, (N, sum C_k, H, W).

    exponents: of the inputs.
    """
    parts = [
        clamp(divide_half_even(x.astype(np.int64), out.exponent - exponent), out.qmin, out.qmax)
        for x, exponent in zip(inputs, exponents, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def slice_channels(node: Slice, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the channels start <= c < stop of x (N, C, H, W)."""
    return x[:, node.start : node.stop].astype(np.int64)


def shuffle(node: Shuffle, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return x (N, C, H, W) with channel order[i] in place i."""
    return np.stack([x[:, channel] for channel in node.order], axis=1).astype(np.int64)


def look_up(node: Table, x: NDArray[Any], grid: Grid) -> NDArray[np.int64]:
    """Return the table's code of every code of x; grid: of x.

    Raises InputError where the table has not one entry for each code of the grid.
    """
    if len(node.codes) != grid.qmax - grid.qmin + 1:
        what = f"{len(node.codes)} entries for codes from {grid.qmin} to {grid.qmax}"
        raise InputError(Problem(what, "mend the model", f"{node.name} ({node.source})"))
    return np.array(node.codes, np.int64)[x.astype(np.int64) - grid.qmin]


def upsample(node: Upsample, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the enlarged map of x (N, C, H, W)."""
    fh, fw = node.factor
    frames, channels, height, width = x.shape
    if node.mode == "nearest":
        y = np.empty((frames, channels, height * fh, width * fw), np.int64)
        for i, j in np.ndindex(fh, fw):
            y[:, :, i::fh, j::fw] = x
        return y
    rows, columns = (height - 1) * fh + 1, (width - 1) * fw + 1
    size = (rows + node.trailing[0], columns + node.trailing[1])
    y = np.zeros((frames, channels, *size), np.int64)
    y[:, :, :rows:fh, :columns:fw] = x
    return y
