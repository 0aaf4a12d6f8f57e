"""The forms of an input, and that bad ones are refused with all their problems."""

from __future__ import annotations

import gzip
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shiftforge.errors import InputError
from shiftforge.quant.data.fashion_mnist import load_sample
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.data.photos import photo_paths
from shiftforge.quant.graph.types import Grid, Preprocess

RGB = Preprocess(3, 10, 12, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY = Preprocess(1, 10, 12, (0.5,), (0.5,))


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: NDArray[np.generic]) -> str:
    np.save(path, array)
    return str(path)


def test_an_image_is_resized_bilinearly(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = noise(30, 40, 3)
    Image.fromarray(pixels).save(path)
    frames = load_frames(str(path), RGB)
    wanted = np.asarray(Image.fromarray(pixels).resize((12, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(frames.images[0], wanted)
    assert frames.names == ("a.png",) and frames.labels is None
    assert load_frames(str(path), GREY).images.shape == (1, 10, 12, 1)


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, value in (("b.png", 20), ("a.PNG", 10), ("c.jpg", 30)):
        Image.new("L", (12, 10), value).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    frames = load_frames(str(tmp_path), GREY)
    assert frames.names == ("a.PNG", "b.png", "c.jpg")
    assert [int(i.mean()) for i in frames.images] == [10, 20, 30]
    assert len(load_frames(str(tmp_path), GREY, limit=2)) == 2


@pytest.mark.parametrize("shape", [(2, 10, 12, 1), (2, 10, 12), (10, 12), (10, 12, 1)])
def test_grey_batches(tmp_path: Path, shape: tuple[int, ...]) -> None:
    batch = noise(*shape)
    frames = load_frames(save(tmp_path / "x.npy", batch), GREY)
    assert np.array_equal(frames.images.ravel(), batch.ravel())
    assert frames.images.shape[1:] == (10, 12, 1)


def test_a_batch_of_another_size_is_resized_as_images_are(tmp_path: Path) -> None:
    batch = noise(2, 28, 28, 3)
    frames = load_frames(save(tmp_path / "x.npy", batch), RGB)
    wanted = Image.fromarray(batch[1]).resize((12, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(frames.images[1], np.asarray(wanted))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 10, 12, 3), np.float32), ["float32", "uint8"]),
        (np.full((1, 10, 12, 3), np.nan), ["NaN"]),
        (np.zeros((2, 3, 10, 12), np.uint8), ["channels first", "transpose"]),
        (np.zeros((2, 10, 12, 4), np.uint8), ["shape (2, 10, 12, 4)"]),
        (np.zeros((0, 10, 12, 3), np.uint8), ["empty"]),
        (np.zeros((4, 4), np.int64), ["int64", "shape (4, 4)"]),
        (np.array([{"a": 1}], dtype=object), ["cannot be read"]),
    ],
)
def test_bad_batches(tmp_path: Path, array: NDArray[np.generic], words: list[str]) -> None:
    spec = save(tmp_path / "x.npy", array)
    with pytest.raises(InputError) as error:
        load_frames(spec, RGB)
    assert all(word in str(error.value) for word in words)
    assert all(problem.remedy for problem in error.value.problems)


def test_truncated_and_packed_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    save(path, noise(2, 10, 12, 3))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="cannot be read"):
        load_frames(str(path), RGB)
    with path.open("wb") as stream:
        np.savez(stream, a=noise(3))
    with pytest.raises(InputError, match="several arrays"):
        load_frames(str(path), RGB)


def test_every_unreadable_image_is_named(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError) as error:
        load_frames(str(tmp_path), GREY)
    assert sorted(Path(p.where).name for p in error.value.problems) == [
        "bad.png",
        "cut.png",
        "deep.png",
    ]


@pytest.mark.parametrize(
    "spec", ["absent.png", "random:", "random:-1", "random:x", "fashion-mnist:all", "fashion-mnist"]
)
def test_unknown_inputs(spec: str) -> None:
    with pytest.raises(InputError) as error:
        load_frames(spec, RGB)
    assert error.value.problems[0].remedy


def test_an_empty_folder_and_a_bad_limit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        load_frames(str(tmp_path), RGB)
    with pytest.raises(InputError, match="limit"):
        load_frames("random:0", RGB, limit=0)


def test_random_frames_depend_on_the_seed_alone() -> None:
    one, again, other = (load_frames(s, RGB) for s in ("random:5", "random:5", "random:6"))
    assert np.array_equal(one.images, again.images) and len(one) == 16
    assert not np.array_equal(one.images, other.images)
    assert np.array_equal(load_frames("random:5", RGB, limit=3).images, one.images[:3])


def test_fashion_mnist_sample_and_folder(tmp_path: Path) -> None:
    native = Preprocess(1, 28, 28, (0.0,), (1.0,))
    sample = load_sample()
    frames = load_frames("fashion-mnist:test", native, limit=20)
    assert np.array_equal(frames.images[..., 0], sample.images[:20])
    assert frames.labels is not None and np.array_equal(frames.labels, sample.labels[:20])
    assert frames.names[3] == "fashion-mnist:test/3"
    for name, array in (("images-idx3", sample.images[:4]), ("labels-idx1", sample.labels[:4])):
        data = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
        packed = gzip.compress(data + array.astype(np.uint8).tobytes())
        (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(packed)
    assert len(load_frames("fashion-mnist:test", RGB, data_dir=tmp_path)) == 4
    train = load_frames("fashion-mnist:train", native, limit=256)
    assert np.array_equal(train.images[..., 0], load_sample("train").images)
    with pytest.raises(InputError, match="does not exist"):
        load_frames("fashion-mnist:test", RGB, limit=5, data_dir=tmp_path / "absent")


@pytest.mark.skipif(not photo_paths(), reason="needs scikit-image or scikit-learn")
def test_photos_are_deterministic_and_distinct() -> None:
    first, again = load_frames("photos", RGB, limit=20), load_frames("photos", RGB, limit=20)
    assert np.array_equal(first.images, again.images) and first.names == again.names
    assert len(set(first.names)) == 20 and len({i.tobytes() for i in first.images}) == 20


@pytest.mark.parametrize("grid", [Grid(8, True, -6), Grid(8, False, -5), Grid(4, True, -2)])
def test_codes_follow_the_formula_in_exact_arithmetic(grid: Grid) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    images = np.stack([ramp, ramp[::-1], ramp], axis=-1)[None, None]
    codes = to_codes(images, RGB, grid)
    assert codes.shape == (1, 3, 1, 256) and codes.dtype == np.int16
    for channel in range(3):
        for pixel, code in zip(images[0, 0, :, channel], codes[0, channel, 0], strict=True):
            real = Fraction(int(pixel), 255) - Fraction(RGB.mean[channel])
            scaled = real / Fraction(RGB.std[channel]) / Fraction(2) ** grid.exponent
            assert int(code) == min(max(round(scaled), grid.qmin), grid.qmax)


def test_codes_of_another_shape_or_type_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        to_codes(noise(1, 4, 4, 1), RGB, Grid(8, True, -6))
    with pytest.raises(ValueError, match="uint8"):
        to_codes(np.zeros((1, 4, 4, 3)), RGB, Grid(8, True, -6))  # type: ignore[arg-type]
