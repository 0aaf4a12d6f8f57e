"""generate on a file that holds weights with several shares of second words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_networks import random_network, with_random_variants

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.quant.graph.variants import shares, with_variant


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


@pytest.fixture(scope="module")
def counted(model: Path) -> dict[float, float]:
    """f on the array that is built by the share that the file tells: random weights have others."""
    network, board = load_model(model), load_board("a10gx1150")
    found = {}
    for share in shares(network):
        chosen = with_variant(network, share)
        found[share] = make_plan(chosen, board, array_for(chosen, 16, 7)).second_terms
    return found


def test_the_largest_share_whose_count_is_up_to_the_one_asked_for(
    model: Path, counted: dict[float, float], tmp_path: Path, capsys: Capture
) -> None:
    for number, most in enumerate(sorted({round(f, 3) for f in counted.values()})):
        code, out, _ = generate(model, tmp_path / str(number), capsys, str(most))
        assert code == 0
        report = json.loads(out)
        assert report["f"] == round(report["second_term_cycles"] / report["one_term_cycles"], 4)
        kept = load_model(tmp_path / str(number) / "model.safetensors").meta["second_terms"]["f"]
        assert kept == max(share for share, f in counted.items() if round(f, 3) <= most)
        assert report["f"] == round(counted[kept], 4)


@pytest.mark.parametrize("asked", ["0.01", "-1", "nan"])
def test_shares_that_there_are_not_are_refused(
    model: Path, counted: dict[float, float], tmp_path: Path, capsys: Capture, asked: str
) -> None:
    code, _, err = generate(model, tmp_path / "p", capsys, asked)
    assert code == 2 and not (tmp_path / "p").exists()
    told = ", ".join(f"{counted[share]:.3f}" for share in sorted(counted))
    assert told in err or "--second-terms" in err


def test_a_file_without_a_choice_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "model.safetensors"
    save_model(random_network(5, family="two-term", layers=2), path)
    code, _, err = generate(path, tmp_path / "p", capsys, "0.5")
    assert code == 2 and "no choice" in err
