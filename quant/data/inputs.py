"""What the command line's ``--input`` and ``--calib`` take, as frames of the network's size.

==========================  ====================================================================
``photo.png``               one picture
``folder/``                 every picture in it, ordered by name
``batch.npy``               uint8 (N, H, W, C), or without N, or grey without C; no pickles
``fashion-mnist:test``      10,000 images, or the 500 that ship with the project
``fashion-mnist:train``     60,000 images; up to 256 ship with the project
``random:SEED``             uniform noise, 16 frames unless a limit says otherwise
``photos``                  sample photographs of scikit-image and scikit-learn, if installed
==========================  ====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.data import fashion_mnist
from shiftforge.quant.data.batch import load_npy
from shiftforge.quant.data.images import SUFFIXES, from_array, open_image, resize
from shiftforge.quant.data.photos import load_photos
from shiftforge.quant.graph.types import Grid, Preprocess

__all__ = ["Frames", "given_frames", "load_frames", "to_codes"]

RANDOM_COUNT = 16
_SPLITS: dict[str, fashion_mnist.SplitName] = {"test": "test", "train": "train"}
_FORMS = (
    "give an image, a folder of images, an .npy batch, fashion-mnist:test, fashion-mnist:train, "
    "random:SEED or photos"
)


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames ready for normalisation.

    images: uint8 (N, height, width, channels), N >= 1.
    labels: int64 (N,), class indices; None where the input has none.
    names: N of them, for reports.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def load_frames(
    spec: str,
    preprocess: Preprocess,
    *,
    limit: int | None = None,
    data_dir: Path | None = None,
) -> Frames:
    """Read an input and resize it (PIL, bilinear) to preprocess.height x preprocess.width.

    limit: the most frames to take, from the first; None takes all. data_dir: folder of the
    Fashion-MNIST IDX files, used by the fashion-mnist inputs alone; without it the shipped images
    are taken where limit asks for no more (500 test, 256 training), and for the test split also
    where the full set is not installed. Raises InputError listing every problem of the input.
    """
    if limit is not None and limit < 1:
        raise InputError(Problem(f"limit {limit}", "give a limit of at least 1"))
    kind, _, rest = spec.partition(":")
    if kind == "fashion-mnist":
        return _fashion(rest, preprocess, limit, data_dir)
    if kind == "random":
        return _random(rest, preprocess, limit)
    if spec == "photos":
        images, names = load_photos(preprocess.channels, preprocess.height, preprocess.width, limit)
        return Frames(images, None, names)
    return _files(spec, preprocess, limit)


def _fashion(
    which: str, preprocess: Preprocess, limit: int | None, data_dir: Path | None
) -> Frames:
    name = _SPLITS.get(which)
    if name is None:
        raise InputError(
            Problem(f"unknown Fashion-MNIST split {which!r}", "use fashion-mnist:test or :train")
        )
    enough = limit is not None and limit <= fashion_mnist.SAMPLE_COUNT[name]
    # Training images run out loudly: whoever wants them all must not train on a few instead.
    absent = name == "test" and not fashion_mnist.available("test")
    split = (
        fashion_mnist.load_sample(name)
        if data_dir is None and (enough or absent)
        else fashion_mnist.load_split(name, data_dir)
    )
    images = _resized(split.images[:limit, :, :, None], preprocess)
    names = tuple(f"fashion-mnist:{which}/{i}" for i in range(len(images)))
    return Frames(images, split.labels[:limit], names)


def _random(seed: str, preprocess: Preprocess, limit: int | None) -> Frames:
    if not (seed.isascii() and seed.isdigit()):
        raise InputError(
            Problem(f"random seed {seed!r}", "give a whole number >= 0, such as random:0")
        )
    count = RANDOM_COUNT if limit is None else limit
    shape = (count, preprocess.height, preprocess.width, preprocess.channels)
    images = np.random.default_rng(int(seed)).integers(0, 256, shape, dtype=np.uint8)
    return Frames(images, None, tuple(f"random:{seed}/{i}" for i in range(count)))


def _files(spec: str, preprocess: Preprocess, limit: int | None) -> Frames:
    path = Path(spec)
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        if not paths:
            raise InputError(
                Problem(
                    "the folder holds no images", f"put {', '.join(sorted(SUFFIXES))} in it", spec
                )
            )
    elif path.is_file():
        paths = [path]
    else:
        raise InputError(Problem("no such input", _FORMS, spec))
    if path.suffix.lower() == ".npy" and path.is_file():
        batch = load_npy(path, preprocess.channels)[:limit]
        names = tuple(f"{path.name}/{i}" for i in range(len(batch)))
        return Frames(_resized(batch, preprocess), None, names)
    frames: list[NDArray[np.uint8]] = []
    problems = Problems()
    for each in paths[:limit]:
        with collect(problems):
            image = open_image(each, preprocess.channels)
            frames.append(resize(image, preprocess.height, preprocess.width))
    problems.stop()
    return Frames(np.stack(frames), None, tuple(p.name for p in paths[:limit]))


def _resized(images: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """images: uint8 (N, H, W, C); C is the network's count, or 1 or 3 and then converted."""
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    if images.shape[1:] == (height, width, channels):
        return np.ascontiguousarray(images)
    return np.stack([resize(from_array(i, channels), height, width) for i in images])


def given_frames(images: NDArray[Any], preprocess: Preprocess) -> Frames:
    """Images uint8 (N, H, W, C) of the network's own size as frames. Raises InputError."""
    wanted = (preprocess.height, preprocess.width, preprocess.channels)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[1:] != wanted
        or not len(images)
    ):
        what = f"images {images.dtype} {images.shape}"
        shape = ", ".join(map(str, wanted))
        raise InputError(Problem(what, f"give uint8 (N, {shape}), N >= 1"))
    return Frames(images, None, tuple(f"image {i}" for i in range(len(images))))


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
