"""Fashion-MNIST: the IDX files of a folder, and the small samples that ship with the project.

Data: Zalando Research, MIT licence (see README.md in this folder). IDX format: two zero bytes, a
type byte (8: unsigned byte), the number of dimensions, the dimensions as big-endian uint32, data.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.files import open_file

__all__ = [
    "LABELS",
    "SAMPLE_COUNT",
    "SYSTEM_FOLDER",
    "Split",
    "SplitName",
    "available",
    "load_sample",
    "load_split",
    "read_idx",
]

SplitName: TypeAlias = Literal["train", "test"]

LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SAMPLE_COUNT: dict[SplitName, int] = {"test": 500, "train": 256}

_SAMPLE: dict[SplitName, str] = {
    "test": "fashion_mnist_500.npz",
    "train": "fashion_mnist_train_256.npz",
}
_SIDE = 28
_PIECE = 1 << 20
# Five times the 60,000 training images; a gzip file of a few hundred kilobytes can claim as much.
_MOST = 256 << 20
_AGAIN = "fetch the file again"
_PREFIX = {"train": "train", "test": "t10k"}
_REMEDY = (
    "install Debian's package dataset-fashion-mnist (apt install dataset-fashion-mnist), or give "
    "the folder of the four IDX files with --data DIR"
)


@dataclass(frozen=True, eq=False)
class Split:
    """images: uint8 (N, 28, 28), 0 is background; labels: int64 (N,), 0..9, indices of LABELS."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _read(stream: BinaryIO | gzip.GzipFile, limit: int) -> bytearray:
    """At most limit bytes, in pieces: a false size in a header must not claim that much memory.

    A limit of one byte more than wanted shows a longer file without reading it whole.
    """
    data = bytearray()
    while len(data) < limit:
        piece = stream.read(min(_PIECE, limit - len(data)))
        if not piece:
            break
        data += piece
    return data


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The uint8 array of one IDX file, raw or gzip (told by content), of at most 256 MiB.

    Raises InputError for a file that cannot be read, is no unsigned-byte IDX file, is truncated,
    or goes on after its data.
    """
    where = str(path)
    with open_file(path, _AGAIN) as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        try:
            return _parse(gzip.GzipFile(fileobj=stream) if packed else stream, where)
        except gzip.BadGzipFile as error:
            raise InputError(Problem(f"cannot be read: {error}", _AGAIN, where)) from error
        except (EOFError, zlib.error) as error:
            raise InputError(Problem(f"damaged gzip data: {error}", _AGAIN, where)) from error


def _parse(stream: BinaryIO | gzip.GzipFile, where: str) -> NDArray[np.uint8]:
    head = stream.read(4)
    if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 4:
        what = f"not an IDX file of unsigned bytes (starts with {head!r})"
        raise InputError(Problem(what, _AGAIN, where))
    sizes = stream.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise InputError(Problem("the IDX header is truncated", _AGAIN, where))
    shape = struct.unpack(f">{head[3]}I", sizes)
    wanted = math.prod(shape)
    if wanted > _MOST:
        what = f"the header says {wanted:,} bytes; at most {_MOST:,} are read"
        raise InputError(Problem(what, _AGAIN, where))
    data = _read(stream, wanted + 1)
    if len(data) != wanted:
        found = f"only {len(data)} bytes follow" if len(data) < wanted else "more bytes follow"
        raise InputError(Problem(f"the header says {wanted} bytes, {found}", _AGAIN, where))
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _find(folder: Path, split: SplitName, kind: str) -> Path | None:
    dimensions = 3 if kind == "images" else 1
    for name in (
        f"{_PREFIX[split]}-{kind}-idx{dimensions}-ubyte.gz",
        f"{_PREFIX[split]}-{kind}-idx{dimensions}-ubyte",
        f"{_PREFIX[split]}-{kind}.idx{dimensions}-ubyte",
    ):
        if (folder / name).exists():
            return folder / name
    return None


def available(split: SplitName, data_dir: Path | None = None) -> bool:
    """Whether the folder (by default Debian's) holds both files of a split."""
    folder = SYSTEM_FOLDER if data_dir is None else data_dir
    return all(_find(folder, split, kind) is not None for kind in ("images", "labels"))


def load_split(split: SplitName, data_dir: Path | None = None) -> Split:
    """A whole split: 60,000 training or 10,000 test images (other counts are taken as they are).

    data_dir: folder of the IDX files; None takes that of Debian's package dataset-fashion-mnist.
    Raises InputError listing everything missing, damaged or of the wrong size.
    """
    folder = SYSTEM_FOLDER if data_dir is None else data_dir
    if not folder.is_dir():
        raise InputError(Problem("the Fashion-MNIST folder does not exist", _REMEDY, str(folder)))
    problems = Problems()
    arrays: dict[str, NDArray[np.uint8]] = {}
    for kind in ("images", "labels"):
        path = _find(folder, split, kind)
        if path is None:
            problems.append(Problem(f"no {_PREFIX[split]}-{kind} IDX file", _REMEDY, str(folder)))
            continue
        with collect(problems):
            arrays[kind] = read_idx(path)
    if not problems:
        problems += _check(arrays["images"], arrays["labels"], str(folder))
    problems.stop()
    return Split(arrays["images"], arrays["labels"].astype(np.int64))


def _check(images: NDArray[np.uint8], labels: NDArray[np.uint8], where: str) -> list[Problem]:
    problems = []
    if images.ndim != 3 or images.shape[1:] != (_SIDE, _SIDE) or not len(images):
        problems.append(
            Problem(f"images of shape {images.shape}, not (N, {_SIDE}, {_SIDE})", _REMEDY, where)
        )
    if labels.ndim != 1 or len(labels) != len(images):
        problems.append(
            Problem(f"labels of shape {labels.shape} for {len(images)} images", _REMEDY, where)
        )
    if labels.size and int(labels.max()) >= len(LABELS):
        problems.append(
            Problem(f"a label is {int(labels.max())}, the largest is 9", _REMEDY, where)
        )
    return problems


def load_sample(split: SplitName = "test") -> Split:
    """The images that ship with the project: no download, no other package.

    They are the first 500 of the test split, and the first 256 of the training split, which serve
    to calibrate.
    """
    resource = files("shiftforge.quant.data") / _SAMPLE[split]
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
        return Split(held["images"], held["labels"].astype(np.int64))
