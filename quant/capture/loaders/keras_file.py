"""A Keras HDF5 file as arrays and its architecture, read without Keras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.capture.loaders.screen import check_hdf5

__all__ = ["KerasFile", "read_keras"]

# No MobileNetV2 tensor comes near it; a crafted file can declare terabytes in a few bytes.
MAX_ELEMENTS = 1 << 26


@dataclass(frozen=True, eq=False)
class KerasFile:
    """arrays: float32, by (layer, weight) such as ("Conv1", "kernel"); config: model_config."""

    arrays: Mapping[tuple[str, str], NDArray[np.float32]]
    config: Mapping[str, Any]


def read_keras(path: Path) -> KerasFile:
    """Read weights and architecture; layers of nested models are found at any depth.

    Raises InputError for a file that is damaged, keeps data in other files, or has no
    architecture (as model.save_weights writes it).
    """
    check_hdf5(path)
    where = str(path)
    arrays: dict[tuple[str, str], NDArray[np.float32]] = {}
    problems = Problems()

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        parts = name.split("/")
        key = (parts[-2] if len(parts) > 1 else "", parts[-1].partition(":")[0])
        if item.external or item.is_virtual or item.size is None or item.size > MAX_ELEMENTS:
            problems.append(Problem(f"{name} is no plain array here", "save it again", where))
        elif item.dtype.kind == "f":
            # Keras names a depthwise layer's weight "depthwise_kernel" up to version 2.
            arrays[key[0], key[1].removeprefix("depthwise_")] = np.asarray(item[()], np.float32)

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            root = file.get("model_weights")
            if text is None or not isinstance(root, h5py.Group):
                raise InputError(
                    Problem("it has no architecture", "save it with model.save('x.h5')", where)
                )
            config = json.loads(text)["config"]
            root.visititems(visit)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            Problem(f"it cannot be read as HDF5: {error}", "fetch it again, it is cut short", where)
        ) from error
    problems.stop()
    return KerasFile(arrays, config)
