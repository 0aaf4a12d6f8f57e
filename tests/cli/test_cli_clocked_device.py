"""emulate --clocked on a device: the document, and a project whose channel is too short."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import shiftforge
from shiftforge.cli.main import run
from shiftforge.quant.graph.example import ModelOptions, random_model


@pytest.fixture
def project(tmp_path: Path) -> Path:
    model = random_model(5, ModelOptions(height=48, width=45))
    shiftforge.generate(model, "a10gx1150", units=16, pixels=7, output=tmp_path / "d")
    return tmp_path / "d"


@pytest.mark.device("pocl")
def test_the_document_of_a_device(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["emulate", str(project), "--clocked", "--device", "pocl", "--check", "--json"]
    assert run([*command, "--limit", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mismatches"] == 0 and told["checked"] == "every layer"
    cycles = [told[f"cycles{at}"] for at in ("_at_half_latency", "", "_at_double_latency")]
    assert cycles == sorted(cycles) and told["steady"]["declared"]
    assert told["cycles"] == sum(layer["cycles"] for layer in told["layers"])
    assert told["fps"] == pytest.approx(told["clock_mhz"] * 1e6 / told["cycles"])
    for layer in told["layers"]:
        apart = abs(layer["cycles"] - layer["modelled_cycles"])
        assert apart <= max(20, 0.02 * layer["cycles"]), layer
    kernels = {"loader", "feeder", "params", "controller", "conv", "post"}
    assert set(told["busy"]) == kernels == set(told["stalls"])
    for kernel in ("controller", "conv", "post"):
        assert told["busy"][kernel] + sum(told["stalls"][kernel].values()) <= told["cycles"]
    # Frame 0 is alone: its image is read before anything is there.
    assert told["latency_cycles"] > 0.8 * told["cycles"]
    for own in told["channel_fill"].values():
        assert 1 <= own["high_water"] <= own["depth"]


@pytest.mark.device("pocl")
def test_a_short_channel_ends_in_1_and_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "device/accelerator.cl"
    text, found = re.subn(r"(#define SF_HARDWARE_result) \d+", r"\1 1", path.read_text())
    assert found == 1
    path.write_text(text)
    command = ["emulate", str(project), "--clocked", "--device", "pocl", "--limit", "1"]
    assert run(command) == 2
    assert "--edited" in capsys.readouterr().err
    assert run([*command, "--edited"]) == 1
    assert "post writes full channel result (depth 1)" in capsys.readouterr().err
