"""A confusion matrix as a picture; matplotlib is optional."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["can_draw", "confusion_png"]

_MOST_NAMED, _MOST_NUMBERS = 60, 20


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def confusion_png(
    matrix: NDArray[np.int64],
    classes: Sequence[str],
    title: str,
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """matrix: (K, K), samples of class i that are taken for class j; shares of a row as shades.

    Counts stand in the cells, and names at the axes, while they can be read. metadata: of the PNG.
    """
    from matplotlib.figure import Figure

    size = len(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 0.42 * size), 16.0)
    figure = Figure(figsize=(side + 1.5, side), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axis, label="share of the class's samples", shrink=0.8)
    if size <= _MOST_NAMED:
        places = range(size)
        axis.set_xticks(places, [name[:20] for name in classes], rotation=90, fontsize=8)
        axis.set_yticks(places, [name[:20] for name in classes], fontsize=8)
    if size <= _MOST_NUMBERS:
        for (i, j), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[i, j] > 0.5 else "black"
                axis.text(j, i, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xlabel("taken for")
    axis.set_ylabel("class")
    axis.set_title(title, fontsize=10)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata=dict(metadata or {}))
    return stream.getvalue()
