"""Picture files that are something else: nothing is started, nothing large is taken."""

from __future__ import annotations

import os
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from shiftforge.errors import InputError
from shiftforge.quant.data.images import FORMATS, fit, open_image
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.types import Preprocess, Resize

RGB = Preprocess(3, 10, 12, (0.5,) * 3, (0.5,) * 3)


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(body)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refused(path: Path, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_frames(str(path), RGB)
    assert said in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


def test_postscript_under_another_name_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*arguments: object, **more: object) -> None:
        raise AssertionError("Ghostscript would have been started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\n"
    for name in ("a.png", "b.jpg", "c.tif"):
        (tmp_path / name).write_bytes(text)
        refused(tmp_path / name, "not a picture of a kind that is read")


def test_only_formats_that_are_decoded_here() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.ID)
    assert not set(FORMATS) & {"EPS", "WMF", "FPX", "MIC", "GBR", "XPM", "PDF", "MPEG", "HDF5"}


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000, 1 << 30])
def test_a_claim_of_many_pixels_is_refused_at_once(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    refused(path, "more pixels than the 89,478,485 that are read")
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_other_formats_with_claims(tmp_path: Path) -> None:
    bmp = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    bmp += struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    Image.new("L", (1, 1)).save(tmp_path / "one.gif")
    gif = (tmp_path / "one.gif").read_bytes()
    for name, data in {
        "a.ppm": b"P6 60000 60000 255\n",
        "a.gif": gif[:6] + struct.pack("<HH", 60_000, 60_000) + gif[10:],
        "a.bmp": bmp,
    }.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "more pixels than")


def test_a_narrow_picture_is_not_blown_up(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (60_000, 1)).save(path)
    rule = Preprocess(3, 224, 224, (0.5,) * 3, (0.5,) * 3, Resize("edge", (256,)))
    with pytest.raises(InputError, match="60000x1 pixels, resized to 15360000x256, are too many"):
        load_frames(str(path), rule)


def test_memory_that_is_not_there_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(9000, 9000))
    monkeypatch.setattr("shiftforge.quant.data.memory.available_bytes", lambda: 1 << 28)
    refused(path, "9000x9000 pixels would take 0.9 GiB of memory; 0.2 GiB are free")


@pytest.mark.parametrize("suffix", [".png", ".npy", ".jpg"])
def test_pipes_devices_and_folders(tmp_path: Path, suffix: str) -> None:
    pipe, folder = tmp_path / f"pipe{suffix}", tmp_path / f"folder{suffix}"
    os.mkfifo(pipe)
    folder.mkdir()
    refused(pipe, "named pipe")
    refused(folder, "holds no images")
    link = tmp_path / f"zero{suffix}"
    link.symlink_to("/dev/zero")
    refused(link, "is a device")
    link.unlink()
    link.symlink_to("nowhere")
    refused(link, "no such file")


def test_a_pipe_in_a_folder_is_named_and_not_waited_for(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("nowhere")
    (tmp_path / "d.png").write_bytes(png(9, 9, b"short"))
    with pytest.raises(InputError) as caught:
        load_frames(str(tmp_path), RGB)
    assert [Path(p.where).name for p in caught.value.problems] == ["b.png", "c.png", "d.png"]
    assert all(problem.remedy for problem in caught.value.problems)


def test_every_cut_and_every_flipped_byte_is_a_picture_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    path = tmp_path / "x"
    for kind in ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP"):
        image.save(path, format=kind)
        whole = path.read_bytes()
        for place in rng.integers(0, min(len(whole), 400), 40):
            for data in (
                whole[:place],
                whole[:place] + bytes([int(rng.integers(256))]) + whole[place + 1 :],
            ):
                path.write_bytes(data)
                try:
                    found = fit(open_image(path, 3), RGB)
                except InputError as error:
                    assert all(problem.remedy for problem in error.problems)
                else:
                    assert found.shape == (10, 12, 3)
