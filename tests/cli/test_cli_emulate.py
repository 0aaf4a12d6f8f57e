"""emulate: its JSON and exit codes on a stand-in for the device, and every bad input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import pretend_usable
from numpy.typing import NDArray

import shiftforge
from shiftforge.cli.main import run
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model
from shiftforge.sim.golden.conv.network import run_golden

KEYS = {
    "device",
    "platform",
    "channels",
    "samples",
    "mismatches",
    "bit_exact",
    "top1",
    "seconds_per_sample",
}


@dataclass(frozen=True)
class StandIn:
    """What a device run gives."""

    outputs: NDArray[np.int32]
    traces: dict[str, NDArray[Any]] | None
    platform: str = "stand-in"
    channels: str = "lowered"
    seconds_per_sample: float = 0.25


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "d"
    shiftforge.generate(random_model(1), "a10gx1150", output=folder)
    return folder


def stand_in(monkeypatch: pytest.MonkeyPatch, fault: str = "") -> None:
    """Replaces the device by the reference, with a planted fault."""

    def emulate(
        folder: Path, device: str, codes: NDArray[Any], *, check: bool, **_: Any
    ) -> StandIn:
        model = load_model(folder / "model.safetensors")
        tensors = run_golden(model, codes)
        traced = model.nodes[1].output
        outputs = tensors[model.output].reshape(len(codes), -1).astype(np.int32)
        traces = {traced: tensors[traced].astype(np.int64)} if check else None
        if fault == "output":
            outputs[-1, 3] += 1
        if fault == "map" and traces is not None:
            traces[traced][0, 1, 2, 0] -= 7
        return StandIn(outputs, traces)

    monkeypatch.setattr("shiftforge.sim.conv.emulate.emulate", emulate)


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_usable(monkeypatch)


def arguments(project: Path, *more: str) -> list[str]:
    return ["emulate", str(project), "--device", "pocl", "--input", "random:3", "--limit", "20",
            *more]  # fmt: skip


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_exact_run(
    check: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch)
    assert run([*arguments(project, *check), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= KEYS
    assert (told["mismatches"], told["bit_exact"], told["samples"]) == (0, True, 20)
    assert told["top1"] is None
    assert told["seconds_per_sample"] == pytest.approx(0.25)
    assert told["checked"] == ("every layer" if check else "output")
    assert run(arguments(project, *check)) == 0
    assert "mismatches" in capsys.readouterr().out


@pytest.mark.parametrize(("fault", "frame", "channel"), [("output", 19, 3), ("map", 0, 1)])
def test_planted_fault_ends_in_1_and_is_located(
    fault: str,
    frame: int,
    channel: int,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch, fault)
    assert run([*arguments(project, "--check"), "--json"]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert not told["bit_exact"]
    assert told["mismatches"] == 1
    assert (told["divergence"]["frame"], told["divergence"]["channel"]) == (frame, channel)
    assert "golden and pocl first differ in" in printed.err


def test_without_check_only_the_output_is_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "map")
    assert run(arguments(project)) == 0


def test_all_bad_arguments_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["emulate", str(tmp_path / "no"), "--device", "gpu", "--input", "random:1"]
    assert run(where) == 2
    told = capsys.readouterr().err
    assert "unknown device 'gpu'" in told
    assert "there is no such folder" in told


@pytest.mark.parametrize("spec", ["nowhere.png", "random:x", "fashion-mnist:validation"])
def test_bad_input(spec: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emulate", str(project), "--device", "pocl", "--input", spec, "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]
    assert problem["remedy"]


def test_wrong_image_shape(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 8, 8), np.uint8))
    run_with = ["emulate", str(project), "--device", "pocl", "--input", str(tmp_path / "b.npy")]
    assert run(run_with) == 2
    assert "transpose" in capsys.readouterr().err


def test_folder_that_is_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emulate", str(tmp_path), "--device", "pocl", "--input", "random:1"]) == 2
    assert "generate" in capsys.readouterr().err
