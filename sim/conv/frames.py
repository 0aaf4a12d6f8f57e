"""The checks and reads that `emulate` and `compare` begin with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.generator.project import folder_model
from shiftforge.quant.data.inputs import Frames, load_frames
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.opencl.probe import require_device

__all__ = ["model_and_frames"]


def model_and_frames(
    folder: Path, devices: Iterable[str], source: str, limit: int | None, data_dir: Path | None
) -> tuple[QuantizedModel, Frames]:
    """The folder's model and the input's frames; InputError with all that is wrong with any."""
    problems: list[Problem] = []
    model = frames = None
    for device in devices:
        try:
            require_device(device)
        except InputError as error:
            problems += error.problems
    try:
        model = folder_model(folder)
    except InputError as error:
        problems += error.problems
    if model is not None:
        try:
            frames = load_frames(source, model.preprocess, limit=limit, data_dir=data_dir)
        except InputError as error:
            problems += error.problems
    if problems or model is None or frames is None:
        raise InputError(problems)
    return model, frames
