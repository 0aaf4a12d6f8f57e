"""generate on a file that holds weights with several shares of second words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_networks import random_network, with_random_variants

from shiftforge.cli.main import run
from shiftforge.quant.graph.file import load_model, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = random_network(5, family="two-term", layers=4)
    save_model(with_random_variants(network, 1, (0.1, 0.3), own=0.7), path)
    return path


Capture = pytest.CaptureFixture[str]


def generate(model: Path, folder: Path, capsys: Capture, asked: str) -> tuple[int, str, str]:
    code = run(
        ["generate", str(model), "--board", "a10gx1150", "-o", str(folder), "--units", "16",
         "--second-terms", asked, "--json"],
    )  # fmt: skip
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(("asked", "share"), [("0.1", 0.1), ("0.5", 0.3), ("3", 0.7)])
def test_the_largest_share_up_to_the_one_asked_for(
    model: Path, tmp_path: Path, capsys: Capture, asked: str, share: float
) -> None:
    code, out, _ = generate(model, tmp_path / "p", capsys, asked)
    assert code == 0
    report = json.loads(out)
    assert report["f"] == round(report["second_term_cycles"] / report["one_term_cycles"], 4)
    kept = load_model(tmp_path / "p" / "model.safetensors")
    assert kept.meta["second_terms"]["f"] == share
    assert sorted(v.second_terms for v in kept.variants) == sorted({0.1, 0.3, 0.7} - {share})


@pytest.mark.parametrize("asked", ["0.01", "-1", "nan"])
def test_shares_that_there_are_not_are_refused(
    model: Path, tmp_path: Path, capsys: Capture, asked: str
) -> None:
    code, _, err = generate(model, tmp_path / "p", capsys, asked)
    assert code == 2 and not (tmp_path / "p").exists()
    assert "0.1, 0.3, 0.7" in err or "--second-terms" in err
