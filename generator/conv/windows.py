"""Windows of depthwise and standard convolutions: which columns of a tile's lines they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shiftforge.generator.conv.layers import Layer

__all__ = ["Geometry", "geometry_numbers", "lefts", "window_columns"]


Geometry = tuple[str, int, int]
"""(mode, stride, left padding)."""


def window_columns(
    geometries: Sequence[Geometry], mode: str, pixels: int
) -> tuple[tuple[int, int, int], ...]:
    """(number, stride, first column) of a mode's windows that differ, the first of those alike.

    Columns count from the tile in which a window begins. A tile of one pixel has three columns,
    whatever the stride and the padding. Left padding below 0 is of windows that begin so many
    columns inside the map.
    """
    numbers = geometry_numbers(geometries, pixels)
    return tuple(
        (i, geometries[i][1], -geometries[i][2] % pixels)
        for i in sorted({n for own, n in numbers.items() if own[0] == mode})
    )


def geometry_numbers(geometries: Sequence[Geometry], pixels: int) -> Mapping[Geometry, int]:
    """The number of each geometry: that of the first with the same windows."""
    found: dict[tuple[str, int, int], int] = {}
    numbers = {}
    for i, (mode, stride, left) in enumerate(geometries):
        same = mode, stride if pixels > 1 else 1, -left % pixels
        numbers[mode, stride, left] = found.setdefault(same, i)
    return numbers


def lefts(layer: Layer) -> tuple[int, ...]:
    """Left padding of each column of a layer's windows."""
    own = layer.windows
    return tuple(layer.left - n * own.column_step for n in range(own.columns))
