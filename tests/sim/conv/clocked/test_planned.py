"""What a clocked run takes from plan.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import shiftforge
from shiftforge.errors import InputError
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.quant.graph.example import random_model
from shiftforge.sim.conv.clocked.planned import read_planned


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    design = shiftforge.generate(random_model(1), "a10gx1150")
    (folder / "plan.json").write_bytes(design.files["plan.json"])
    return folder


def test_the_plan_of_a_project(plan: Path) -> None:
    found = read_planned(plan)
    assert found.totals.board == "a10gx1150"
    assert found.totals.clock_mhz == 250.0
    assert found.latencies == Latencies()
    assert len(found.names) == len(found.steps) == len(found.macs)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("latencies",), {"conv": 0}, "latency conv is 0"),
        (("latencies",), {"conv": 10**9}, "latency conv is 1000000000"),
        (("latencies",), {"conv": 60.5}, "latencies.conv"),
        (("totals", "clock_mhz"), 0, "totals.clock_mhz"),
        (("totals", "lanes"), "1008", "totals.lanes"),
        (("steps",), [], "steps"),
        (("steps", 0, "mode"), "magic", "steps.0.mode"),
        (("steps", 1, "cycles", "macs"), -1, "steps.1.cycles.macs"),
    ],
)
def test_a_wrong_field_is_told(
    path: tuple[Any, ...], value: object, told: str, plan: Path, tmp_path: Path
) -> None:
    data = json.loads((plan / "plan.json").read_text())
    own = data
    for part in path[:-1]:
        own = own[part]
    own[path[-1]] = value
    (tmp_path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_planned(tmp_path)
    assert any(told in problem.what for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["[]", "{", '{"steps": 1}'])
def test_what_is_no_plan(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=r"plan\.json"):
        read_planned(tmp_path)


def test_other_latencies(plan: Path, tmp_path: Path) -> None:
    data = json.loads((plan / "plan.json").read_text())
    data["latencies"] = Latencies(conv=75).to_dict()
    (tmp_path / "plan.json").write_text(json.dumps(data))
    assert read_planned(tmp_path).latencies == Latencies(conv=75)
