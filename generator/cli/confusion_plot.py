"""A confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftforge.cli.plots import is_picture_of

if TYPE_CHECKING:
    from shiftforge.sim.accuracy import Evaluation

__all__ = ["SOFTWARE", "is_confusion", "plot_confusion"]

SOFTWARE = "ShiftForge evaluate"
_MOST_NAMED, _MOST_NUMBERS = 60, 20


def is_confusion(path: Path) -> bool:
    """Whether a file is a picture of ours, and so may be replaced."""
    return is_picture_of(path, SOFTWARE)


def plot_confusion(path: Path, found: Evaluation) -> None:
    """Of the last checkpoint: a row a class that has samples, shares of the row as grey.

    Counts stand in the cells, and names at the axes, while they can be read.
    """
    from matplotlib.figure import Figure

    from shiftforge.atomic import replacing

    at, own = list(found.accuracies.items())[-1]
    matrix = own.confusion
    size = len(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 0.42 * size), 16.0)
    figure = Figure(figsize=(side + 1.5, side), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axis, label="share of the class's samples", shrink=0.8)
    if size <= _MOST_NAMED:
        places = range(size)
        axis.set_xticks(places, [name[:20] for name in found.classes], rotation=90, fontsize=8)
        axis.set_yticks(places, [name[:20] for name in found.classes], fontsize=8)
    if size <= _MOST_NUMBERS:
        for (i, j), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[i, j] > 0.5 else "black"
                axis.text(j, i, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xlabel("taken for")
    axis.set_ylabel("class")
    axis.set_title(f"{at}: top-1 {own.top1:.2%} of {len(found.labels):,} samples", fontsize=10)
    with replacing(path) as new:
        figure.savefig(new, format="png", dpi=110, metadata={"Software": SOFTWARE})
