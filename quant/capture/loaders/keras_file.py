"""A Keras HDF5 file as arrays and its architecture, read without Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import parse_json
from shiftforge.quant.capture.loaders.screen import check_hdf5
from shiftforge.quant.capture.raised import reason

__all__ = ["KerasFile", "read_keras"]

REMEDY = "save it with model.save('x.h5')"
MOST_CONFIG = 16 << 20
MOST_OBJECTS = 20_000
DEEPEST = 16
# What arrays may claim beyond twice the file: half precision doubles, and a little is compressed.
SLACK = 1 << 20


@dataclass(frozen=True, eq=False)
class KerasFile:
    """arrays: float32, by (layer, weight) such as ("Conv1", "kernel"); config: model_config."""

    arrays: Mapping[tuple[str, str], NDArray[np.float32]]
    config: Mapping[str, Any]


def read_keras(path: Path) -> KerasFile:
    """Read weights and architecture; layers of nested models are found at any depth.

    Raises InputError for a file that is damaged, keeps data in other files, claims more data than
    it has room for, or has no architecture (as model.save_weights writes it).
    """
    check_hdf5(path)
    where = str(path)
    problems = Problems()
    try:
        with h5py.File(path, "r") as file:
            config = parse_json(_config_text(file, where), f"{where}: model_config", REMEDY)
            found = list(_datasets(file, path.stat().st_size, problems, where))
            problems.stop()
            # Keras names a depthwise layer's weight "depthwise_kernel" up to version 2.
            arrays = {
                (layer, weight.removeprefix("depthwise_")): np.asarray(item[()], np.float32)
                for layer, weight, item in found
            }
    except InputError:
        raise
    except Exception as error:  # h5py raises what HDF5 and numpy raise
        what = f"it cannot be read as HDF5: {reason(error)}"
        raise InputError(Problem(what, "fetch it again, it is cut short", where)) from error
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise InputError(Problem("model_config has no object 'config'", REMEDY, where))
    return KerasFile(arrays, config["config"])


def _config_text(file: h5py.File, where: str) -> str:
    """The attribute model_config, as it stands in the root of the file."""
    none = Problem("it has no architecture", REMEDY, where)
    if "model_config" not in file.attrs:
        raise InputError(none)
    claimed = file.attrs.get_id("model_config").get_storage_size()
    if claimed > MOST_CONFIG:
        what = f"model_config claims {claimed:,} bytes, more than {MOST_CONFIG:,}"
        raise InputError(Problem(what, REMEDY, where))
    text = file.attrs["model_config"]
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if not isinstance(text, str):
        raise InputError(none)
    return text


def _datasets(
    file: h5py.File, size: int, problems: Problems, where: str
) -> Iterator[tuple[str, str, h5py.Dataset]]:
    """(layer, weight, dataset) of every array of floats below model_weights, none of them read.

    Links to other places and files are not followed. size: of the file, in bytes.
    """
    if not isinstance(file.get("model_weights", getlink=True), h5py.HardLink) or not isinstance(
        file["model_weights"], h5py.Group
    ):
        raise InputError(Problem("it has no group model_weights", REMEDY, where))
    waiting: list[tuple[str, h5py.Group, int]] = [("", file["model_weights"], 0)]
    seen, claimed = 0, 0
    while waiting:
        above, group, depth = waiting.pop()
        for name in group:
            seen += 1
            if seen > MOST_OBJECTS or depth > DEEPEST:
                what = f"it has more than {MOST_OBJECTS:,} objects, or groups {DEEPEST} deep"
                raise InputError(Problem(what, REMEDY, where))
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                problems.append(Problem(f"{name} is a link to another place", REMEDY, where))
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((name, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual or item.size is None:
                    problems.append(Problem(f"{name} is no plain array here", REMEDY, where))
                    continue
                claimed += int(item.size) * max(item.dtype.itemsize, 4)
                if claimed > 2 * size + SLACK:
                    what = f"{name} is no plain array here: with it, arrays claim {claimed:,} bytes"
                    what += f" in a file of {size:,}"
                    raise InputError(Problem(what, REMEDY, where))
                if item.dtype.kind == "f":
                    yield above, name.partition(":")[0], item
