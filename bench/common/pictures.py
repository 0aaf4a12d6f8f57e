"""Plots for the sweeps: one look, PNG files without dates or versions in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BLUE", "GREY", "GREEN", "ORANGE", "figure", "save"]

# Told apart by colour-blind readers too (Okabe and Ito).
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#999999"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Any]] | None:
    """A figure with its axes side by side; None, with a word, where matplotlib is missing."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no picture: pip install matplotlib")
        return None
    matplotlib.use("Agg")
    matplotlib.rcParams.update(STYLE)
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, columns, figsize=(width, height), squeeze=False)
    return drawn, list(axes[0])


def save(drawn: Figure, name: str, folder: Path) -> None:
    """Write the picture; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn.tight_layout()
    with replacing(folder / name) as part:
        drawn.savefig(part, format="png", dpi=120, metadata={"Software": None})
    print(f"wrote {os.path.relpath(folder / name)}")
