"""compare: equal checkpoints, a planted difference that is located, and bad inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import pretend_usable

import shiftforge
from shiftforge.cli.main import run
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv import runner


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return random_model(1)


@pytest.fixture(scope="module")
def project(model: QuantizedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "d"
    shiftforge.generate(model, "a10gx1150", output=folder)
    return folder


def arguments(project: Path, first: str = "fake-quantised", second: str = "golden") -> list[str]:
    return ["compare", str(project), "--input", "random:3", "--limit", "2", "--from", first,
            "--to", second]  # fmt: skip


def test_equal_checkpoints(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert run([*arguments(project), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (pair,) = told["pairs"]
    assert told["passed"]
    assert (pair["mismatches"], pair["bit_exact"], pair["samples"]) == (0, True, 2)
    assert pair["top1_agreement"] == 1.0
    assert len(pair["layers"]) == len(random_model(1).nodes) + 1
    assert run([*arguments(project), "--layers"]) == 0
    assert "equal" in capsys.readouterr().out


def test_planted_difference_is_located(
    project: Path,
    model: QuantizedModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = model.nodes[2]
    true_run = runner.checkpoint_tensors

    def faulty(project: Any, samples: Any, name: str, *rest: Any) -> Any:
        # "pocl" here is golden with one changed code: no device is needed to test the search.
        tensors, facts = true_run(project, samples, "golden", *rest)
        if name == "pocl":
            changed = tensors[node.output].astype(np.int64)
            changed[1, 2, 3, 1] += 5
            tensors[node.output] = changed
        return tensors, facts

    pretend_usable(monkeypatch)
    monkeypatch.setattr(runner, "checkpoint_tensors", faulty)
    assert run([*arguments(project, "golden", "pocl"), "--json"]) == 1
    printed = capsys.readouterr()
    (pair,) = json.loads(printed.out)["pairs"]
    found = pair["divergence"]
    assert not pair["bit_exact"]
    assert (found["tensor"], found["node"]) == (node.output, node.name)
    place = (found["frame"], found["channel"], found["row"], found["column"])
    assert place == (1, 2, 3, 1)
    assert found["value_b"] == found["value_a"] + 5
    assert f"first differ in {node.output}" in printed.err


def test_float_is_measured_not_failed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true_run = runner.checkpoint_tensors

    def rounded(project: Any, samples: Any, name: str, *rest: Any) -> Any:
        tensors, facts = true_run(project, samples, "golden", *rest)
        if name != "float":
            return tensors, facts
        held = random_model(1).tensors
        return {k: v * 2.0 ** held[k].grid.exponent * 0.9 for k, v in tensors.items()}, facts

    monkeypatch.setattr(runner, "checkpoint_tensors", rounded)
    monkeypatch.setattr(runner, "float_problems", lambda _: [])
    assert run([*arguments(project, "float", "golden"), "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["mismatches"] > 0
    assert pair["divergence"] is None
    assert pair["output_sqnr_db"] == pytest.approx(-20 * np.log10(1 / 9), abs=0.01)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"first": "gold"}, "unknown checkpoint 'gold'"),
        ({"first": "golden"}, "compared with itself"),
    ],
)
def test_bad_checkpoints(
    change: dict[str, str], told: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(project, **change)) == 2
    assert told in capsys.readouterr().err


def test_from_alone_is_a_usage_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(project), "--input", "random:1", "--from", "golden"]) == 2
    assert "go together" in capsys.readouterr().err


def test_unusable_devices_are_skipped_by_name_and_reason(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_usable(monkeypatch, "pocl", "intel-cpu", "intel-fpga-emu")
    true_run = runner.checkpoint_tensors
    # The model is random integers: it has no float network.
    monkeypatch.setattr(
        runner, "checkpoint_tensors", lambda p, s, _, *a: true_run(p, s, "golden", *a)
    )
    line = ["compare", str(project), "--input", "random:3", "--limit", "1"]
    assert run([*line, "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [state["name"] for state in told["skipped"]] == ["pocl", "intel-cpu", "intel-fpga-emu"]
    assert [pair["to"] for pair in told["pairs"]] == ["fake-quantised", "golden"]
    assert "pocl is skipped: pocl was planted" in printed.err
    assert run([*line, "--from", "golden", "--to", "pocl"]) == 2
    assert "device pocl is not usable: pocl was planted" in capsys.readouterr().err
