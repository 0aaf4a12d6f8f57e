"""evaluate of text classifiers: a labelled table, in float, integers and on a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_projects import BOARD, save_network, save_trained

from shiftforge.cli.main import run

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
