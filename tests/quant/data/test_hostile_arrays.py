""".npy files, limits and seeds that claim more than there is."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.data import memory
from shiftforge.quant.data.batch import load_npy
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.types import Preprocess

RGB = Preprocess(3, 10, 12, (0.5,) * 3, (0.5,) * 3)
GREY = Preprocess(1, 10, 12, (0.5,), (0.5,))


def npy(path: Path, header: str, data: bytes = b"", version: int = 1) -> str:
    """A file of any header."""
    text = header.encode("latin-1") + b"\n"
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + text + data)
    return str(path)


def described(shape: object, kind: str = "'|u1'", fortran: object = False) -> str:
    return f"{{'descr': {kind}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (described((1 << 40, 10, 12, 3)), "the header says"),
        (described((1 << 58, 2, 2, 1), "'<f8'"), "float64"),
        (described((20 * (1 << 30), 1, 1, 3)), "the header says"),
        (described((10**300, 10, 12, 3)), "the header says"),
        (described((0, 10, 12, 3)), "empty"),
        (described((-1, 10, 12, 3)), "the shape is none"),
        (described((True, 10, 12, 3)), "the shape is none"),
        (described([1, 10, 12, 3]), "the shape is none"),
        (described("(1.0, 10, 12, 3)"), "the shape is none"),
        (described((1, 10, 12, 3), "'|O'"), "could run any program"),
        (described((1, 10, 12, 3), "[('a', '|O'), ('b', '|u1')]"), "could run any program"),
        (described((1, 10, 12, 3), "[('a', '|u1')]"), "not uint8"),
        (described((1, 10, 12, 3), "'|S99999999'"), "not uint8"),
        (described((1, 10, 12, 3), "'no type'"), "header is damaged"),
        (described((1, 10, 12, 3), "{'a': 3}"), "header is damaged"),
        (described((1, 10, 12, 3), fortran=3), "neither C's nor Fortran's"),
        (described("__import__('os').abort()"), "header is damaged"),
        ("(" * 5000, "header is damaged"),
        ("[" * 2000 + "]" * 2000, "header is damaged"),
        ("9" * 9000, "header is damaged"),
        ("{}", "other fields"),
        ("", "header is damaged"),
        ("\0" * 40, "header is damaged"),
        (described((1,) * 40), "shape of 40 dimensions"),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: str, said: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    for version in (1, 2, 3):
        with pytest.raises(InputError) as caught:
            load_frames(npy(tmp_path / "x.npy", header, bytes(360), version), RGB)
        assert said in str(caught.value)
        assert all(problem.remedy for problem in caught.value.problems)
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no .npy file"),
        (b"\x93NUMPY", "no .npy file"),
        (b"\x93NUMPY\x09\0" + bytes(40), "no .npy file"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "a header of 4,294,967,295 bytes"),
        (b"\x93NUMPY\x01\0\x50\0{'descr'", "header is damaged"),
        (b"PK\x03\x04" + bytes(40), "several arrays"),
        (b"\x80\x04cos\nsystem\n.", "no .npy file"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
        load_frames(str(path), RGB)


def test_what_follows_an_array_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as stream:
        np.save(stream, np.zeros((1, 10, 12, 3), np.uint8))
        np.save(stream, np.zeros((1, 10, 12, 3), np.uint8))
    with pytest.raises(InputError, match="the header says 360 bytes, 848 follow"):
        load_frames(str(path), RGB)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_versions_orders_and_limits(tmp_path: Path, version: tuple[int, int], order: str) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (7, 10, 12, 3), dtype=np.uint8)
    path = tmp_path / "x.npy"
    with path.open("wb") as stream:
        held = np.asfortranarray(batch) if order == "F" else batch
        np.lib.format.write_array(stream, held, version=version)
    assert np.array_equal(load_npy(path, 3), batch)
    assert np.array_equal(load_npy(path, 3, 4), batch[:4])
    assert len(load_frames(str(path), RGB, limit=10**40)) == 7
    assert load_npy(path, 3).flags.writeable


def test_only_the_frames_of_the_limit_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    npy(path, described((20_000_000, 10, 12, 3)))
    with path.open("r+b") as stream:
        stream.seek(0, os.SEEK_END)
        stream.truncate(stream.tell() + 20_000_000 * 360)  # sparse
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(load_frames(str(path), RGB, limit=3)) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_small_frames_that_would_grow_beyond_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((1 << 23, 1, 1, 1), np.uint8))
    large = Preprocess(1, 2048, 2048, (0.5,), (0.5,))
    with pytest.raises(InputError, match="8,388,608 frames of 2048x2048x1 would take"):
        load_frames(str(path), large)


@pytest.mark.parametrize("limit", [10**10, 10**40])
def test_a_limit_of_more_noise_than_memory_holds(limit: int) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=r"would take .* of memory") as caught:
        load_frames("random:0", RGB, limit=limit)
    assert time.monotonic() - started < 2 and caught.value.problems[0].remedy


@pytest.mark.parametrize(
    "seed", ["9" * 5000, "18446744073709551616", "²", "1_0", "+1", " 1", "0x1"]
)
def test_seeds_that_are_none(seed: str) -> None:
    with pytest.raises(InputError) as caught:
        load_frames(f"random:{seed}", RGB)
    assert "2^64 - 1" in str(caught.value) and len(str(caught.value)) < 300
    assert len(load_frames("random:18446744073709551615", RGB, limit=1)) == 1


def test_available_memory_is_the_least_of_all_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = memory.available_bytes()
    assert room is None or 0 < room < 1 << 50
    group = tmp_path / "a" / "b"
    group.mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("5000000\n")
    (tmp_path / "a" / "memory.current").write_text("4000000\n")
    (tmp_path / "a" / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1\n")
    lines = {"/proc/self/cgroup": ["0::/a/b", "4:cpu:/a"]}
    real = memory._lines
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_lines", lambda path: lines.get(str(path)) or real(path))
    assert memory.available_bytes() == 1_500_000
    memory.check_memory(1_500_000, "it")
    with pytest.raises(InputError, match="it would take"):
        memory.check_memory(1_500_001, "it")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("900000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("100000\n")
    lines["/proc/self/cgroup"] = ["9:hugetlb,memory:/"]
    assert memory.available_bytes() == 800_000
