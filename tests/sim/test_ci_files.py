"""A suite's files: read back as written, refused by name where they are damaged or hostile."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.manifest import Content
from shiftforge.sim.ci.goldens import Goldens, difference, goldens_bytes, goldens_of, read_goldens
from shiftforge.sim.ci.located import first_difference
from shiftforge.sim.ci.suite import SUITE, BoardPin, FilePin, Suite, read_suite, suite_text
from shiftforge.sim.results import Run
from shiftforge.sim.trace import Stage

DIGEST = "0123456789abcdef" * 4
FILES = {"goldens.npz": Content(3, DIGEST), "inputs/frames.npy": Content(4, DIGEST)}
OWN = Suite(
    "0.1.0", "0.1.0/11", "conv", "../ein Entwurf ü", DIGEST, FilePin("../m.safetensors", DIGEST),
    BoardPin("../mine.toml", {"alm": 3}), {"units": 8}, "inputs/frames.npy", 2, {}, ("pocl",),
    ("pocl",), 0, FILES, "..",
)  # fmt: skip


def written(folder: Path, **values: Any) -> Path:
    text = json.loads(suite_text(OWN)) | values
    (folder / SUITE).write_text(json.dumps(text))
    return folder


def test_a_suite_is_read_back(tmp_path: Path) -> None:
    (tmp_path / SUITE).write_bytes(suite_text(OWN))
    assert read_suite(tmp_path) == OWN


WRONG = [
    ("version", 1), ("version", "a\x1b[0m"), ("interface", None), ("kind", ["conv"]),
    ("project", "/etc"), ("project", ""), ("project", "a\0b"), ("digest", "ABC"),
    ("model", {"path": "/dev/zero", "sha256": DIGEST}), ("model", {"path": "m"}),
    ("board", {"source": "a10gx1150"}), ("board", []), ("options", []),
    ("input", "../../etc/passwd"), ("input", "suite.json"), ("input", "inputs/other.npy"),
    ("samples", 0), ("samples", 1 << 40), ("samples", 2.5), ("samples", True),
    ("devices", ["gpu"]), ("devices", "pocl"), ("require", ["intel-cpu"]), ("rtl", -1),
    ("files", {"../x": {"size": 1, "sha256": DIGEST}}), ("files", {}), ("schema", 2),
    ("root", "/"), ("run_options", 3),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_suite(written(tmp_path, **{field: value}))
    told = " ".join(problem.what for problem in raised.value.problems)
    names = {"require": "required", "devices": "evice", "input": "input"}
    assert names.get(field, field) in told or "files does not list" in told
    assert all(problem.remedy and problem.where for problem in raised.value.problems)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 10_000, '{"a": NaN}', "\xff"])
def test_what_is_no_suite_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / SUITE).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError):
        read_suite(tmp_path)


def run_of(values: Any) -> Run:
    """A layer of four channels and an output of two values."""
    frames = np.asarray(values).reshape(2, 4, 3, 1)
    axes = ("frame", "channel", "row", "column")
    layer = Stage("layer", axes, lambda: frames, label="layer <- conv")
    out = frames.sum(axis=(1, 2, 3))
    return Run("golden", (layer, Stage("out", ("frame",), lambda: out)))


def goldens(values: Any) -> Goldens:
    every = run_of(values)
    return goldens_of(DIGEST, every, Run("golden", every.trace[1:]))


def test_goldens_name_channels_and_values(tmp_path: Path) -> None:
    values = np.arange(24)
    own = goldens(values)
    (tmp_path / "g.npz").write_bytes(goldens_bytes(own))
    assert goldens_bytes(own) == goldens_bytes(goldens(values))
    read = read_goldens(tmp_path / "g.npz")
    assert read.design == DIGEST and difference(read, run_of(values), whole=True) == ""
    # Another type of the same values is equal.
    assert difference(read, run_of(values.astype(np.int8)), whole=True) == ""
    swapped = values.reshape(2, 4, 3)[:, [0, 3, 2, 1]]
    assert difference(read, run_of(swapped)) == (
        "layer <- conv, channels 1, 3 (the same values in another order: swapped)"
    )
    values[13] += 7
    told = difference(read, run_of(values))
    assert told.startswith("out: 1 of 2 values differ, the first at frame 1: ")
    assert told.endswith("; it begins in layer <- conv, channel 0")
    assert "no stage layer" in difference(read, Run("x", run_of(values).trace[1:]), whole=True)
    with pytest.raises(CheckFailed, match="nothing was compared"):
        difference(read, Run("x", ()))


def test_damaged_goldens_are_goldens_or_refused(tmp_path: Path) -> None:
    whole, rng = goldens_bytes(goldens(range(24))), random.Random(1)
    path, refused = tmp_path / "g.npz", 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        try:
            read_goldens(path)
        except InputError as error:
            assert str(path) in str(error) and "--overwrite" in str(error)
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (b"a\nb\n", b"a\nb\n", ""),
        (b"a\nc\n", b"a\nb\n", "line 2, column 1: 'c', was 'b'"),
        (b"a\n", b"a\nb\nc", "line 2, column 1: '', was 'b'"),
        (b"a", b"a\nb", "ends before line 2, which was 'b'"),
        (b"a\nb", b"a", "goes on with line 2, 'b'"),
        (b"\x00\x01", b"\x00\x02", "byte 1 is 0x01, was 0x02"),
        (b"\xff\xff", b"\xff", "byte 1 is where it goes on; 2 bytes, was 1"),
        (b"\xff", b"\xff\xfe", "byte 1 is where it ends; 1 bytes, was 2"),
    ],
)
def test_the_first_difference(now: bytes, before: bytes, told: str) -> None:
    assert first_difference(now, before) == told
