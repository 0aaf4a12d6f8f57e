"""evaluate of text classifiers: a labelled table, in float, integers and on a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_projects import BOARD, save_network, save_trained, stand_in

from shiftforge.cli.main import run
from shiftforge.sim.edgebert import sentence_rtl as rtl
from shiftforge.sim.golden.edgebert.entropy import ENTROPY_FRACTION
from shiftforge.sim.opencl.probe import usable_devices

LINES = ("the film was good", "the film was bad", "a bad end", "good")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    return save_trained(tmp_path_factory.mktemp("trained") / "c")


@pytest.fixture(scope="module")
def project(classifier: Path) -> Path:
    model, folder = classifier.with_suffix(".safetensors"), classifier.parent / "project"
    assert run(["quantize", str(classifier), "-o", str(model)]) == 0
    assert run(["generate", str(model), *BOARD, "-o", str(folder)]) == 0
    return folder


def table(folder: Path, kind: str = "label", classes: tuple[str, ...] = ("good", "bad")) -> Path:
    path = folder / "own.tsv"
    rows = [f"{n}\t{text}\t{classes[n % 2]}" for n, text in enumerate(LINES)]
    path.write_text("\n".join([f"id\ttext\t{kind}", *rows]) + "\n")
    return path


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_float_integers_and_exits(
    project: Path, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(project), "--data", str(table(tmp_path)), "--at", "float", "--at",
                 "golden", "--classifier", str(classifier)]  # fmt: skip
    found = told(arguments, capsys)
    assert found["classes"] == ["bad", "good"] and found["samples"] == 4
    for at in ("float", "golden"):
        own = found["checkpoints"][at]
        assert own["exits"] == {"2": 4}
        assert np.array(own["confusion"]).sum(axis=1).tolist() == [2, 2]
    early = told([*arguments, "--threshold", "100"], capsys)
    assert early["checkpoints"]["golden"]["exits"] == {"1": 4}
    assert early["checkpoints"]["float"]["exits"] == {"1": 4}
    assert run(arguments) == 0
    assert "texts by the layer they leave at" in capsys.readouterr().out


def test_classes_by_number_and_without_header(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = told(["evaluate", str(project), "--data", str(table(tmp_path)), "--at", "golden"],
                   capsys)  # fmt: skip
    path = table(tmp_path, "class", ("1", "0"))
    by_number = told(["evaluate", str(project), "--data", str(path), "--at", "golden"], capsys)
    assert by_number["checkpoints"] == by_name["checkpoints"]
    path.write_text("\n".join(f"{t}\t{1 - n % 2}" for n, t in enumerate(LINES)) + "\n")
    bare = told(["evaluate", str(project), "--data", str(path), "--at", "golden"], capsys)
    assert bare["checkpoints"] == by_name["checkpoints"]


def test_bad_tables(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(project), "--at", "golden", "--data"]
    path = table(tmp_path, classes=("good", "awful"))
    assert run([*arguments, str(path)]) == 2
    assert "awful" in capsys.readouterr().err
    for rows, said in (
        ("text\tlabel\n\tgood\n\nrain\t\n", ("line 2 has no text", "line 4 has no class")),
        ("text\tlabel\rrain\tfine\r", ("no class called fine",)),
        ("review\tsentiment\nrain\tgood\n", ("may name its columns text and label",)),
        ("rain\t0\nrain\t7\n", ("no class called 7",)),
        ("rain\tgood\n\nrain\n", ("the first is line 3",)),
    ):
        path.write_text(rows, newline="")
        assert run([*arguments, str(path)]) == 2
        told = capsys.readouterr().err
        assert all(words in told for words in said)
    plain = tmp_path / "plain.txt"
    plain.write_text("good\n")
    assert run([*arguments, str(plain)]) == 2
    assert "no classes" in capsys.readouterr().err
    assert run([*arguments, str(table(tmp_path)), "--at", "float"]) == 2
    assert "--classifier" in capsys.readouterr().err


def test_a_network_without_tokeniser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_network(tmp_path / "n.safetensors", tokens=False)
    folder = tmp_path / "p"
    assert run(["generate", str(model), *BOARD, "-o", str(folder)]) == 0
    assert run(["evaluate", str(folder), "--data", str(table(tmp_path))]) == 2
    assert "no tokeniser" in capsys.readouterr().err


def between(project: Path, path: Path) -> float:
    """A threshold that some of the texts leave at after the first layer, and others do not."""
    from shiftforge.generator.project import open_project
    from shiftforge.sim.runner import GOLDEN, runner_of

    own = open_project(project)
    runner: Any = runner_of(own.kind)
    data = runner.labelled(own, str(path), None, runner.options(), calibrated=True)
    found = runner.run(own, data.samples, GOLDEN, every_stage=False)
    entropies = sorted(
        sentence.layers[0].entropy / 2**ENTROPY_FRACTION for sentence in found.result
    )
    assert entropies[0] < entropies[-1]
    return (entropies[0] + entropies[-1]) / 2


def test_texts_that_leave_early_everywhere(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stand_in(monkeypatch)
    path = table(tmp_path)
    line = ["evaluate", str(project), "--data", str(path), "--at", "golden", "--at", "rtl",
            "--threshold", str(between(project, path))]  # fmt: skip
    own = told(line, capsys)["checkpoints"]
    assert set(own["golden"]["exits"]) == {"1", "2"}
    assert own["rtl"]["exits"] == own["golden"]["exits"] and own["rtl"]["mismatches"] == 0
    late = rtl.ClassifierRtl
    monkeypatch.setattr(rtl, "ClassifierRtl", lambda a, b, c, **more: late(a, b, None, **more))
    own = told(line, capsys, 1)["checkpoints"]
    assert own["rtl"]["exits"] == {"2": 4} and own["rtl"]["mismatches"] > 0


@pytest.mark.slow
def test_texts_that_leave_early_on_devices_and_the_rtl(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path)
    names = ["golden", *usable_devices(), "rtl"]
    line = ["evaluate", str(project), "--data", str(path), *(n for a in names for n in ("--at", a)),
            "--threshold", str(between(project, path))]  # fmt: skip
    own = told(line, capsys)["checkpoints"]
    exits = own["golden"]["exits"]
    assert set(exits) == {"1", "2"} and all(own[at]["exits"] == exits for at in names)
    assert all(own[at]["mismatches"] == 0 for at in names[1:])
