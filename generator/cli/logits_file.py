"""Logits of an evaluation as an .npz file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from shiftforge.sim.accuracy import Evaluation

__all__ = ["is_logits", "save_logits"]

_LABELS, _LOGITS = "labels", "logits_"


def is_logits(path: Path) -> bool:
    """Whether a file is one of ours, and so may be replaced."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return f"{_LABELS}.npy" in names and any(name.startswith(_LOGITS) for name in names)


def save_logits(path: Path, found: Evaluation) -> None:
    """labels: int64 (N,); names, classes: texts; logits_AT: float64 (N, K) at each checkpoint."""
    from shiftforge.atomic import write_file

    arrays: dict[str, Any] = {
        _LABELS: found.labels, "names": np.array(found.names), "classes": np.array(found.classes),
    }  # fmt: skip
    for at, own in found.scores.items():
        arrays[f"{_LOGITS}{at.replace('-', '_')}"] = own
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_file(path, stream.getvalue())
