"""emulate --clocked on a stand-in for the device: its JSON, tables, timeline and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocked_cases import made_up, with_end
from devices import pretend_usable
from numpy.typing import NDArray

import shiftforge
from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model
from shiftforge.sim.conv.clocked import device as module
from shiftforge.sim.conv.clocked.run import ClockedOutputs, ClockedRun
from shiftforge.sim.golden.conv.network import run_golden

KEYS = {
    "device", "mismatches", "cycles", "cycles_at_half_latency", "cycles_at_double_latency",
    "latency_cycles", "clock_mhz", "fps", "utilisation", "stalls", "layers",
}  # fmt: skip
LAYER_KEYS = {"name", "mode", "cycles", "modelled_cycles", "utilisation"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "d"
    shiftforge.generate(random_model(1), "a10gx1150", output=folder)
    return folder


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_usable(monkeypatch)


def plan_of(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "plan.json").read_text())
    return found


class StandIn:
    """The reference's integers, and cycles that depend on the latencies alone.

    asked: (latencies, frames) of each run.
    """

    def __init__(self, fault: str = "", extra: Callable[[int, int], int] | None = None) -> None:
        self.fault, self.asked = fault, []  # type: ignore[var-annotated]
        self.extra = extra or (lambda frame, layer: 0)

    def __call__(
        self, folder: Path, device: str, codes: NDArray[Any], latencies: Latencies, frames: int,
        *, check: bool = False, **_: Any,
    ) -> tuple[ClockedOutputs, ClockedRun]:  # fmt: skip
        self.asked.append((latencies, frames))
        model = load_model(folder / "model.safetensors")
        tensors = run_golden(model, codes[np.arange(frames) % len(codes)])
        traced = model.nodes[1].output
        output = tensors[model.output].reshape(frames, -1).astype(np.int32)
        maps = {traced: tensors[traced].astype(np.int64)} if check else {}
        if self.fault == "output":
            output[-1, 3] += 1
        if self.fault == "map" and check:
            maps[traced][0, 1, 2, 0] -= 7
        cycles = [latencies.conv + 60 + layer for layer in range(len(plan_of(folder)["layers"]))]
        found = made_up(frames, cycles, self.extra, latencies.reentry)
        if self.fault == "books":
            found = with_end(found, 1, 1, 3)
        if self.fault == "layers":
            found = made_up(frames, cycles[:-1], reentry=latencies.reentry)
        return ClockedOutputs(output, maps, "stand-in"), found


def stand_in(monkeypatch: pytest.MonkeyPatch, **options: Any) -> StandIn:
    own = StandIn(**options)
    monkeypatch.setattr(module, "run_clocked", own)
    return own


Capture = pytest.CaptureFixture[str]


def clocked(project: Path, *more: str) -> list[str]:
    return ["emulate", str(project), "--clocked", *more]


def document(capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("limit", [[], ["--limit", "1"], ["--limit", "5"]])
def test_the_document(
    limit: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    device = stand_in(monkeypatch)
    assert run([*clocked(project, "--json", "--device", "intel-cpu"), *limit]) == 0
    told = document(capsys)
    assert set(told) >= KEYS
    plan = plan_of(project)
    layers = told["layers"]
    assert [set(layer) for layer in layers] == [LAYER_KEYS] * len(plan["layers"])
    assert [layer["name"] for layer in layers] == [own["name"] for own in plan["layers"]]
    assert [own["modelled_cycles"] for own in layers] == [
        own["cycles"]["modelled"] for own in plan["layers"]
    ]
    assert told["cycles"] == sum(layer["cycles"] for layer in layers)
    count = len(layers)
    assert told["cycles"] - told["cycles_at_half_latency"] == 35 * count
    assert told["cycles_at_double_latency"] - told["cycles"] == 70 * count
    assert (told["device"], told["mismatches"], told["clock_mhz"]) == ("intel-cpu", 0, 250.0)
    assert told["fps"] == pytest.approx(250e6 / told["cycles"])
    lanes = plan["totals"]["lanes"]
    assert told["utilisation"] == pytest.approx(plan["totals"]["macs"] / (told["cycles"] * lanes))
    assert told["steady"] == {"half": True, "declared": True, "double": True}
    assert told["latency_cycles"] == told["cycles"] - 1
    assert told["stalls"]["conv"]["operand"] == 12 * (count - 1)
    ideal = plan["totals"]["macs"] / lanes
    lost = sum(loss["cycles"] for loss in told["losses"])
    assert lost == pytest.approx(told["cycles"] - ideal)
    samples = int(limit[1]) if limit else 3
    assert told["samples"] == samples
    usual = Latencies()
    assert device.asked == [
        (usual.scaled(Fraction(1, 2)), 3), (usual, max(3, samples)), (usual.scaled(2), 3),
    ]  # fmt: skip


def test_every_layer_of_every_run_is_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    stand_in(monkeypatch)
    assert run(clocked(project, "--json", "--check", "--limit", "2")) == 0
    told = document(capsys)
    model = load_model(project / "model.safetensors")
    sizes = [int(np.prod(model.tensors[n].shape)) for n in (model.output, model.nodes[1].output)]
    assert told["elements"] == 9 * sum(sizes)
    assert told["checked"] == "every layer"


@pytest.mark.parametrize(("fault", "frame", "channel"), [("output", 0, 3), ("map", 0, 1)])
def test_a_wrong_integer_ends_in_1_and_is_located(
    fault: str, frame: int, channel: int, project: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Capture,
) -> None:  # fmt: skip
    stand_in(monkeypatch, fault=fault)
    # The third frame of two samples is the first sample again.
    assert run(clocked(project, "--json", "--check", "--limit", "2")) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["mismatches"] == 3
    assert (told["divergence"]["frame"], told["divergence"]["channel"]) == (frame, channel)
    assert "golden and pocl first differ in" in printed.err


@pytest.mark.parametrize(
    ("fault", "told"), [("books", "frame 1, layer 1: ends at"), ("layers", "steps, the plan")]
)
def test_figures_that_contradict_each_other_end_in_1(
    fault: str, told: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    stand_in(monkeypatch, fault=fault)
    assert run(clocked(project)) == 1
    assert told in capsys.readouterr().err


def test_tables_say_what_was_counted(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    stand_in(monkeypatch, extra=lambda frame, layer: frame)
    assert run(clocked(project)) == 0
    text = capsys.readouterr().out
    for part in (
        "counted, at 250 MHz (assumed clock)", "half", "declared", "double", "no, in 8 frames",
        "counted cycles", "modelled", "conv stopped most by", "high-water mark",
        "largest losses", "between layers (drain, re-entry)",
    ):  # fmt: skip
        assert part in text, part
    # The post kernel stops as well, but says nothing of a layer; a loader has no layers.
    layers = text.split("layers of a steady-state frame")[1].split("kernels of a steady")[0]
    assert "operand 12" in layers and "memory 12" in layers and "acc" not in layers
    kernels = text.split("kernels of a steady-state frame")[1].split("high-water")[0]
    [loader] = [row.split() for row in kernels.splitlines() if row.split()[:1] == ["loader"]]
    assert loader == ["loader", "5", loader[2], "0"]


def test_a_timeline_is_written_and_replaced(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    stand_in(monkeypatch)
    path = tmp_path / "run.json"
    assert run(clocked(project, "--timeline", str(path), "--json")) == 0
    assert document(capsys)["timeline"] == str(path)
    events = json.loads(path.read_text())["traceEvents"]
    names = {own["name"] for own in plan_of(project)["layers"]}
    assert names <= {event["name"] for event in events if event["ph"] == "X"}
    assert run(clocked(project, "--timeline", str(path))) == 0
    path.write_text("{}")
    assert run(clocked(project, "--timeline", str(path))) == 2
    assert "was not written by shiftforge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told", "remedy"),
    [
        (["--clocked", "--device", "intel-fpga-emu"], "no simulated time", "pocl or intel-cpu"),
        (["--clocked", "--device", "gpu"], "unknown device 'gpu'", "pocl"),
        (["--device", "pocl", "--input", "random:1", "--timeline", "t.json"],
         "--timeline shows a run with simulated time", "add --clocked"),
        (["--clocked", "--timeline", "t.txt"], "does not end in .json", "t.json"),
        (["--clocked", "--timeline", "/nowhere/t.json"], "folder does not exist", "mkdir"),
        (["--clocked", "--timeline", "."], "is a folder", "name a file"),
    ],
)  # fmt: skip
def test_a_bad_combination_ends_in_2(
    options: list[str], told: str, remedy: str, project: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Capture,
) -> None:  # fmt: skip
    device = stand_in(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert run(["emulate", str(project), *options]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert remedy in printed
    assert not device.asked


def test_without_clocked_device_and_input_are_needed(project: Path, capsys: Capture) -> None:
    assert run(["emulate", str(project), "--device", "pocl"]) == 2
    assert "--input" in capsys.readouterr().err
    assert run(["emulate", str(project), "--input", "random:1"]) == 2
    assert "--device" in capsys.readouterr().err


def test_a_missing_plan_ends_in_2(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    import shutil

    stand_in(monkeypatch)
    own = tmp_path / "d"
    shutil.copytree(project, own)
    (own / "plan.json").unlink()
    assert run(clocked(own)) == 2
    assert "plan.json" in capsys.readouterr().err


def test_from_python(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    path = tmp_path / "t.json"
    found = shiftforge.emulate(project, "pocl", input="random:1", clocked=True, timeline=path)
    assert found.facts["cycles"] == sum(layer["cycles"] for layer in found.facts["layers"])
    assert path.is_file()
    with pytest.raises(InputError, match="no simulated time"):
        shiftforge.emulate(project, "intel-fpga-emu", input="random:1", clocked=True)
    with pytest.raises(InputError, match="add --clocked"):
        shiftforge.emulate(project, "pocl", input="random:1", timeline=path)


def test_the_page_lists_the_document(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """docs/CLOCKED.md names every field that only a clocked run has, and no other."""
    stand_in(monkeypatch)
    assert run(clocked(project, "--json")) == 0
    common = {
        "device", "samples", "checked", "elements", "mismatches", "bit_exact", "divergence",
        "platform", "channels", "top1", "reference_top1", "predictions",
    }  # fmt: skip
    text = (Path(__file__).resolve().parents[2] / "docs" / "CLOCKED.md").read_text()
    table = text.split("| Field | Type |")[1].split("\n\n")[0].splitlines()[2:]
    listed = {name for row in table for name in row.split("|")[1].strip().split(", ")}
    assert listed == set(document(capsys)) - common
