"""``shiftforge cache``, and commands that find what an earlier run kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shiftforge import kept
from shiftforge.cli.main import run
from shiftforge.errors import CheckFailed
from shiftforge.generator import kept_design
from shiftforge.kept import cache_place
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import save_model

DEVICES = [
    pytest.param("pocl", marks=pytest.mark.slow),
    "intel-cpu",
    pytest.param("intel-fpga-emu", marks=pytest.mark.slow),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(kept.OFF)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(random_model(1), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def generated(capsys: pytest.CaptureFixture[str], model: Path, output: Path, *more: str) -> Any:
    options = ("--board", "a10gx1150", "-o", str(output), *more)
    report = told(capsys, "generate", str(model), *options)
    return {k: v for k, v in report.items() if k not in ("output", "seconds")}


def test_a_design_is_generated_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = generated(capsys, model, tmp_path / "a")

    def refuse(*_: object, **__: object) -> None:
        raise CheckFailed("it was built again")

    monkeypatch.setattr(kept_design, "build", refuse)
    assert generated(capsys, model, tmp_path / "b") == first
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    # Another option, another model, another generator: nothing of them was kept.
    arguments = ["generate", str(model), "-o", str(tmp_path / "c"), "--board"]
    assert run([*arguments, "a10gx1150", "--units", "8", "--pixels", "4"]) == 1
    assert run([*arguments, "de10_nano"]) == 1
    save_model(random_model(2), model)
    assert run([*arguments, "a10gx1150"]) == 1
    save_model(random_model(1), model)
    monkeypatch.setattr(kept_design, "generator_digest", lambda: "another")
    assert run([*arguments, "a10gx1150"]) == 1


@pytest.mark.parametrize("device", DEVICES)
def test_a_program_is_compiled_once(
    device: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    generated(capsys, model, folder)
    arguments = ("emulate", str(folder), "--device", device, "--input", "random:0", "--limit", "1")
    assert told(capsys, *arguments)["mismatches"] == 0
    (program,) = cache_place("programs").iterdir()
    used = program.stat().st_mtime_ns
    assert told(capsys, *arguments)["mismatches"] == 0
    assert [p.name for p in cache_place("programs").iterdir()] == [program.name]
    assert program.stat().st_mtime_ns > used
    # What is damaged, or is no program, is compiled again.
    program.write_bytes(program.read_bytes()[:-1])
    assert told(capsys, *arguments)["mismatches"] == 0
    kept.Store("programs").write(program.name, b"no program")
    assert told(capsys, *arguments)["mismatches"] == 0
    # Changed text is another program.
    text = folder / "device/accelerator.cl"
    text.write_text(text.read_text() + "\n/* edited */\n")
    assert told(capsys, *arguments, "--edited")["mismatches"] == 0
    assert len(list(cache_place("programs").iterdir())) == 2


def test_it_is_shown_and_cleared(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated(capsys, model, tmp_path / "d")
    found = {own["kind"]: own for own in told(capsys, "cache")}
    assert set(found) == set(kept.KINDS)
    assert found["designs"]["entries"] == 1 and found["designs"]["size"] > 0
    assert found["designs"]["folder"] == str(cache_place("designs"))
    (only,) = told(capsys, "cache", "designs")
    assert only == found["designs"]
    assert run(["cache"]) == 0
    assert "generated designs" in capsys.readouterr().out
    assert told(capsys, "cache", "--clear", "programs")[0]["entries"] == 0
    assert {own["kind"]: own["entries"] for own in told(capsys, "cache")}["designs"] == 1
    assert run(["cache", "--clear"]) == 0
    assert "freed" in capsys.readouterr().err
    assert not any(own["entries"] for own in told(capsys, "cache"))


def test_unknown_kinds_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    problems = told(capsys, "cache", "designs", "old", "new", code=2)["error"]
    assert [p["what"] for p in problems] == [f"nothing of the kind '{k}' is kept" for k in
                                             ("old", "new")]  # fmt: skip
    assert all("designs" in p["remedy"] for p in problems)
