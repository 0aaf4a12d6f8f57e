"""What the command line's ``--input`` and ``--calib`` take, as frames of the network's size.

==========================  ====================================================================
``photo.png``               one picture
``folder/``                 every picture in it, ordered by name; in a folder of class folders every
                            picture of those, ordered by path and labelled
``batch.npy``               uint8 (N, H, W, C), or without N, or grey without C; no pickles
``fashion-mnist:test``      10,000 images, or the 500 that ship with the project
``fashion-mnist:train``     60,000 images; up to 256 ship with the project
``random:SEED``             uniform noise, 16 frames unless a limit says otherwise
``photos``                  sample photographs of scikit-image and scikit-learn, if installed
==========================  ====================================================================

Where a file or folder has the name of one of the last four, ``./NAME`` is the file and
``builtin:NAME`` the other; the bare name is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.files import check_file
from shiftforge.quant.builtin import builtin_name
from shiftforge.quant.data import fashion_mnist
from shiftforge.quant.data.batch import load_npy
from shiftforge.quant.data.images import fit, from_array, open_image
from shiftforge.quant.data.listing import Listing, list_pictures
from shiftforge.quant.data.memory import check_memory
from shiftforge.quant.data.photos import load_photos
from shiftforge.quant.graph.types import Grid, Preprocess

__all__ = [
    "Frames",
    "check_input",
    "is_builtin_input",
    "load_frames",
    "read_pictures",
    "to_codes",
]

RANDOM_COUNT = 16
_LARGEST_SEED = (1 << 64) - 1
_SPLITS: dict[str, fashion_mnist.SplitName] = {"test": "test", "train": "train"}
_FORMS = (
    "give an image, a folder of images, an .npy batch, fashion-mnist:test, fashion-mnist:train, "
    "random:SEED or photos"
)
# A value of a frame is a byte, and its code another two; both are held once more on the way.
_BYTES = 6


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames ready for normalisation.

    images: uint8 (N, height, width, channels), N >= 1.
    labels: int64 (N,), class indices; None where the input has none.
    names: N of them, for reports. notes: lines for the user, on what was left aside.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def is_builtin_input(spec: str) -> bool:
    """Whether an input is built in, by its form alone."""
    return spec == "photos" or spec.startswith(("random:", "fashion-mnist:"))


def check_input(spec: str) -> str | None:
    """The name of a built-in input, None for a file or folder; nothing is read.

    Raises InputError for what is neither, for a name that may be both and for a bad seed.
    """
    name = builtin_name(spec, is_builtin_input, _FORMS)
    if name is None:
        if not os.path.isdir(spec):  # of an empty one Path makes the current folder
            check_file(spec, _FORMS)
        return None
    kind, _, rest = name.partition(":")
    if kind == "random":
        _seed(rest)
    elif kind == "fashion-mnist":
        _split(rest)
    return name


def load_frames(
    spec: str,
    preprocess: Preprocess,
    *,
    limit: int | None = None,
    data_dir: Path | None = None,
    classes: Sequence[str] | None = None,
) -> Frames:
    """Read an input and bring it to the network's size as preprocess says.

    limit: the most frames to take, from the first; None takes all. data_dir: folder of the
    Fashion-MNIST IDX files, used by the fashion-mnist inputs alone; without it the shipped images
    are taken where limit asks for no more (500 test, 256 training), and for the test split also
    where the full set is not installed. classes: the network's labels; class folders of these names
    label their pictures, and without them no labels are looked for. Raises InputError listing every
    problem of the input, and before it is read for one that memory cannot hold.
    """
    if limit is not None and limit < 1:
        raise InputError(Problem(f"limit {limit}", "give a limit of at least 1"))
    name = check_input(spec)
    if name is None:
        return _files(spec, preprocess, limit, classes)
    kind, _, rest = name.partition(":")
    if kind == "fashion-mnist":
        return _fashion(rest, preprocess, limit, data_dir)
    if kind == "random":
        return _random(rest, preprocess, limit)
    images, names = load_photos(preprocess, limit)
    return Frames(images, None, names)


def _check_room(count: int, preprocess: Preprocess, where: str) -> None:
    """Raise InputError where so many frames do not fit into memory."""
    values = count * preprocess.height * preprocess.width * preprocess.channels
    size = f"{preprocess.height}x{preprocess.width}x{preprocess.channels}"
    check_memory(_BYTES * values, f"{count:,} frames of {size}", "give a smaller --limit", where)


def _split(which: str) -> fashion_mnist.SplitName:
    if which not in _SPLITS:
        remedy = "use fashion-mnist:test or fashion-mnist:train"
        raise InputError(Problem(f"unknown Fashion-MNIST split {which!r}", remedy))
    return _SPLITS[which]


def _seed(seed: str) -> int:
    digits = seed.isascii() and seed.isdigit() and len(seed) <= len(str(_LARGEST_SEED))
    if not digits or int(seed) > _LARGEST_SEED:
        text = repr(seed) if len(seed) <= 40 else f"of {len(seed):,} characters"
        remedy = "give a whole number from 0 to 2^64 - 1, such as random:0"
        raise InputError(Problem(f"random seed {text}", remedy))
    return int(seed)


def _fashion(
    which: str, preprocess: Preprocess, limit: int | None, data_dir: Path | None
) -> Frames:
    name = _split(which)
    enough = limit is not None and limit <= fashion_mnist.SAMPLE_COUNT[name]
    # Training images run out loudly: whoever wants them all must not train on a few instead.
    absent = name == "test" and not fashion_mnist.available("test")
    split = (
        fashion_mnist.load_sample(name)
        if data_dir is None and (enough or absent)
        else fashion_mnist.load_split(name, data_dir)
    )
    images = _fitted(split.images[:limit, :, :, None], preprocess, f"fashion-mnist:{which}")
    names = tuple(f"fashion-mnist:{which}/{i}" for i in range(len(images)))
    return Frames(images, split.labels[:limit], names)


def _random(seed: str, preprocess: Preprocess, limit: int | None) -> Frames:
    number = _seed(seed)
    count = RANDOM_COUNT if limit is None else limit
    _check_room(count, preprocess, f"random:{seed}")
    shape = (count, preprocess.height, preprocess.width, preprocess.channels)
    images = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
    return Frames(images, None, tuple(f"random:{seed}/{i}" for i in range(count)))


def _files(
    spec: str, preprocess: Preprocess, limit: int | None, classes: Sequence[str] | None
) -> Frames:
    path = Path(spec)
    if path.is_dir():
        return _folder(list_pictures(path), path, preprocess, limit, classes)
    if path.suffix.lower() == ".npy":
        batch = load_npy(path, preprocess.channels, limit)
        names = tuple(f"{path.name}/{i}" for i in range(len(batch)))
        return Frames(_fitted(batch, preprocess, spec), None, names)
    return Frames(read_pictures([path], preprocess, spec), None, (path.name,))


def _folder(
    found: Listing,
    folder: Path,
    preprocess: Preprocess,
    limit: int | None,
    classes: Sequence[str] | None,
) -> Frames:
    paths = found.paths[:limit]
    images = read_pictures(paths, preprocess, str(folder))
    if found.classes is None:
        return Frames(images, None, tuple(p.name for p in paths), found.notes)
    names = tuple(f"{p.parent.name}/{p.name}" for p in paths)
    if classes is None:
        return Frames(images, None, names, found.notes)
    numbers = {label: index for index, label in enumerate(classes)}
    wanted = set(found.classes)
    missing = sorted(wanted - set(numbers))
    twice = sorted(name for name, n in Counter(classes).items() if n > 1 and name in wanted)
    if not missing and not twice:
        labels = np.array([numbers[name] for name in found.classes[:limit]], dtype=np.int64)
        return Frames(images, labels, names, found.notes)
    kind, unclear = ("none", missing) if missing else ("several", twice)
    shown = ", ".join(unclear[:3]) + (", ..." if len(unclear) > 3 else "")
    text = f"{folder}: no labels are taken: the network has {kind} called {shown}"
    return Frames(images, None, names, (*found.notes, text))


def read_pictures(paths: Sequence[Path], preprocess: Preprocess, where: str) -> NDArray[np.uint8]:
    """Picture files as uint8 (N, H, W, C) of the network's size.

    where: what they are of, for messages. Raises InputError with every one that cannot be read, and
    before any is where memory cannot hold them.
    """
    _check_room(len(paths), preprocess, where)
    frames: list[NDArray[np.uint8]] = []
    problems = Problems()
    white = preprocess.resize.alpha == "white"
    unread: set[Path] = set()  # a list may name a picture again: it is told once
    for path in paths:
        if path in unread:
            continue
        unread.add(path)
        with collect(problems):
            image = open_image(path, preprocess.channels, white=white)
            frame = fit(image, preprocess, str(path))
            unread.remove(path)
            if not problems:
                frames.append(frame)
    problems.stop()
    return np.stack(frames)


def _fitted(images: NDArray[np.uint8], preprocess: Preprocess, where: str) -> NDArray[np.uint8]:
    """images: uint8 (N, H, W, C); C is the network's count, or 1 or 3 and then converted.

    What has the network's own size passes as it is.
    """
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    if images.shape[1:] == (height, width, channels):
        return np.ascontiguousarray(images)
    _check_room(len(images), preprocess, where)
    return np.stack([fit(from_array(i, channels), preprocess, where) for i in images])


def to_codes(
    images: NDArray[np.uint8], preprocess: Preprocess, grid: Grid
) -> NDArray[np.int16] | NDArray[np.int64]:
    """Integer input codes (N, C, H, W) of frames uint8 (N, H, W, C).

    code = rhe(((pixel / 255 - mean[c]) / std[c]) / 2**grid.exponent), in float64, clamped to the
    grid: int16 for grids of up to 15 bits, int64 beyond.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != preprocess.channels:
        raise ValueError(f"frames must be uint8 (N, H, W, {preprocess.channels})")
    # A pixel has 256 values: one table a channel, exact and quicker than the whole image.
    pixel = np.arange(256, dtype=np.float64)[:, None] / 255.0
    real = (pixel - np.asarray(preprocess.mean)) / np.asarray(preprocess.std)
    codes = np.clip(np.rint(np.ldexp(real, -grid.exponent)), grid.qmin, grid.qmax)
    table = codes.astype(np.int16 if grid.bits <= 15 else np.int64)
    planes = [table[images[..., c], c] for c in range(preprocess.channels)]
    return np.ascontiguousarray(np.stack(planes, axis=1))
