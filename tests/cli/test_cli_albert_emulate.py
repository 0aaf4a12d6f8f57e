"""Sentences on a device: labels, planted differences, bad input, damaged projects."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from albert_projects import BOARD, problems, save_network, stand_in, texts
from devices import pretend_usable

from shiftforge.cli.main import run
from shiftforge.quant.albert.network.file import load_package


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
    assert "the first 11 tokens and the last, [SEP], are taken" in printed.err


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
    from shiftforge.quant.text import catalogue as module
    from shiftforge.quant.text import inputs as albert_texts
    from shiftforge.quant.text.corpus import without_copies

    rows = [(f"rain number {i}", "abcde"[i % 5]) for i in range(50)]
    made = without_copies("bbc", rows)
    monkeypatch.setitem(module.CORPORA, "bbc", lambda: made)
    package = load_package(project / "network.safetensors")
    held = chosen_fold(made, 0).held_out
    for source in ("bbc:held-out", "held-out"):
        found = albert_texts.load_texts(source, package)
        assert list(found.names) == [made.texts[i] for i in held]
    few = albert_texts.load_texts("bbc:held-out:5", package, 3)
    assert len(few) == 3
    assert few.names[-1] == made.texts[held[-1]]
    other = without_copies("bbc", [(text, label + "x") for text, label in rows])
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
    """All options first, whatever the project holds; then all that it and the input hold."""
    line = ["emulate", str(project), "--input", "nowhere", "--data", str(tmp_path), "--json"]
    assert run([*line, "--device", "gpu", "--threshold", "-1"]) == 2
    told = problems(capsys)
    for what in ("unknown device 'gpu'", "a threshold of -1", "--data is for"):
        assert what in told
    assert run([*line, "--device", "pocl"]) == 2
    told = problems(capsys)
    for what in ("no such input", "--data is for"):
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


def test_the_functions_take_texts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shiftforge
    from shiftforge.errors import InputError

    stand_in(monkeypatch)
    told = shiftforge.emulate(project, "pocl", input=["the cat is good", "rain"], threshold=1.2)
    assert told.bit_exact and told.samples == 2
    assert [row["text"] for row in told.facts["sentences"]] == ["the cat is good", "rain"]
    (pair,) = shiftforge.compare(project, input="random:1", pairs=(("golden", "pocl"),))
    assert pair.passed and pair.values > 1000
    with pytest.raises(InputError, match="no option is called 'data_dir'"):
        shiftforge.emulate(project, "pocl", input="random:0", data_dir=Path())
