"""Batches of frames in .npy files, read by their header: nothing of a claimed size is allocated."""

from __future__ import annotations

import ast
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.quant.data.memory import check_memory

__all__ = ["load_npy"]

_SAVE = "write it with numpy.save as a uint8 array of shape (N, H, W, C)"
_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000
_ENCODINGS = {1: ("latin-1", 2), 2: ("latin-1", 4), 3: ("utf-8", 4)}
# Of values of another type; only to say whether there are NaNs among them.
_MOST_LOOKED_AT = 64 << 20


@dataclass(frozen=True)
class _Header:
    """What the file says of its array, and the bytes that follow."""

    type: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool
    follow: int

    @property
    def size(self) -> int:
        """Bytes of the array, however many it claims."""
        return math.prod(self.shape) * self.type.itemsize


def load_npy(path: Path, channels: int, limit: int | None = None) -> NDArray[np.uint8]:
    """A batch uint8 (N, H, W, channels) from an .npy file, never unpickling.

    Accepted shapes: (N, H, W, channels); (H, W, channels), one frame; with one channel also
    (N, H, W) and (H, W). limit: the most frames to take, from the first. Raises InputError for a
    file that is damaged, shorter or longer than its header says, or holds objects, for another type
    than uint8, for another shape and for an empty batch; nothing is read of those but the header.
    """
    where = str(path)
    with open_file(path, _SAVE) as stream:
        header = _header(stream, where)
        view = _view(header.shape, channels)
        problems = []
        if header.type != np.uint8:
            problems.append(_bad_type(header, stream, where))
        if view is None:
            problems.append(_bad_shape(header.shape, channels, where))
        elif not math.prod(header.shape):
            problems.append(Problem(f"the batch is empty (shape {header.shape})", _SAVE, where))
        if problems or view is None:
            raise InputError(problems)
        if header.size != header.follow:
            what = f"the header says {header.size:,} bytes, {header.follow:,} follow"
            raise InputError(Problem(f"cannot be read: {what}", _SAVE, where))
        return _read(stream, header, view, limit, where)


def _read(
    stream: BinaryIO, header: _Header, view: tuple[int, ...], limit: int | None, where: str
) -> NDArray[np.uint8]:
    count = view[0] if limit is None else min(view[0], limit)
    frame = math.prod(view[1:])
    # Fortran's order has the frames interleaved: all are read, and then again in C's order.
    wanted = header.size if header.fortran else count * frame
    check_memory(2 * wanted, f"{wanted:,} bytes of frames", "take fewer with --limit", where)
    values = np.fromfile(stream, dtype=np.uint8, count=wanted)
    if len(values) != wanted:
        raise InputError(Problem("cannot be read: it is cut short", _SAVE, where))
    if header.fortran:
        whole = values.reshape(header.shape, order="F").reshape(view)
        return np.ascontiguousarray(whole[:count])
    return values.reshape((count, *view[1:]))


def _header(stream: BinaryIO, where: str) -> _Header:
    head = stream.read(8)
    if head[:4] == b"PK\x03\x04":
        raise InputError(Problem("an archive of several arrays, not one array", _SAVE, where))
    if len(head) < 8 or head[:6] != _MAGIC or head[6] not in _ENCODINGS:
        raise InputError(Problem("cannot be read: it is no .npy file", _SAVE, where))
    encoding, width = _ENCODINGS[head[6]]
    length = int.from_bytes(stream.read(width), "little")
    if length > _MOST_HEADER:
        raise InputError(Problem(f"cannot be read: a header of {length:,} bytes", _SAVE, where))
    text = stream.read(length)
    follow = os.fstat(stream.fileno()).st_size - stream.tell()
    try:
        found = ast.literal_eval(text.decode(encoding).strip())
        if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
            raise ValueError("other fields than descr, fortran_order and shape")
        shape, fortran = found["shape"], found["fortran_order"]
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("the shape is none")
        if not isinstance(fortran, bool):
            raise ValueError("the order is neither C's nor Fortran's")
        kind = np.lib.format.descr_to_dtype(found["descr"])
    # Text of any kind may stand there; a deep one exhausts Python's parser (MemoryError).
    except (ValueError, TypeError, SyntaxError, LookupError, AttributeError, ArithmeticError,
            MemoryError, RecursionError) as error:  # fmt: skip
        what = f"cannot be read: its header is damaged ({error or type(error).__name__})"
        raise InputError(Problem(what, _SAVE, where)) from error
    if kind.hasobject:
        what = "cannot be read: it holds Python objects, and reading those could run any program"
        raise InputError(Problem(what, _SAVE, where))
    return _Header(kind, shape, fortran, follow)


def _view(shape: tuple[int, ...], channels: int) -> tuple[int, ...] | None:
    """The shape as (N, H, W, C); None where it is none."""
    if len(shape) == 4 and shape[3] == channels:
        return shape
    if len(shape) == 3 and shape[2] == channels:
        return (1, *shape)
    if channels == 1 and len(shape) == 3:
        return (*shape, 1)
    if channels == 1 and len(shape) == 2:
        return (1, *shape, 1)
    return None


def _bad_type(header: _Header, stream: BinaryIO, where: str) -> Problem:
    kind = header.type
    if np.issubdtype(kind, np.inexact) and 0 < header.size <= min(header.follow, _MOST_LOOKED_AT):
        count = int(np.isnan(np.frombuffer(stream.read(header.size), dtype=kind)).sum())
        if count:
            remedy = "repair the data and save pixels 0..255 as uint8"
            return Problem(f"{count} values are NaN (type {kind})", remedy, where)
    remedy = "save pixels 0..255 as uint8; from floats in 0..1: numpy.rint(x * 255).astype('uint8')"
    return Problem(f"values of type {str(kind)[:80]}, not uint8", remedy, where)


def _bad_shape(shape: tuple[int, ...], channels: int, where: str) -> Problem:
    wanted = f"(N, H, W, {channels})"
    if len(shape) == 4 and shape[1] == channels:
        return Problem(
            f"shape {shape} has its channels first; {wanted} is wanted",
            "transpose it: batch.transpose(0, 2, 3, 1)",
            where,
        )
    text = str(shape) if len(str(shape)) <= 80 else f"of {len(shape)} dimensions"
    return Problem(f"shape {text}, not {wanted}", "reshape or convert the batch", where)
