"""Files of data sets that are something else, or claim more than they hold."""

from __future__ import annotations

import gzip
import os
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftforge.errors import InputError
from shiftforge.quant.data import fashion_mnist as fm
from shiftforge.quant.data.cifar import load_cifar
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.picture_folder import load_picture_folder


def bomb(path: Path, head: bytes, size: int) -> None:
    """A gzip file of a head and zeros: a thousandth of its content's size."""
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as stream:
        stream.write(packer.compress(head))
        for _ in range(size >> 20):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0xFFFFFFFF, "at most 268,435,456 are read"),
        (400_000, "at most 268,435,456 are read"),
        (10, "more bytes follow"),
    ],
)
def test_gzip_bombs(tmp_path: Path, count: int, said: str) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    bomb(path, struct.pack(">4I", 0x803, count, 28, 28), 400 << 20)
    assert path.stat().st_size < 1 << 20
    before, started = peak(), time.monotonic()
    with pytest.raises(InputError, match=said):
        fm.read_idx(path)
    assert peak() - before < 100 << 20 and time.monotonic() - started < 2


def test_cut_and_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    data = struct.pack(">4I", 0x803, 20, 28, 28) + np.random.default_rng(0).bytes(20 * 784)
    whole = gzip.compress(data)
    for place in (3, 12, 200, len(whole) - 4):
        path.write_bytes(whole[:place])
        with pytest.raises(InputError) as caught:
            fm.read_idx(path)
        assert caught.value.problems[0].remedy
    for place in (2, 3, 40, len(whole) - 6):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(InputError):
            fm.read_idx(path)


def test_pipes_and_folders_in_a_fashion_mnist_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t10k-images-idx3-ubyte")
    (tmp_path / "t10k-labels-idx1-ubyte").mkdir()
    with pytest.raises(InputError) as caught:
        fm.load_split("test", tmp_path)
    assert [p.what for p in caught.value.problems] == ["is a named pipe", "is a folder"]


def cifar(folder: Path) -> None:
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(bytes(2 * 3073))


def test_cifar_files_that_are_none(tmp_path: Path) -> None:
    cifar(tmp_path)
    assert len(load_cifar("cifar10", tmp_path).train) == 10
    (tmp_path / "data_batch_1.bin").unlink()
    os.mkfifo(tmp_path / "data_batch_1.bin")
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "data_batch_2.bin").mkdir()
    (tmp_path / "data_batch_3.bin").write_bytes(b"")
    with (tmp_path / "data_batch_4.bin").open("wb") as stream:
        stream.truncate(3073 * 100_000_000)
    (tmp_path / "data_batch_5.bin").write_bytes(b"\x0b" * 3073)
    (tmp_path / "batches.meta.txt").write_bytes(b"\xff\xfe")
    before, started = peak(), time.monotonic()
    with pytest.raises(InputError) as caught:
        load_dataset(f"cifar10:{tmp_path}")
    assert peak() - before < 100 << 20 and time.monotonic() - started < 2
    told = [p.what for p in caught.value.problems]
    for words in ("named pipe", "a folder", "no whole number", "at most 153,650,000", "a label is"):
        assert any(words in text for text in told), words
    assert any("not UTF-8" in text for text in told) and len(told) == 6
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_huge_list_of_names(tmp_path: Path) -> None:
    cifar(tmp_path)
    with (tmp_path / "batches.meta.txt").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError, match="at most 1,048,576 are read"):
        load_cifar("cifar10", tmp_path)


def test_more_pictures_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        for number in range(4):
            Image.new("L", (9, 9)).save(tmp_path / split / "cat" / f"{number}.png")
    monkeypatch.setattr("shiftforge.quant.data.memory.available_bytes", lambda: 3_000_000)
    assert len(load_picture_folder(tmp_path, 64, 1).train) == 4
    with pytest.raises(InputError, match="4 pictures would take"):
        load_picture_folder(tmp_path, 512, 3)
    cifar(tmp_path)
    with pytest.raises(InputError, match="pictures of 512x512 would take"):
        load_dataset(f"cifar10:{tmp_path}", size=512)


def test_damaged_class_folders_are_all_listed(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        load_picture_folder(tmp_path, 32, 1)
    assert sum("not a picture" in p.what for p in caught.value.problems) == 2
