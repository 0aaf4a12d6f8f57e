"""The table of the proof networks: stages are resumed, failures are rows, faults are named."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.common.records import Record
from bench.conv.proof import stages
from bench.conv.proof.report import report, row
from bench.conv.proof.runs import Proofs, Stage, run_stage
from bench.conv.proof_networks.catalogue import NETWORKS
from shiftforge.quant.export import runtime

PLAN: Record = {
    "refused": "", "units": 16, "pixels": 7, "alm": 1000, "alm_fraction": 0.1, "ram_blocks": 50,
    "ram_fraction": 0.2,
}  # fmt: skip
FOUND: dict[str, Record] = {
    "float": {"parameters": 10, "macs": 20, "capture": 1e-7, "torch_float32": 1e-6,
              "onnx_float": 1e-6},
    "quantised": {"sqnr_db": 12.0},
    "run": {"values": 99, "mismatches": 0, "first": ""},
    "exported": {"values": 99, "mismatches": 0, "first": ""},
    "clocked": {"cycles": 1000, "utilisation": 0.75, "fps": 10.0, "steady": False,
                "losses": [{"name": "between layers", "share": 0.2, "layer": "a"}]},
}  # fmt: skip


class Runs:
    """Stands for the stages: what each gives, with files as they leave them."""

    def __init__(self, board: str = "a10gx1150") -> None:
        self.board, self.answers = board, dict(FOUND)
        self.ran: list[str] = []

    def __call__(self, stage: Stage, folder: Path, limit_s: float) -> Record:
        self.ran.append(f"{stage.name} {stage.argument}".strip())
        if stage.name == "planned":
            if stage.argument != self.board:
                return {"refused": f"{stage.argument}: too small"}
            project = stages.project_folder(folder, stage.argument)
            project.mkdir(exist_ok=True)
            (project / "shiftforge.json").write_text("{}")
            return PLAN
        found = self.answers[stage.name]
        if stage.name == "quantised" and "failed" not in found:
            (folder / stages.MODEL).write_text("model")
        return found


ALL = ["float", "quantised", "planned de10_nano", "planned a10gx1150", "run a10gx1150:pocl",
       "clocked a10gx1150", "run a10gx1150:intel-fpga-emu", "exported"]  # fmt: skip


def test_stages_run_once_and_those_behind_a_changed_file_again(tmp_path: Path) -> None:
    runs = Runs()
    proofs = Proofs(tmp_path, run=runs)
    found = proofs.prove("unet")
    assert runs.ran == ALL
    own = row("unet", found)
    assert own["faults"] == []
    assert own["refused"] == {"de10_nano": "de10_nano: too small"}
    assert own["plan"]["board"] == "a10gx1150"
    again = proofs.prove("unet")
    assert runs.ran == ALL
    assert again == found
    (tmp_path / "unet" / stages.MODEL).write_text("another model")
    assert "failed" in proofs.prove("unet", only_known=True)["exported"]
    assert runs.ran == ALL
    proofs.prove("unet")
    assert runs.ran[len(ALL) :] == ["planned de10_nano", "planned a10gx1150", "exported"]


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    runs = Runs()

    def breaks(stage: Stage, folder: Path, limit_s: float) -> Record:
        if stage.name == "clocked":
            raise KeyboardInterrupt
        return runs(stage, folder, limit_s)

    with pytest.raises(KeyboardInterrupt):
        Proofs(tmp_path, run=breaks).prove("unet")
    before = list(runs.ran)
    Proofs(tmp_path, run=runs).prove("unet")
    assert [*before, *runs.ran[len(before) :]] == ALL


def test_failures_and_differences_are_told_in_words(tmp_path: Path) -> None:
    runs = Runs("no board")
    runs.answers["float"] = {**FOUND["float"], "capture": 2e-3}
    runs.answers["exported"] = {"values": 99, "mismatches": 3, "first": "conv_2"}
    own = row("unet", Proofs(tmp_path, run=runs).prove("unet"))
    assert own["faults"] == [
        "exported: 3 values differ, first conv_2",
        "capture: 2.0e-03 of the largest output; torch's own float32 loses 1.0e-06",
        "no board has room",
    ]
    runs = Runs()
    runs.answers["quantised"] = {"failed": "status 1: MemoryError"}
    failed = row("detector", Proofs(tmp_path, run=runs).prove("detector"))
    assert failed["faults"] == ["quantised: status 1: MemoryError"]
    runs.answers["quantised"] = FOUND["quantised"]
    proofs = Proofs(tmp_path, run=runs)
    assert "failed" in proofs.prove("detector")["quantised"]
    assert row("detector", replace(proofs, again=True).prove("detector"))["faults"] == []
    text = report([own, failed])
    for part in (
        "| unet | no board has room |", "3 of 99 differ", "- unet, s10gx2800: s10gx2800: too small",
        "| detector | failed, see below |", "- detector: quantised: status 1: MemoryError",
    ):  # fmt: skip
        assert part in text, part


def test_a_whole_row(tmp_path: Path) -> None:
    own = row("resnet18", Proofs(tmp_path, run=Runs("de10_nano")).prove("resnet18"))
    text = report([own])
    line = (
        "| resnet18 | de10_nano | 16x7 | 1,000 (10%) | 50 (20%) | all 99 | all 99 | ~1,000 | "
        "75.0% | 10.0 | between layers 20% |"
    )
    assert line in text
    assert "0.00 M (11.69 M)" in text
    assert json.loads(json.dumps(own)) == own


def test_a_stage_that_ends_badly_or_late_has_a_record(tmp_path: Path) -> None:
    found = run_stage(Stage("no_such_network", "float"), tmp_path, 60.0)
    assert found == {"failed": "status 1: KeyError: 'no_such_network'"}
    late = run_stage(Stage("unet", "float"), tmp_path, 0.01)
    assert late == {"failed": "ran longer than 0 s"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """A network of the catalogue, in small."""
    proof = NETWORKS["detector"]
    tiny = replace(proof, make=partial(proof.make, width=0.25, classes=2), side=32)
    monkeypatch.setitem(NETWORKS, "detector", tiny)
    return "detector"


def test_float_and_exported_stages(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two outputs, one with a sigmoid of the host's; a planted difference is located."""
    found = stages.float_network(small, tmp_path, "")
    assert found["capture"] <= 1e-6
    assert found["onnx_float"] <= 1e-5
    assert stages.quantised(small, tmp_path, "")["sqnr_db"] > 0
    exported = stages.exported(small, tmp_path, "")
    assert exported["mismatches"] == 0
    assert exported["values"] > 4_000
    honest = runtime.run_onnx

    def wrong(*arguments: Any) -> Any:
        made = honest(*arguments)
        made[list(made)[3]].flat[5] += 1
        return made

    monkeypatch.setattr(runtime, "run_onnx", wrong)
    planted = stages.exported(small, tmp_path, "")
    assert planted["mismatches"] == 1
    assert planted["first"]


@pytest.mark.slow
def test_the_stages_on_devices(small: str, tmp_path: Path) -> None:
    stages.quantised(small, tmp_path, "")
    assert stages.planned(small, tmp_path, "de10_nano")["refused"] == ""
    ran = stages.run(small, tmp_path, "de10_nano:pocl")
    assert ran["mismatches"] == 0
    assert ran["values"] > 4_000
    counted = stages.clocked(small, tmp_path, "de10_nano")
    assert 0 < counted["utilisation"] < 1
    assert counted["cycles"] == sum(layer[2] for layer in counted["layers"])
