"""The file of a confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.cli.plots import is_picture_of

if TYPE_CHECKING:
    from shiftforge.sim.accuracy import Evaluation

__all__ = ["SOFTWARE", "is_confusion", "plot_confusion"]

SOFTWARE = "ShiftForge evaluate"


def is_confusion(path: Path) -> bool:
    """Whether a file is a picture of ours, and so may be replaced."""
    return is_picture_of(path, SOFTWARE)


def plot_confusion(path: Path, found: Evaluation) -> None:
    """Write the confusion matrix of the last checkpoint."""
    from shiftforge.atomic import write_file

    write_file(path, found.confusion_png({"Software": SOFTWARE}))
