"""Windows of depthwise and standard convolutions: which columns of a tile's lines they take."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["window_columns"]


def window_columns(
    geometries: Iterable[tuple[str, int, int]], mode: str, pixels: int
) -> tuple[tuple[int, int, int], ...]:
    """(number, stride, first column) of a mode's windows that differ, the first of those alike.

    geometries: (mode, stride, left padding). Columns count from the tile before a window's own one.
    A tile of one pixel has three columns, whatever the stride and the padding.
    """
    found: dict[tuple[int, int], int] = {}
    for i, (kind, stride, left) in enumerate(geometries):
        if kind == mode:
            step = stride if pixels > 1 else 1
            found.setdefault((step, pixels - 1 if left else 0), i)
    return tuple((i, stride, origin) for (stride, origin), i in found.items())
