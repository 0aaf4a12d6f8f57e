"""The whole flow on a photograph, and that its benchmark does not pass over a wrong integer."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.sim.opencl.probe import usable_devices

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_one_photograph(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    written = tmp_path / "figures.json"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "bench/conv/photographs.py"),
            "--limit",
            "1",
            "--json",
            str(written),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    networks = json.loads(written.read_text())["networks"]
    assert networks[-1]["network"] == "mobilenet_v2_random"
    for network in networks:
        assert [run["device"] for run in network["devices"]] == list(usable_devices())
        for run in network["devices"]:
            assert run["mismatches"] == 0
            assert run["elements"] == network["integers_expected"] > 1_000_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"mismatches": 1}, ["1 integers differ, first in map3"]),
        ({"elements": 99}, ["99 integers compared, not 100"]),
    ],
)
def test_faults_are_told(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: list[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    faults = import_module("bench.conv.photographs").faults
    run = {
        "device": "pocl",
        "mismatches": 0,
        "elements": 100,
        "sqnr_db": 20.0,
        "divergence": {"layer": "map3"},
    }
    network = {"network": "n", "integers_expected": 100, "devices": [{**run, **change}]}
    assert faults([network]) == [f"n on pocl: {line}" for line in told]


def test_nothing_run_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    assert import_module("bench.conv.photographs").faults([]) == ["no network was run"]
