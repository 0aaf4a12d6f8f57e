"""``shiftforge train --network``: what is written and printed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.quant.graph.file import load_model

pytest.importorskip("sklearn")

BASE = ["train", "--network", "resnet8_small", "--data", "digits", "--limit", "80", "--batch", "16"]
SHORT = ["--epochs", "1", "--tune-epochs", "1", "--final-epochs", "0", "--device", "cpu"]


def test_from_digits_to_a_model_and_on_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    scheme = ["--scheme", "shift", "--terms", "2", "--override", "fc=int:8"]
    assert run([*BASE, *SHORT, *scheme, "-o", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    model = load_model(out / "model.safetensors")
    assert document["refused"] == [] and Path(document["model"]).is_file()
    assert [layer["scheme"] for layer in document["layers"]][::9] == ["shift4x2", "int8"]
    assert model.labels == tuple("0123456789")
    # A folder with a run is refused, or gone on with on request.
    assert run([*BASE, *SHORT, *scheme, "-o", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert run([*BASE, *SHORT, *scheme, "-o", str(out), "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "SQNR" in printed and "integer" in printed
    # Another run begins from that float network.
    start = ["--start", str(out / "float.safetensors"), "--tune-epochs", "0"]
    assert run([*BASE, *start, "-o", str(tmp_path / "b"), "--device", "cpu", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test"]["float"] == document["test"]["float"] and again["model"] is None


@pytest.mark.slow
def test_second_terms_come_in_words_of_the_array_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    short = ["--epochs", "1", "--tune-epochs", "1", "--final-epochs", "1", "--device", "cpu"]
    array = ["--board", "a10gx1150", "--units", "32", "--pixels", "3"]
    given = [*BASE, *short, "--scheme", "dtssq", "--set", "target=0.15", *array]
    assert run([*given, "-o", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    model = load_model(out / "model.safetensors")
    told = document["second_terms"]
    assert told == model.meta["second_terms"] and document["refused"] == []
    assert told["array"] == {"board": "a10gx1150", "units": 32, "pixels": 3}
    assert told["asked"] == [0.15] and 0 < told["f"] <= 0.15
    # The array's own plan, of the weights in the file: a word may be free where another one is not.
    plan = make_plan(model, load_board("a10gx1150"), array_for(model, 32, 3))
    assert plan.one_term_cycles == told["one_term_cycles"]
    assert 0 < plan.second_term_cycles <= told["second_term_cycles"] + len(plan.layers)
    # The first and the last layer are as the others.
    assert {layer["scheme"] for layer in document["layers"]} == {"dtssq4"}
    assert run([*given, "-o", str(out), "--resume"]) == 0
    assert "array cycles" in capsys.readouterr().out


def test_every_problem_is_listed_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = ["--network", "resnet9", "--data", "digitz", "--scheme", "foo", "--set", "x"]
    bad += ["--override", "a", "--override", "b=bar", "--device", "abacus"]
    assert run(["train", *bad, "-o", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    for part in ("resnet9", "digitz", "'foo'", "--set 'x'", "--override 'a'", "'bar'", "abacus"):
        assert part in told
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "dtssq"], "shift or int"),
        (["--first-last", "float"], "float first and last"),
        (["--set", "target=1", "--distil", "0.5"], "--distil without --network"),
        (["--network", "resnet8"], "--network without --data"),
        (["--network", "resnet8", "--data", "digits", "--width", "1"], "--width"),
        (["--network", "resnet8", "--data", "digits", "--set", "target=2"], "target"),
        (["--network", "resnet8", "--data", "digits", "--set", "colour=2"], "no such option"),
        (["--network", "resnet8", "--data", "cifar10"], "without its folder"),
        (["--network", "resnet8", "--data", "digits", "--units", "5"], "5 units x 7 pixels"),
        (["--network", "resnet8", "--data", "digits", "--board", "nonesuch"], "nonesuch"),
        (
            ["--network", "resnet8", "--data", "digits", "--scheme", "int", "--pixels", "7"],
            "--pixels, and no training of second terms",
        ),
        (["--units", "16"], "--units without --network"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(["train", "-o", str(tmp_path / "new"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
