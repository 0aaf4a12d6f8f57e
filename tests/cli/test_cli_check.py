"""check: what maps where, and that quantize refuses what does not before any calibration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import shiftforge
from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.graph.file import load_model
from shiftforge.quant.graph.types import ShiftFormat

NETWORKS = """import torch
from torch import nn

def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 4)).eval()

def odd():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 5, 5, 2),
        nn.Conv2d(8, 8, 3, 3, 2, dilation=2)).eval()

def grey():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2)).eval()

grey.input_shape = (1, 9, 9)
grey.labels = ["a", "b"]

def wrong():
    return grey()

from shiftforge.quant.graph.types import Preprocess
wrong.preprocess = Preprocess(3, 9, 9, (0.5,) * 3, (0.5,) * 3)
wrong.labels = ["a", "b", "c"]
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("torch")
    (tmp_path / "networks_for_check.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "networks_for_check:"


def document(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> dict[str, object]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_what_maps_is_a_table(networks: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", networks + "good", "--board", "de5a_net", "--resolution", "40"]
    assert run(arguments) == 0
    captured = capsys.readouterr()
    for part in ("pointwise", "depthwise", "pool", "classifier", "all modelled", "de5a_net"):
        assert part in captured.out
    assert "input 3x40x40" in captured.err
    report = document(arguments, 0, capsys)
    nodes = report["nodes"]
    assert isinstance(nodes, list) and len(nodes) == 4 and report["maps"] is True
    assert nodes[1] == {
        "node": nodes[1]["node"], "source": "3", "operator": "conv 3x3, groups 8",
        "shape": [8, 20, 20], "maps": "depthwise", "detail": "", "problems": [],
        "kind": "Conv",
    }  # fmt: skip
    modelled = report["modelled"]
    assert isinstance(modelled, dict) and modelled["modelled_fps"] > 0


def test_what_does_not_map_is_listed_and_refused_by_quantize(
    networks: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = document(["check", networks + "odd"], 2, capsys)
    problems = report["error"]
    assert isinstance(problems, list) and report["maps"] is False
    told = [p["what"] for p in problems]
    assert len(told) == 2 and all(p["remedy"] and p["where"] for p in problems)
    for part in ("stride 5", "stride 3"):
        assert any(part in what for what in told)
    # quantize says the same, and never begins to calibrate.
    monkeypatch.setattr("shiftforge.quant.quantize.quantize", None)
    output = tmp_path / "m.safetensors"
    refused = document(
        ["quantize", networks + "odd", "-o", str(output), "--calib", "random:0"], 2, capsys
    )
    assert refused["error"] == problems and not output.exists()
    with pytest.raises(InputError) as error:
        shiftforge.quantize(networks + "odd", calib="random:0")
    assert [p.what for p in error.value.problems] == told


def test_operators_that_are_not_captured_are_listed(
    networks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        NETWORKS + "def up():\n    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2))\n"
    )
    (tmp_path / "networks_with_shuffle.py").write_text(text)
    report = document(["check", "networks_with_shuffle:up"], 2, capsys)
    assert "pixel_shuffle" in json.dumps(report["error"])


def test_python_gives_the_report(networks: str) -> None:
    report = shiftforge.check(networks + "good", "a10gx1150", units=16, pixels=4)
    assert report.maps and report.figures["lanes"] == 16 * 4 * 9
    assert not shiftforge.check(networks + "odd").maps
    with pytest.raises(InputError, match="a source of the type int") as error:
        shiftforge.check(3, bits=9, lanes=4, std=(0.5, -1.0))
    assert len(error.value.problems) == 4
    with pytest.raises(InputError, match="unknown board"):
        shiftforge.check(networks + "good", "nowhere")


def test_text_classifiers_are_checked_by_their_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = document(["check", "albert-random:128x768x12x3072x2"], 0, capsys)
    assert report["kind"] == "edgebert" and report["maps"] is True
    folder = tmp_path / "hf"
    folder.mkdir()
    config = {"model_type": "albert", "hidden_size": 96, "num_attention_heads": 12,
              "intermediate_size": 100, "num_hidden_layers": 2, "embedding_size": 16,
              "max_position_embeddings": 512}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    report = document(["check", str(folder), "--board", "a10gx1150"], 2, capsys)
    assert "heads of 8 columns" in json.dumps(report["error"])
    # quantize says so before it makes a weight.
    output = tmp_path / "m.safetensors"
    wide = ["quantize", "albert-random:16x4096x64x64x1", "-o", str(output)]
    refused = document(wide, 2, capsys)
    assert "4096 columns a row of softmax or layer norm" in json.dumps(refused["error"])
    assert not output.exists()
    for wrong in (True, "12", 0, 1 << 40):
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": wrong}))
        report = document(["check", str(folder)], 2, capsys)
        assert "hidden_size is" in json.dumps(report["error"])
    refused = document(["check", "albert-random", "--mean", "0.5", "--terms", "1"], 2, capsys)
    assert len(refused["error"]) == 2  # type: ignore[arg-type]


def test_options_of_other_kinds_are_refused(
    networks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = document(["check", networks + "good", "--lanes", "16"], 2, capsys)
    assert "--lanes is for text classifiers" in json.dumps(refused["error"])


def test_options_replace_what_a_factory_has(
    networks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    output = tmp_path / "m.safetensors"
    arguments = ["quantize", networks + "grey", "-o", str(output), "--calib", "random:0",
                 "--calib-limit", "2", "--no-bias-correction", "--rounding", "nearest"]  # fmt: skip
    assert run(arguments) == 0
    assert "input 1x9x9" in capsys.readouterr().err
    assert load_model(output).labels == ("a", "b")
    more = ["--input-shape", "1,12,20", "--mean", "0.25", "--std", "0.75", "--labels", str(labels)]
    assert run([*arguments, *more]) == 0
    told = capsys.readouterr().err
    assert "input 1x12x20" in told and "mean 0.25 and std 0.75" in told
    for option in more[::2]:
        assert option in told
    made = load_model(output)
    taken = made.preprocess
    assert (taken.channels, taken.height, taken.width) == (1, 12, 20)
    assert (taken.mean, taken.std, made.labels) == ((0.25,), (0.75,), ("cat", "dog"))
    # Also where the factory's own are of another network.
    wrong = ["check", networks + "wrong", *more[:2]]
    assert run(wrong) == 2 and run([*wrong, *more[2:]]) == 0
    # Twenty-eight is a good size for a factory.
    assert run([*arguments, "--resolution", "28"]) == 0
    assert load_model(output).preprocess.height == 28


def test_one_term_is_for_all_layers_unless_the_ends_are_wide(networks: str, tmp_path: Path) -> None:
    output = str(tmp_path / "m.safetensors")
    arguments = ["quantize", networks + "good", "-o", output, "--calib", "random:0",
                 "--calib-limit", "1", "--terms", "1", "--resolution", "32"]  # fmt: skip
    one, two = ShiftFormat(4, 1, "S1"), ShiftFormat(4, 2, "S2")
    for more, ends in (([], one), (["--first-last", "wide"], two), (["--first-last", "same"], one)):
        assert run([*arguments, *more]) == 0
        formats = [conv.format for conv in load_model(output).conv_nodes()]
        assert formats == [ends, one, ends]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--mean", "0.5,0.5"], "mean of 2 channels; the network takes 1"),
        (["--mean", "0.5", "--std", "0.5,0.5"], "mean of 1 channels and std of 2"),
        (["--std", "0"], "std is (0.0,)"),
        (["--std", "nan"], "'nan' is not numbers"),
        (["--std", "1e-300"], "from 1e-06 to 1e+06"),
        (["--mean", "1e300"], "from -1e+06 to 1e+06"),
        (["--input-shape", "1,9"], "'1,9' is not C,H,W"),
        (["--input-shape", "1,9,9", "--resolution", "9"], "input_shape and resolution"),
        (["--input-shape", "1,9,99999999"], "input_shape is"),
        (["--input-shape", "1,9," + "9" * 5000], "is not C,H,W"),
        (["--resolution", "-3"], "resolution -3"),
        (["--labels", "nowhere.txt"], "there is no such file"),
        (["--labels", "."], "is a folder"),
        (["--labels", "three.txt"], "3 labels for 2 outputs"),
        (["--labels", "gap.txt"], "line 2 is empty"),
    ],
)
def test_what_replaces_is_checked(
    more: list[str], told: str, networks: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "gap.txt").write_text("a\n\nc\n")
    refused = document(["check", networks + "grey", *more], 2, capsys)
    assert told in json.dumps(refused["error"])


def test_input_shapes_are_of_factories(capsys: pytest.CaptureFixture[str]) -> None:
    refused = document(["check", "mobilenet_v2_random", "--input-shape", "3,64,64"], 2, capsys)
    assert "no package.module:factory" in json.dumps(refused["error"])


BAD = {
    "quantize": (
        ["mobilenet_v2_fashion", "-o", "/nowhere/x.onnx", "--bits", "9", "--activation-bits", "99",
         "--calib-limit", "0", "--data", "/nosuch", "--std", "0", "--rounding", "up"],
        ("shift format of 9 bits", "activations of 99 bits", "0 is not in the range",
         "'/nosuch' does not exist", "std is (0.0,)", "'up' is not one of", "does not end in",
         "folder does not exist"),
    ),
    "quantize int": (
        ["quantize", "mobilenet_v2_fashion", "-o", "/nowhere/x.onnx", "--scheme", "int", "--terms",
         "3", "--bits", "9"],
        ("terms given for integer weights", "integer weights of 9 bits", "does not end in",
         "folder does not exist"),
    ),
    "generate": (
        ["nosuch.safetensors", "--board", "a10gx1150", "-o", "/nowhere/x/y", "--lanes", "7",
         "--units", "0", "--pixels", "99", "--target-fps", "nan"],
        ("7 lanes are not offered", "0 is not in the range", "99 pixels is not supported",
         "nan is no finite number", "the parent folder does not exist"),
    ),
    "emulate": (
        ["nosuch", "--device", "bogus", "--input", "random:0", "--time-limit", "nan", "--limit",
         "0", "--data", "/nosuch"],
        ("unknown device 'bogus'", "nan is no finite number", "0 is not in the range",
         "'/nosuch' does not exist", "there is no such folder"),
    ),
    "compare": (
        ["nosuch", "--input", "random:0", "--from", "x", "--to", "x", "--time-limit", "inf"],
        ("unknown checkpoint 'x'", "'x' would be compared with itself", "inf is no finite number",
         "there is no such folder"),
    ),
    "cosim": (
        ["nosuch", "--input", "random:0", "--device", "bogus", "--time-limit", "0"],
        ("unknown device 'bogus'", "0.0 is not in the range", "there is no such folder"),
    ),
    "unit": (
        ["layer", "--n", "7", "--terms", "3", "--opencl", "bogus", "--seed", "-1", "--trace",
         "/nowhere/x.vcd"],
        ("7 lanes are not offered", "3 is not in the range", "unknown device 'bogus'",
         "'-1' is no seed", "folder does not exist"),
    ),
    "check": (
        ["mobilenet_v2_random", "--lanes", "7", "--bits", "9", "--mean", "x", "--units", "1"],
        ("7 lanes are not offered", "shift format of 9 bits", "'x' is not numbers",
         "array of 1 units"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_refused_together_before_anything_is_loaded(name: str) -> None:
    arguments, told = BAD[name]
    arguments = arguments if " " in name else [name, *arguments]
    code = (
        "import sys\n"
        "from shiftforge.cli.main import run\n"
        f"code = run({[*arguments, '--json']!r})\n"
        "heavy = {'torch', 'transformers', 'pyopencl', 'h5py'} & set(sys.modules)\n"
        "print(code, sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1] == "2 []", done.stderr
    problems = json.loads(done.stdout)["error"]
    assert all(problem["remedy"] for problem in problems)
    text = "\n".join(problem["what"] for problem in problems)
    assert all(part in text for part in told), text
    assert len(problems) == len(told), text
