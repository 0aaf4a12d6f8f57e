"""Frames that a Python caller gives: arrays, tensors and loaders, instead of files.

A whole array or tensor is uint8 (N, H, W, C), pictures, or floating point (N, C, H, W), frames as
the network takes them. A loader gives batches of these, alone, first in a tuple with the classes
second, or in a mapping under one of a few names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.data.inputs import Frames
from shiftforge.quant.graph.types import Preprocess

__all__ = ["given_frames", "is_given"]

_IMAGES = ("pixel_values", "image", "images", "img", "x")
_LABELS = ("labels", "label", "y", "target")
_ROUNDED = 0.02
"""Of a pixel: what float32 leaves of 8 bits that were normalised is far below."""
_BEYOND = 512
"""Of a pixel: noise and what augmentation adds stay within twice the range, raw pixels do not."""


def is_given(value: Any) -> bool:
    """Whether a value holds frames by its type: an array or tensor with axes, or a loader."""
    if isinstance(value, str | bytes | Mapping):
        return False
    if hasattr(value, "dtype"):
        return getattr(value, "ndim", 0) > 0
    if isinstance(value, list | tuple):
        first = value[0] if value else None
        first = first[0] if isinstance(first, list | tuple) and first else first
        return isinstance(first, Mapping) or hasattr(first, "dtype")
    return isinstance(value, Iterable)


def given_frames(value: Any, preprocess: Preprocess, limit: int | None = None) -> Frames:
    """Frames of the network's own size, at most ``limit`` of them.

    Floating-point frames are brought back to pixels by the network's mean and std, and rounded to 8
    bits; the notes tell where that changes them. Raises InputError for other shapes, types and
    values.
    """
    if hasattr(value, "dtype"):
        whole = _array(value)
        images, note = _pictures(whole[:limit] if whole.ndim else whole, preprocess)
        labels = None
    else:
        images, labels, note = _loaded(value, preprocess, limit)
    names = tuple(f"image {i}" for i in range(len(images)))
    return Frames(images, labels, names, (note,) if note else ())


def _array(value: Any) -> NDArray[Any]:
    """An array of numpy's; a tensor's values, wherever it lies.

    What numpy has no type for (bfloat16) becomes float32. Raises InputError where it has none.
    """
    if isinstance(value, np.ndarray):
        return value
    kind = str(value.dtype)
    try:
        for step in ("detach", "cpu", *(("float",) if "bfloat16" in kind else ()), "numpy"):
            value = getattr(value, step)() if hasattr(value, step) else value
        return np.asarray(value)
    except Exception as error:  # of whatever library the tensor is: on meta, sparse, quantised
        what = f"a tensor of {kind} has no values to read: {reason(error)}"
        raise InputError(Problem(what, "give a dense tensor of numbers on a device")) from error


def _pictures(images: NDArray[Any], preprocess: Preprocess) -> tuple[NDArray[np.uint8], str]:
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    if images.dtype == np.uint8 and images.shape[1:] == (height, width, channels) and len(images):
        return images, ""
    frames = np.issubdtype(images.dtype, np.floating)
    if not frames or images.shape[1:] != (channels, height, width) or not len(images):
        what = f"images {images.dtype} {images.shape}"
        remedy = f"give uint8 (N, {height}, {width}, {channels}), N >= 1, or frames as the network "
        remedy += f"takes them, float (N, {channels}, {height}, {width})"
        raise InputError(Problem(what, remedy))
    if not np.isfinite(images).all():
        raise InputError(Problem("images hold NaN or infinity", "give finite values"))
    mean, std = (np.reshape(v, (-1, 1, 1)) for v in (preprocess.mean, preprocess.std))
    pixels = (images.astype(np.float64) * std + mean) * 255
    whole = np.clip(np.rint(pixels), 0, 255)
    furthest = float(np.abs(pixels - whole).max())
    if furthest > _BEYOND:
        what = f"frames from {images.min():.3g} to {images.max():.3g}; as pixels of 0 to 255 these "
        what += f"are {pixels.min():.3g} to {pixels.max():.3g}"
        remedy = "normalise them as the network takes them, (p/255 - mean) / std, or give uint8"
        raise InputError(Problem(what, remedy))
    note = ""
    if furthest > _ROUNDED:
        note = f"frames are rounded to pictures of 8 bits, by up to {furthest:.2g} of a pixel"
    return whole.transpose(0, 2, 3, 1).astype(np.uint8), note


def _loaded(
    loader: Iterable[Any], preprocess: Preprocess, limit: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, str]:
    """The batches of a loader, one after the other, up to the limit."""
    parts: list[NDArray[np.uint8]] = []
    classes: list[NDArray[np.int64]] = []
    count, note = 0, ""
    for batch in _batches(loader):
        images, labels = _batch(batch)
        own, told = _pictures(_array(images), preprocess)
        parts.append(own)
        count, note = count + len(own), note or told
        if labels is not None and np.issubdtype(_array(labels).dtype, np.integer):
            classes.append(_array(labels).astype(np.int64).reshape(-1))
        if limit is not None and count >= limit:
            break
    if not parts:
        raise InputError(Problem("the loader gives no batch", "give one that has frames"))
    known = sum(map(len, classes)) == count
    labels = np.concatenate(classes)[:limit] if known else None
    return np.concatenate(parts)[:limit], labels, note


def _batches(loader: Iterable[Any]) -> Iterator[Any]:
    """What a loader gives; whatever it raises becomes InputError."""
    try:
        yield from loader
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # of a data set of the user's, SystemExit too
        what = f"the loader raised {reason(error)}"
        raise InputError(Problem(what, "mend it: next(iter(loader)) shows where")) from error


def _batch(batch: Any) -> tuple[Any, Any]:
    """(frames, classes or None) of what a loader gives."""
    if isinstance(batch, Mapping):
        images = next((batch[name] for name in _IMAGES if name in batch), None)
        labels = next((batch[name] for name in _LABELS if name in batch), None)
    elif isinstance(batch, Sequence) and not isinstance(batch, str | bytes) and batch:
        images, labels = batch[0], batch[1] if len(batch) == 2 else None
    else:
        images, labels = batch, None
    if not hasattr(images, "dtype"):
        what = f"the loader gives a {type(batch).__name__}"
        raise InputError(Problem(what, "give batches of arrays, alone or first in a tuple"))
    return images, labels
