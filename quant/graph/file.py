"""The model file: one safetensors file with the graph as JSON in its metadata.

Identical models give identical bytes: keys are sorted and nothing depends on time or place.
Loading trusts nothing: the bytes are screened, the graph is read field by field, digests are
compared, and the model is verified.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.jsontext import parse_json
from shiftforge.quant.graph.jsonform import to_json
from shiftforge.quant.graph.jsonread import from_json
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.verify import verify

__all__ = ["KIND", "METADATA_KEY", "load_model", "model_bytes", "save_model"]

METADATA_KEY = "shiftforge"
KIND = "conv"
"""What the file says of itself; its target's kind."""
_HEADER_LIMIT = 64 << 20
_DTYPES = {"U8", "I8", "I32", "I64", "F32"}
_MAGICS = (
    (b"\x80", "a Python pickle"),
    (b"PK\x03\x04", "a zip archive, such as PyTorch writes"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes"),
    (b"\x1f\x8b", "a gzip file"),
)
_REMEDY = "make a model file with: shiftforge quantize SOURCE -o MODEL.safetensors"


def model_bytes(model: QuantizedModel) -> bytes:
    """The model file's bytes. Raises InputError where the model is not valid."""
    verify(model)
    graph, arrays = to_json(model)
    graph = {"kind": KIND, **graph}
    text = json.dumps(graph, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # A single metadata key: safetensors keeps several in no fixed order.
    return save_arrays(arrays, metadata={METADATA_KEY: text})


def save_model(model: QuantizedModel, path: str | os.PathLike[str]) -> None:
    """Write the model file, whole or not at all.

    Raises InputError where the model is not valid or the folder cannot be written to.
    """
    write_file(path, model_bytes(model))


def load_model(path: str | os.PathLike[str]) -> QuantizedModel:
    """Read, screen and verify a model file.

    Raises InputError for a missing file, another kind of file, a truncated or damaged one, another
    schema version, and every fault that `verify` knows.
    """
    source = Path(path)
    data = _read(source)
    graph, arrays = _open(data, str(source))
    # Files of before kinds name none.
    kind = graph.pop("kind", KIND) if isinstance(graph, dict) else KIND
    if kind != KIND:
        what = f"a model of the kind {kind!r}, not a convolutional network"
        raise InputError(Problem(what, _REMEDY, str(source)))
    if isinstance(graph, dict) and graph and not {"schema", "nodes", "tensors"} & graph.keys():
        what = (
            "what the file tells of itself is no quantised network: a trained checkpoint, perhaps"
        )
        raise InputError(
            Problem(what, "quantise it, and give the file that `quantize` writes", str(source))
        )
    try:
        model = from_json(graph, arrays)
        verify(model)
    except InputError as error:
        raise InputError(
            Problem(p.what, p.remedy, f"{source}: {p.where}" if p.where else str(source))
            for p in error.problems
        ) from error
    return model


def _read(source: Path) -> bytes:
    with open_file(source, _REMEDY) as stream:
        head = stream.read(9)
        _screen(head, os.fstat(stream.fileno()).st_size, str(source))
        return head + stream.read()


def _screen(head: bytes, size: int, where: str) -> None:
    """Refuse by the first nine bytes what is no safetensors file, before reading the rest."""
    if size == 0:
        raise InputError(Problem("the file is empty", _REMEDY, where))
    length = int.from_bytes(head[:8], "little")
    if len(head) == 9 and head[8:] == b"{" and length <= _HEADER_LIMIT:
        if 8 + length > size:
            raise InputError(
                Problem(
                    f"the file is truncated: its header needs {8 + length} bytes, it has {size}",
                    "copy it again, or " + _REMEDY,
                    where,
                )
            )
        return
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            raise InputError(
                Problem(f"this is {kind}, not a safetensors model file", _REMEDY, where)
            )
    if len(head) == 9 and head[8:] == b"{":
        raise InputError(
            Problem(
                f"the file states a header of {length} bytes, {_HEADER_LIMIT} at most",
                _REMEDY,
                where,
            )
        )
    raise InputError(Problem("this is not a safetensors file", _REMEDY, where))


def _open(data: bytes, where: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    length = int.from_bytes(data[:8], "little")
    header = _parse(data[8 : 8 + length], "header", where)
    if not isinstance(header, dict):
        raise InputError(Problem("the header is not a JSON object", _REMEDY, where))
    metadata = header.pop("__metadata__", None)
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise InputError(
            Problem(
                "a safetensors file without a ShiftForge graph: float weights, perhaps",
                _REMEDY,
                where,
            )
        )
    entries = [v if isinstance(v, dict) else {} for v in header.values()]
    foreign = {str(v.get("dtype")) for v in entries} - _DTYPES
    if foreign:
        raise InputError(
            Problem(
                f"arrays of type {', '.join(sorted(foreign))} have no place in a model file",
                _REMEDY,
                where,
            )
        )
    try:
        arrays = load_arrays(data)
    except SafetensorError as error:
        raise InputError(
            Problem(
                f"the file is truncated or damaged ({error})", "copy it again, or " + _REMEDY, where
            )
        ) from error
    return _parse(text, "graph", where), {k: np.asarray(v) for k, v in arrays.items()}


def _parse(text: str | bytes, what: str, where: str) -> Any:
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"the {what} is not UTF-8 text"
        raise InputError(Problem(what, _REMEDY, where)) from error
    return parse_json(decoded, f"{where}: {what}", _REMEDY)
