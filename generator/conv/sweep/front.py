"""The Pareto front of points: what no other point betters in everything, small steps apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.sweep.points import Points

__all__ = ["FIGURES", "costs", "front_of", "not_dominated", "spread"]

FIGURES = ("fps", "latency_ms", "alm", "ram_blocks", "sqnr_db")
"""What points are compared by: the first and the last the more the better."""
_STEP = 0.01
_STEP_DB = 0.05
_CHUNK = 512


def costs(points: Points) -> NDArray[np.float64]:
    """Figures (points, FIGURES) of which less is better, in steps: 1 % of a figure, 0.05 dB.

    Within a step two points are taken for equally good. An SQNR that is not known is none.
    """
    scale = np.log1p(_STEP)
    columns = [
        -np.log(points.fps) / scale, np.log(points.latency_ms) / scale,
        np.log(points.alm) / scale, np.log(np.maximum(points.ram_blocks, 1)) / scale,
        -np.nan_to_num(points.sqnr_db) / _STEP_DB,
    ]  # fmt: skip
    return np.asarray(np.ceil(np.stack(columns, axis=1)), np.float64)


def front_of(points: Points) -> NDArray[np.int64]:
    """Indices of the front, most frames a second first. Of points that are equally good within a
    step the fastest, then the smallest, stands for all."""
    found = costs(points)
    order = np.lexsort((points.ram_blocks, points.alm, -points.fps))
    _, first = np.unique(found[order], axis=0, return_index=True)
    distinct = order[np.sort(first)]
    return np.asarray(distinct[not_dominated(found[distinct])], np.int64)


def not_dominated(figures: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows (points, figures) no other row is at most as large as, and smaller somewhere."""
    order = np.lexsort(figures.T[::-1])
    kept = np.zeros((0, figures.shape[1]))
    found = np.zeros(len(figures), np.bool_)
    for at in range(0, len(order), _CHUNK):
        own = order[at : at + _CHUNK]
        rows = figures[own]
        # In this order nothing is dominated by what comes after it, unless it is equal.
        rest = ~_dominated(rows, kept)
        own, rows = own[rest], rows[rest]
        inside = ~_dominated(rows, rows)
        found[own[inside]] = True
        kept = np.concatenate([kept, rows[inside]])
    return found


def _dominated(rows: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.bool_]:
    if not len(by) or not len(rows):
        return np.zeros(len(rows), np.bool_)
    within, better = (np.ones((len(rows), len(by)), np.bool_), np.zeros((len(rows), len(by)), bool))
    for k in range(rows.shape[1]):
        within &= by[None, :, k] <= rows[:, None, k]
        better |= by[None, :, k] < rows[:, None, k]
    return np.asarray((within & better).any(axis=1))


def spread(order: Sequence[int], count: int) -> list[int]:
    """So many of a sequence, evenly apart, its ends among them."""
    if len(order) <= count:
        return list(order)
    places = np.linspace(0, len(order) - 1, count).round().astype(int)
    return [order[int(place)] for place in places]
