"""evaluate: own labelled pictures and texts, from float to a device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_trees import COLOURS, picture_tree
from PIL import Image

import shiftforge
from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.accuracy import accuracy
from shiftforge.sim.conv import runner

CLASSES = tuple(COLOURS)


class ColourNet(torch.nn.Module):
    """Scores of blue, green and red: each channel less the mean of the others."""

    input_shape = (3, 12, 12)
    labels = CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)
        self.conv.weight.data = torch.tensor(
            [[-0.5, -0.5, 1.0], [-0.5, 1.0, -0.5], [1.0, -0.5, -0.5]]
        )[:, :, None, None]
        self.conv.bias.data.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_tree(tmp_path_factory.mktemp("pictures") / "test")


@pytest.fixture(scope="module")
def model(tree: Path) -> QuantizedModel:
    """Calibrated on the first pictures of the tree: all of blue, and one of green."""
    return shiftforge.quantize(ColourNet(), calib=str(tree), calib_limit=5)


@pytest.fixture(scope="module")
def project(model: QuantizedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "d"
    shiftforge.generate(model, "de10_nano", output=folder)
    return folder


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_float_golden_and_a_device(
    project: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, logits = tmp_path / "confusion.png", tmp_path / "logits.npz"
    found = told(
        ["evaluate", str(project), "--data", str(tree), "--plot", str(plot), "--save-logits",
         str(logits)], capsys,
    )  # fmt: skip
    assert found["samples"] == 7 and found["left_out"] == 5 and found["classes"] == list(CLASSES)
    checkpoints = found["checkpoints"]
    assert list(checkpoints)[:2] == ["float", "golden"] and len(checkpoints) == 3
    for own in checkpoints.values():
        assert own["top1"] == 1.0 and own["top5"] is None
        assert np.trace(np.array(own["confusion"])) == 7
    device = list(checkpoints)[-1]
    assert checkpoints[device]["mismatches"] == 0 and found["bit_exact"]
    first = found["predictions"][0]
    assert first["name"] == "green/1.png" and first["found"][device][0]["class"] == "green"
    assert plot.read_bytes().startswith(b"\x89PNG")
    with np.load(logits) as kept:
        assert (
            kept["logits_golden"].shape == (7, 3) and kept["labels"].tolist() == [1] * 3 + [2] * 4
        )
        assert np.array_equal(kept[f"logits_{device.replace('-', '_')}"], kept["logits_golden"])
    # Both are ours, and written again.
    assert run(["evaluate", str(project), "--data", str(tree), "--at", "golden", "--plot",
                str(plot), "--save-logits", str(logits)]) == 0  # fmt: skip
    assert "by class, golden" in capsys.readouterr().out


def test_pictures_that_calibrated_are_counted_where_asked(
    project: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(project), "--data", str(tree), "--at", "golden"]
    found = told([*arguments, "--with-calibration"], capsys)
    assert found["samples"] == 12 and found["left_out"] == 0
    assert any("calibrated the model, and are counted" in note for note in found["notes"])
    assert run([*arguments, "--limit", "4"]) == 2
    assert "--with-calibration" in capsys.readouterr().err


def test_a_list(project: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree.parent / "list.csv"
    path.write_text("file,label\ntest/red/1.png,red\ntest/green/2.png,green\ntest/red/3.png,blue\n")
    found = told(["evaluate", str(project), "--data", str(path), "--at", "golden"], capsys)
    assert found["checkpoints"]["golden"]["top1"] == pytest.approx(2 / 3)
    assert found["checkpoints"]["golden"]["confusion"] == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    path.write_text("\ufeffid,Class,path\n7,red,test/red/1.png\n8,blue,test/blue/1.png\n")
    found = told(["evaluate", str(project), "--data", str(path), "--at", "golden"], capsys)
    assert found["checkpoints"]["golden"]["top1"] == 1.0
    path.write_text("test/red/1.png,2\ntest/green/2.png,1\n")
    found = told(["evaluate", str(project), "--data", str(path), "--at", "golden"], capsys)
    assert found["checkpoints"]["golden"]["top1"] == 1.0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("test/red/1.png,violet\n", "violet"),
        ("test/red/1.png\n", "row 1"),
        ("", "no pictures"),
        ("test/red/none.png,red\ntest/red/gone.png,red\n", "gone.png"),
        ('"test/red/1.png,red\n', "no .csv"),
        ("path;class\ntest/red/1.png;red\n", "commas in place of ';'"),
        ("path,label,class\ntest/red/1.png,red,red\n", None),
        ("path,label,category\ntest/red/1.png,red,red\n", "2 columns for the class"),
        ("path,note\ntest/red/1.png,red\n", "0 columns for the class"),
        ("test/red/1.png,red\ntest/red/1.png,blue\n", "row 2 says that test/red/1.png is blue"),
        ("test/red/1.png,violet\ntest/red/none.png,red\n", "none.png: there is no such file"),
        ("test/red/1.png\ntest/red/none.png,red\n", "none.png: there is no such file"),
    ],
)
def test_bad_lists(
    rows: str, words: str | None, project: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree.parent / "bad.csv"
    path.write_text(rows)
    code = run(["evaluate", str(project), "--data", str(path), "--at", "golden"])
    text = capsys.readouterr().err
    assert code == (2 if words else 0)
    if words is None:
        return
    assert words in text and "Traceback" not in text


def test_other_classes_and_other_folders(
    project: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "violet").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "violet" / "0.png")
    for data, words in ((tmp_path, "violet"), (tree / "red", "no class folders"),
                        (tmp_path / "none", "no such file")):  # fmt: skip
        assert run(["evaluate", str(project), "--data", str(data), "--at", "golden"]) == 2
        assert words in capsys.readouterr().err
    plot = tmp_path / "other.png"
    plot.write_bytes(b"mine")
    assert run(["evaluate", str(project), "--data", str(tree), "--at", "nothing", "--plot",
                str(plot)]) == 2  # fmt: skip
    text = capsys.readouterr().err
    assert "unknown checkpoint" in text and "not written by shiftforge" in text
    assert plot.read_bytes() == b"mine"


def test_a_planted_difference_fails(
    project: Path,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    true_run = runner.checkpoint_tensors

    def faulty(project: Any, samples: Any, name: str, *rest: Any) -> Any:
        tensors, facts = true_run(project, samples, "golden", *rest)
        if name == "pocl":
            output = tensors[samples.model.output].copy()
            output.reshape(-1)[0] += 1
            tensors = {samples.model.output: output}
        return tensors, facts

    monkeypatch.setattr(runner, "checkpoint_tensors", faulty)
    monkeypatch.setattr("shiftforge.sim.compare.require_device", lambda _: None)
    arguments = ["evaluate", str(project), "--data", str(tree), "--at", "pocl"]
    found = told(arguments, capsys, 1)
    assert found["checkpoints"]["pocl"]["mismatches"] == 1 and not found["bit_exact"]


def test_pictures_that_are_there_again_are_told(
    project: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tree, tmp_path / "test")
    shutil.copy(tree / "red" / "1.png", tmp_path / "test" / "red" / "again.png")
    shutil.copy(tree / "red" / "1.png", tmp_path / "test" / "green" / "other.png")
    found = told(
        ["evaluate", str(project), "--data", str(tmp_path / "test"), "--at", "golden"], capsys
    )
    notes = "; ".join(found["notes"])
    assert "2 of the pictures are the same as others" in notes
    assert "of another class there, such as green/other.png and red/1.png" in notes


def test_a_folder_above_and_none(
    project: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tree, tmp_path / "above" / "test")
    assert run(["evaluate", str(project), "--data", str(tmp_path / "above")]) == 2
    assert f"such as {tmp_path / 'above' / 'test'}" in capsys.readouterr().err
    assert run(["evaluate", str(project), "--data", str(tmp_path / "none")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
    (tmp_path / "l.csv").write_text("gone.png,red\n" * 100)
    assert run(["evaluate", str(project), "--data", str(tmp_path / "l.csv")]) == 2
    assert capsys.readouterr().err.count("gone.png") == 1


def test_from_python(project: Path, tree: Path) -> None:
    found = shiftforge.evaluate(project, tree, at=("golden",))
    assert found.accuracies["golden"].top1 == 1.0 and len(found.labels) == 7
    with pytest.raises(InputError, match="unknown checkpoint"):
        shiftforge.evaluate(project, tree, at=("nowhere",))


def test_a_limit_that_leaves_classes_out_is_told(project: Path, tree: Path) -> None:
    found = shiftforge.evaluate(project, tree, at="golden", limit=3, calibrated=True)
    assert "the first 3 pictures are of 1 of the 3 classes" in found.notes


def test_accuracy_by_hand() -> None:
    scores = np.array([[2.0, 1, 0], [0, 2, 2], [5, 5, 5], [0, 1, 3]])
    found = accuracy(scores, np.array([0, 2, 2, 2]), ("a", "b", "c"))
    assert found.top1 == 0.5 and found.top5 is None
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    a, b, c = found.by_class
    assert (a.recall, a.precision) == (1.0, 0.5)
    assert (b.recall, b.precision) == (None, 0.0)
    assert c.recall == pytest.approx(1 / 3) and c.precision == 1.0
    six = accuracy(np.eye(6), np.array([0, 1, 2, 3, 4, 0]), tuple("abcdef"))
    assert six.top5 == 1.0 and six.top1 == pytest.approx(5 / 6)
    assert accuracy(np.arange(6.0)[None], np.array([0]), tuple("abcdef")).top5 == 0.0
