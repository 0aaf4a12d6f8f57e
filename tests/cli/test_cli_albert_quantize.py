"""Text classifiers to integer networks: random weights, folders, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from albert_projects import BOARD, problems, save_damaged, save_trained, texts

from shiftforge.cli.main import run
from shiftforge.quant.albert.network.file import load_package


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
