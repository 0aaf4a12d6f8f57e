"""Data sets to train on, by name: ``fashion``, ``digits``, ``cifar10:DIR``, ``folder:DIR``...

==================  ============================================================================
``fashion[:DIR]``   Fashion-MNIST, 28x28 grey: IDX files in DIR, or Debian's package
``digits``          scikit-learn's handwritten digits, 8x8 grey, 1,437 to train and 360 to test
``cifar10:DIR``     CIFAR-10, 32x32 RGB: the binary version in DIR
``cifar100:DIR``    CIFAR-100, likewise, its 100 fine classes
``folder:DIR``      pictures in DIR/train/<class>/ and DIR/test/<class>/
==================  ============================================================================
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.data import fashion_mnist
from shiftforge.quant.data.cifar import load_cifar
from shiftforge.quant.data.images import from_array, resize
from shiftforge.quant.data.labelled import Dataset, Labelled, first_of, split_off
from shiftforge.quant.data.memory import check_memory
from shiftforge.quant.data.picture_folder import load_picture_folder

__all__ = ["FORMS", "load_dataset"]

FORMS = "give fashion[:DIR], digits, cifar10:DIR, cifar100:DIR or folder:DIR"
_DIGITS_TEST = 360
_FOLDER_SIZE = 32


def load_dataset(
    spec: str, *, limit: int | None = None, size: int | None = None, channels: int = 3
) -> Dataset:
    """The data set that ``spec`` names.

    limit: the most pictures of either split, from the first. size: side of the square that pictures
    are resized to (PIL, bilinear); None leaves them, and takes 32 for a folder's. channels: of a
    folder's pictures. Raises InputError listing every problem of the data.
    """
    problems = Problems()
    if limit is not None and limit < 1:
        problems.append(Problem(f"limit {limit}", "give a limit of at least 1"))
    if size is not None and not 8 <= size <= 512:
        problems.append(Problem(f"pictures of {size} pixels", "choose 8 to 512"))
    problems.stop()
    kind, _, rest = spec.partition(":")
    if kind == "fashion":
        found = _fashion(Path(rest) if rest else None)
    elif kind == "digits" and not rest:
        found = _digits()
    elif kind in ("cifar10", "cifar100", "folder"):
        if not rest:
            raise InputError(Problem(f"{kind} without its folder", f"give {kind}:DIR", spec))
        if kind == "folder":
            found = load_picture_folder(Path(rest), size or _FOLDER_SIZE, channels)
        else:
            found = load_cifar("cifar10" if kind == "cifar10" else "cifar100", Path(rest))
    else:
        raise InputError(Problem(f"there is no data set {spec!r}", FORMS))
    return Dataset(
        found.name,
        _resized(first_of(found.train, limit), size),
        _resized(first_of(found.test, limit), size),
        found.labels,
        found.flips,
    )


def _resized(data: Labelled, size: int | None) -> Labelled:
    if size is None or data.images.shape[1:3] == (size, size):
        return data
    channels = data.images.shape[3]
    room = 2 * len(data) * size * size * channels
    check_memory(room, f"{len(data):,} pictures of {size}x{size}", "give a smaller --limit or size")
    images = np.stack([resize(from_array(i, channels), size, size) for i in data.images])
    return Labelled(images, data.labels)


def _fashion(folder: Path | None) -> Dataset:
    problems = Problems()
    parts = []
    names: tuple[fashion_mnist.SplitName, ...] = ("train", "test")
    for split in names:
        try:
            held = fashion_mnist.load_split(split, folder)
            parts.append(Labelled(held.images[..., None], held.labels))
        except InputError as error:
            problems += [p for p in error.problems if p not in problems]
    problems.stop()
    return Dataset("fashion", parts[0], parts[1], fashion_mnist.LABELS)


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            Problem("the digits are in scikit-learn", "pip install scikit-learn")
        ) from error
    held = load_digits()
    # Counts of set pixels in 4x4 cells, 0..16.
    images = np.rint(held.images * (255 / 16)).astype(np.uint8)[..., None]
    whole = Labelled(np.ascontiguousarray(images), held.target.astype(np.int64))
    train, test = split_off(whole, _DIGITS_TEST, seed=0)
    return Dataset("digits", train, test, tuple("0123456789"), flips=False)
