"""IDX reading: what is read, and that every kind of damage is refused with a remedy."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.quant.data import fashion_mnist as fm


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    head = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
    return head + array.tobytes()


def write_split(
    folder: Path, split: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], packed: bool
) -> None:
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = idx_bytes(array)
        path = folder / f"{split}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)


def digits(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return images, rng.integers(0, 10, count, dtype=np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_reads_raw_and_gzip(tmp_path: Path, packed: bool) -> None:
    images, labels = digits(7)
    write_split(tmp_path, "t10k", images, labels, packed)
    assert fm.available("test", tmp_path) and not fm.available("train", tmp_path)
    split = fm.load_split("test", tmp_path)
    assert np.array_equal(split.images, images)
    assert split.labels.dtype == np.int64 and np.array_equal(split.labels, labels)


def test_missing_folder_names_the_package_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        fm.load_split("train", tmp_path / "absent")
    assert "dataset-fashion-mnist" in str(error.value) and "--data" in str(error.value)


def test_all_missing_files_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        fm.load_split("train", tmp_path)
    assert len(error.value.problems) == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-1], "the header says"),
        (lambda data: data + b"\0", "more bytes follow"),
        (lambda data: data[:10], "header is truncated"),
        (lambda data: b"\0\0\x0d" + data[3:], "not an IDX file"),
        (lambda data: b"", "not an IDX file"),
        (lambda data: gzip.compress(data)[:-20], "damaged gzip"),
        (lambda data: b"\x1f\x8b" + data, "cannot be read"),
    ],
)
def test_damage_is_refused(tmp_path: Path, spoil: object, message: str) -> None:
    images, _ = digits(3)
    path = tmp_path / "images"
    assert callable(spoil)
    path.write_bytes(spoil(idx_bytes(images)))
    with pytest.raises(InputError, match=message):
        fm.read_idx(path)


def test_a_huge_size_in_the_header_reads_no_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">4I", 0x803, 300_000, 28, 28))
    with pytest.raises(InputError, match="only 0 bytes follow"):
        fm.read_idx(path)
    path.write_bytes(struct.pack(">4I", 0x803, 0xFFFFFFF, 28, 28))
    with pytest.raises(InputError, match="at most 268,435,456 are read"):
        fm.read_idx(path)


def test_wrong_sizes_and_labels_are_all_listed(tmp_path: Path) -> None:
    images, labels = digits(5)
    write_split(tmp_path, "train", images[:, :20], np.append(labels, np.uint8(10)), False)
    with pytest.raises(InputError) as error:
        fm.load_split("train", tmp_path)
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(("name", "count", "size"), [("test", 500, 10_000), ("train", 256, 60_000)])
def test_the_shipped_samples(name: fm.SplitName, count: int, size: int) -> None:
    sample = fm.load_sample(name)
    assert sample.images.shape == (count, 28, 28) and sample.images.dtype == np.uint8
    assert sample.labels.shape == (count,) and set(sample.labels) == set(range(10))
    if fm.available(name):
        whole = fm.load_split(name)
        assert len(whole.images) == size
        assert np.array_equal(sample.images, whole.images[:count])
        assert np.array_equal(sample.labels, whole.labels[:count])
