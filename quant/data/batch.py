"""Batches of frames in .npy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["load_npy"]


def load_npy(path: Path, channels: int) -> NDArray[np.uint8]:
    """A batch uint8 (N, H, W, channels) from an .npy file, never unpickling.

    Accepted shapes: (N, H, W, channels); (H, W, channels), one frame; with one channel also
    (N, H, W) and (H, W). Raises InputError for a file that is damaged or holds objects, for another
    type than uint8, for another shape and for an empty batch.
    """
    where = str(path)
    save = "write it with numpy.save as a uint8 array of shape (N, H, W, C)"
    try:
        held = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(Problem(f"cannot be read: {error}", save, where)) from error
    if not isinstance(held, np.ndarray):
        held.close()
        raise InputError(Problem("an archive of several arrays, not one array", save, where))
    problems = []
    if held.dtype != np.uint8:
        problems.append(_bad_type(held, where))
    batch = _batch(held, channels)
    if batch is None:
        problems.append(_bad_shape(held.shape, channels, where))
    elif not batch.size:
        problems.append(Problem(f"the batch is empty (shape {held.shape})", save, where))
    if problems or batch is None:
        raise InputError(problems)
    return batch


def _batch(held: NDArray[np.uint8], channels: int) -> NDArray[np.uint8] | None:
    if held.ndim == 4 and held.shape[3] == channels:
        return held
    if held.ndim == 3 and held.shape[2] == channels:
        return held[None]
    if channels == 1 and held.ndim == 3:
        return held[..., None]
    if channels == 1 and held.ndim == 2:
        return held[None, :, :, None]
    return None


def _bad_type(held: NDArray[np.generic], where: str) -> Problem:
    if np.issubdtype(held.dtype, np.inexact) and np.isnan(held).any():
        return Problem(
            f"{int(np.isnan(held).sum())} values are NaN (type {held.dtype})",
            "repair the data and save pixels 0..255 as uint8",
            where,
        )
    remedy = "save pixels 0..255 as uint8; from floats in 0..1: numpy.rint(x * 255).astype('uint8')"
    return Problem(f"values of type {held.dtype}, not uint8", remedy, where)


def _bad_shape(shape: tuple[int, ...], channels: int, where: str) -> Problem:
    wanted = f"(N, H, W, {channels})"
    if len(shape) == 4 and shape[1] == channels:
        return Problem(
            f"shape {shape} has its channels first; {wanted} is wanted",
            "transpose it: batch.transpose(0, 2, 3, 1)",
            where,
        )
    return Problem(f"shape {shape}, not {wanted}", "reshape or convert the batch", where)
