"""CIFAR's binary files, picture folders and splits: what is read, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shiftforge.errors import InputError
from shiftforge.quant.data.cifar import CifarName, load_cifar
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.labelled import Labelled, split_off
from shiftforge.quant.data.picture_folder import load_picture_folder

COUNT = 4


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def write_batch(path: Path, images: NDArray[np.uint8], labels: list[list[int]]) -> None:
    """labels: the bytes before each picture."""
    records = []
    for image, label in zip(images, labels, strict=True):
        records.append(bytes(label) + image.transpose(2, 0, 1).tobytes())
    path.write_bytes(b"".join(records))


def write_cifar10(folder: Path) -> list[NDArray[np.uint8]]:
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    held = []
    for seed, name in enumerate(names):
        held.append(pictures(COUNT, seed))
        write_batch(folder / name, held[-1], [[(seed + i) % 10] for i in range(COUNT)])
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    return held


def write_cifar100(folder: Path) -> list[NDArray[np.uint8]]:
    folder.mkdir(parents=True)
    held = [pictures(COUNT, 7), pictures(COUNT, 8)]
    for name, images in zip(("train.bin", "test.bin"), held, strict=True):
        write_batch(folder / name, images, [[19, 99 - i] for i in range(COUNT)])
    return held


@pytest.mark.parametrize("inside", [".", "cifar-10-batches-bin"])
def test_cifar10_in_its_folder_or_the_one_above(tmp_path: Path, inside: str) -> None:
    held = write_cifar10(tmp_path / "here" / inside)
    found = load_dataset(f"cifar10:{tmp_path / 'here'}")
    assert np.array_equal(found.train.images, np.concatenate(held[:5]))
    assert np.array_equal(found.test.images, held[5])
    assert found.train.labels.tolist()[:6] == [0, 1, 2, 3, 1, 2]
    assert found.labels == tuple("abcdefghij") and found.preprocess.channels == 3


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    held = write_cifar100(tmp_path / "c")
    found = load_dataset(f"cifar100:{tmp_path / 'c'}", limit=3)
    assert np.array_equal(found.train.images, held[0][:3])
    assert found.test.labels.tolist() == [99, 98, 97] and len(found.labels) == 100


def test_every_fault_is_listed(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "c")
    path = tmp_path / "c" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    write_batch(tmp_path / "c" / "test_batch.bin", pictures(1, 0), [[10]])
    (tmp_path / "c" / "batches.meta.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError) as error:
        load_cifar("cifar10", tmp_path / "c")
    text = str(error.value)
    assert len(error.value.problems) == 3
    assert "no whole number of records of 3073" in text and "a label is 10" in text
    assert "2 names for 10 classes" in text


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_cifar("cifar10", tmp_path)
    assert len(error.value.problems) == 6
    assert "cifar-10-binary.tar.gz" in str(error.value)
    with pytest.raises(InputError, match="does not exist"):
        load_cifar("cifar100", tmp_path / "absent")


@pytest.mark.parametrize(("name", "file"), [("cifar10", "data_batch_1"), ("cifar100", "train")])
def test_pickles_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: CifarName, file: str
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("unpickled")

    (tmp_path / file).write_bytes(pickle.dumps({"data": [1, 2, 3]}))
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    with pytest.raises(InputError, match="pickles") as error:
        load_cifar(name, tmp_path)
    assert "binary.tar.gz" in str(error.value)


def write_pictures(folder: Path) -> None:
    for split, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(("cat", "dog")):
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = np.full((10, 12, 3), 100 * label + 10 * i, dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    found = load_dataset(f"folder:{tmp_path}", size=16, channels=1)
    assert found.train.images.shape == (6, 16, 16, 1) and found.labels == ("cat", "dog")
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.train.images[4, 3, 3, 0] == 110
    (tmp_path / "test").rename(tmp_path / "val")
    assert len(load_picture_folder(tmp_path).test) == 2


def test_faults_of_picture_folders(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "train" / "dog" / "1.png").write_bytes(b"no picture")
    (tmp_path / "train" / "eel").mkdir()
    with pytest.raises(InputError) as error:
        load_picture_folder(tmp_path)
    assert len(error.value.problems) == 2
    (tmp_path / "test" / "fox").mkdir()
    with pytest.raises(InputError, match="train has not: fox"):
        load_picture_folder(tmp_path)
    with pytest.raises(InputError) as error:
        load_picture_folder(tmp_path / "train")
    assert len(error.value.problems) == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnist", "there is no data set"),
        ("cifar10", "without its folder"),
        ("digits:here", "there is no data set"),
        ("fashion:/absent", "does not exist"),
        ("folder:/absent", "does not exist"),
    ],
)
def test_names_of_data_sets(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_dataset(spec)
    with pytest.raises(InputError) as error:
        load_dataset("digits", limit=0, size=4)
    assert len(error.value.problems) == 2


def test_digits_are_split_by_class_and_repeatably() -> None:
    pytest.importorskip("sklearn")
    one, again = load_dataset("digits"), load_dataset("digits")
    assert (len(one.train), len(one.test)) == (1437, 360) and not one.flips
    assert one.train.images.max() == 255 and one.train.images.shape[1:] == (8, 8, 1)
    assert np.array_equal(one.test.images, again.test.images)
    assert np.bincount(one.test.labels).min() >= 35
    larger = load_dataset("digits", limit=3, size=32)
    assert larger.train.images.shape == (3, 32, 32, 1) and larger.preprocess.height == 32


def test_a_validation_split_is_stratified_and_apart() -> None:
    labels = np.repeat(np.arange(5), 20).astype(np.int64)
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    rest, held = split_off(Labelled(images, labels), 25, seed=3)
    assert np.bincount(held.labels).tolist() == [5] * 5
    assert sorted([*rest.images.ravel(), *held.images.ravel()]) == list(range(100))
    assert not np.array_equal(held.images, split_off(Labelled(images, labels), 25, 4)[1].images)
    for count in (0, 100):
        with pytest.raises(InputError, match="validation"):
            split_off(Labelled(images, labels), count)
