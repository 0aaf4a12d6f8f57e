"""Safetensors files of others, read with care: regular files, headers that their size bears out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.jsontext import parse_json

__all__ = ["KEY", "Header", "own_header", "read_header", "read_tensors", "refusals"]

KEY = "shiftforge"
"""The one entry of the metadata of our own files; its value is JSON."""
_MOST = 64 << 20
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Header:
    """shapes: of the tensors by name. metadata: texts by name."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


@contextmanager
def refusals(where: str, remedy: str) -> Iterator[None]:
    """What the library raises for damaged files, as InputError."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        what = f"no safetensors file, or a damaged one: {error}"
        raise InputError(Problem(what, remedy, where)) from error


def read_header(path: str | os.PathLike[str], remedy: str) -> Header:
    """The header alone; no tensor is read.

    Raises InputError where there is no regular file, and for a header that is none, is longer than
    the file, or has a tensor of no proper shape.
    """
    where = os.fspath(path)
    with open_file(path, remedy) as stream:
        whole = os.fstat(stream.fileno()).st_size
        size = int.from_bytes(stream.read(8), "little")
        if not 2 <= size <= min(whole - 8, _MOST):
            what = f"no safetensors file: {whole:,} bytes with a header of {size:,}"
            raise InputError(Problem(what, remedy, where))
        raw = stream.read(size)
    with refusals(where, remedy):
        found = parse_json(raw.decode("utf-8"), where, remedy)
        if not isinstance(found, dict):
            raise ValueError("the header is no object")
        metadata = found.pop(_METADATA, {})
        texts = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
        if not texts:
            raise ValueError("the header's metadata are no texts")
        return Header({name: _shape(name, entry) for name, entry in found.items()}, metadata)


def _shape(name: str, entry: Any) -> tuple[int, ...]:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"the tensor {name} has no shape")
    return tuple(shape)


def own_header(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Our JSON in a file's metadata; None where the file cannot be read or is not one of ours."""
    try:
        text = read_header(path, "").metadata.get(KEY)
        found = None if text is None else parse_json(text, os.fspath(path))
    except InputError:
        return None
    return found if isinstance(found, dict) else None


def read_tensors(
    path: Path, remedy: str, framework: str = "numpy"
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Every tensor by name, and the metadata. framework: "numpy" or "pt".

    Memory is that of the tensors, which the file's own size bounds. Raises InputError.
    """
    header = read_header(path, remedy)
    with refusals(str(path), remedy), safe_open(path, framework=framework) as held:
        return {name: held.get_tensor(name) for name in held.keys()}, header.metadata  # noqa: SIM118
