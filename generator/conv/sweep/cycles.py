"""The cycle model over points: the same rules as a plan's, on arrays (rows, columns)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.cycles import ImageUse, Kernels, advance
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.streams import Weights
from shiftforge.generator.conv.sweep.image import ImagePoints, last_used
from shiftforge.generator.conv.sweep.rows import RowStack
from shiftforge.generator.conv.times import Number, most

__all__ = ["model_rows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Depths of the columns, (1, columns)."""

    operand: NDArray[np.int64]
    weight: NDArray[np.int64]
    image: NDArray[np.int64]


def model_rows(
    stack: RowStack, depths: Sequence[Depths], latencies: Latencies
) -> NDArray[np.int64]:
    """Cycles (rows, depths) of a batch that follows another one, as ``model_cycles`` has them."""
    named = {n: np.array([[getattr(d, n) for d in depths]], np.int64)
             for n in ("operand", "weight", "image")}  # fmt: skip
    columns = _Columns(**named)
    shape = len(stack.image.count), len(depths)
    at = Kernels(*(np.zeros(shape) for _ in range(4)))
    weights = Weights(stack.word_cycles, latencies, columns.weight)
    found = np.zeros(shape, np.int64)
    for frame in range(2):
        begin = at.end
        for i, own in enumerate(stack.times):
            before, source = at.end, None
            if i == 0 and stack.image_iterations is not None:
                stored: Number = 0.0
                if frame:
                    start = np.broadcast_to(at.controller, shape)
                    stored = start + _last(stack.image, latencies, columns, 0, 0.0, 1.0, 0.0, shape)
                at.controller = most(stored + 1, at.controller + stack.image_iterations)
                at.controller = at.controller + (latencies.controller + stack.entries.controller)
            elif i == 0 and frame:
                source = _used(stack.image, latencies, columns, shape)
            advance(at, own, source, weights, latencies, columns.operand, stack.entries)
            if frame:
                if i == len(stack.times) - 1:
                    at.end = most(at.end, begin + stack.image.cycles[:, None])
                found += np.rint(at.end - before).astype(np.int64)
    return found


def _used(
    image: ImagePoints, latencies: Latencies, columns: _Columns, shape: tuple[int, int]
) -> ImageUse:
    def last(start: Number, way: Number, first: Number, pace: Number, held: Number) -> Number:
        own = int(np.max(way)), first - start, pace, held
        return start + _last(image, latencies, columns, *own, shape, columns.operand)

    return last


def _last(
    image: ImagePoints, latencies: Latencies, columns: _Columns, way: int, first: Number,
    pace: Number, held: Number, shape: tuple[int, int], ahead: NDArray[np.int64] | None = None,
) -> Floats:  # fmt: skip
    """Cycles (rows, columns) from where the controller may take a line to the last use."""

    def flat(value: Number) -> NDArray[np.float64]:
        return np.ascontiguousarray(np.broadcast_to(value, shape)).ravel()

    rows = np.repeat(np.arange(shape[0]), shape[1])
    lines = flat(0 if ahead is None else ahead).astype(np.int64)
    found = last_used(
        image.take(rows), latencies, flat(columns.image).astype(np.int64), lines, way,
        flat(first).astype(float), flat(pace).astype(float), flat(held).astype(float),
    )  # fmt: skip
    return found.reshape(shape)
