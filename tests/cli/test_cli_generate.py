"""generate: its JSON, that it writes only what changed, and every bad input with its remedy."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from shiftforge.cli.main import run
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import save_model

KEYS = {
    "board",
    "lanes",
    "ideal_cycles",
    "modelled_cycles",
    "clock_mhz",
    "modelled_fps",
    "utilisation",
    "buffer_bytes",
    "symmetric_bytes",
    "digest",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    save_model(random_model(1), path)
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Runs a command that must end in 2 and gives its problems, each with a remedy."""
    assert run([*arguments, "--json"]) == 2
    problems: list[dict[str, str]] = json.loads(capsys.readouterr().out)["error"]
    assert all(p["what"] and p["remedy"] for p in problems)
    return problems


def test_generate(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["generate", str(model), "--board", "a10gx1150", "-o", str(tmp_path / "d")]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) >= KEYS
    assert 0 < report["utilisation"] <= 1
    assert report["ideal_cycles"] <= report["modelled_cycles"]
    assert run(arguments) == 0
    assert report["digest"] in capsys.readouterr().out
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "d").rglob("*") if p.is_file()}
    assert run(arguments) == 0
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "d").rglob("*") if p.is_file()}
    assert before == after


def test_every_argument_is_checked_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(pickle.dumps({"a": 1}))
    problems = refused(
        ["generate", str(bad), "--board", "a10gx115", "-o", str(tmp_path / "mine")], capsys
    )
    told = " ".join(p["what"] for p in problems)
    assert "not empty" in told
    assert "unknown board" in told
    assert "pickle" in told
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("output", ["file", "missing/d"])
def test_bad_output(
    model: Path, tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    refused(["generate", str(model), "--board", "a10gx1150", "-o", str(tmp_path / output)], capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def damaged(kind: str, model: Path, path: Path) -> None:
    data = model.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps([1, 2]))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "floats":
        save_file({"w": np.zeros(3, np.float32)}, path)


@pytest.mark.parametrize("kind", ["truncated", "pickle", "empty", "floats", "missing"])
def test_bad_model(
    kind: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.safetensors"
    damaged(kind, model, path)
    (problem,) = refused(
        ["generate", str(path), "--board", "a10gx1150", "-o", str(tmp_path / "d")], capsys
    )
    assert str(path) in problem["where"]
    assert not (tmp_path / "d").exists()


def test_board_too_small(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.resources import files

    text = (files("shiftforge.boards") / "de10_nano.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("alm = 41910", "alm = 400"))
    problems = refused(
        ["generate", str(model), "--board", str(small), "-o", str(tmp_path / "d")], capsys
    )
    assert any("de10_nano" in str(p) or "ALM" in str(p) for p in problems)
    assert not (tmp_path / "d").exists()


def test_the_base_install_is_enough(model: Path, tmp_path: Path) -> None:
    """Without the extras: boards, doctor's report and generate still work."""
    code = f"""
import sys
for absent in ("torch", "transformers", "pyopencl", "h5py", "sklearn", "skimage", "scipy"):
    sys.modules[absent] = None
from shiftforge.cli.main import run
assert run(["boards"]) == 0
assert run(["generate", {str(model)!r}, "--board", "a10gx1150", "-o", {str(tmp_path / "d")!r}]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
