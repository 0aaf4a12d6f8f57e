"""Tensors whose bytes lie in files beside the model."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file

if TYPE_CHECKING:
    from onnx import TensorProto

__all__ = ["load_external"]

_REMEDY = "store it with onnx.save(model, path, save_as_external_data=True), in one folder"


def load_external(tensor: TensorProto, folder: Path) -> None:
    """Read a tensor's bytes into it.

    Raises InputError unless they lie in a regular file inside the folder, reached through no
    symbolic link, and are as many as the tensor's shape and type take.
    """
    import onnx

    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    inside = PurePosixPath(location)
    if not location or "\0" in location or "\\" in location or inside.is_absolute():
        raise _refused(tensor, f"its bytes are at {location!a}, no place in the model's folder")
    if ".." in inside.parts:
        raise _refused(tensor, f"its bytes are at {location!a}, outside of the model's folder")
    path = folder
    for part in inside.parts:
        path /= part
        try:
            kind = os.lstat(path).st_mode
        except (OSError, ValueError) as error:
            raise _refused(tensor, f"its bytes are at {location!a}, where no file is") from error
        if stat.S_ISLNK(kind):
            raise _refused(tensor, f"its bytes are at {location!a}, behind a symbolic link")
    try:
        offset, length = int(said.get("offset", "0")), int(said.get("length", "-1"))
        kind_of = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(tensor, "its offset, length or type is no such thing") from error
    taken = math.prod(tensor.dims) * kind_of.itemsize
    with open_file(path, _REMEDY) as file:
        size = os.fstat(file.fileno()).st_size
        length = taken if length < 0 else length
        if min(tensor.dims, default=0) < 0 or length != taken or offset < 0:
            raise _refused(
                tensor, f"{length:,} bytes from {offset:,} on, its shape takes {taken:,}"
            )
        if offset + length > size:
            what = f"its bytes reach to {offset + length:,} in a file of {size:,} ({location})"
            raise _refused(tensor, what)
        file.seek(offset)
        tensor.raw_data = file.read(length)
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT


def _refused(tensor: TensorProto, what: str) -> InputError:
    return InputError(Problem(what, _REMEDY, tensor.name))
