"""The history of place and route: rows of the command line, what is kept, and its tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.edgebert import route as bench
from bench.edgebert.route_tables import report
from shiftforge.sim.rtl.critical_path import CriticalPath, Step
from shiftforge.sim.rtl.route import Routed, Routing

AVAILABLE = dict.fromkeys(bench.KINDS, 208)
PATH = CriticalPath("a.x_q", "a.z_q", 2.5, 2.5, 2, (Step("a.x_q", "", 0.5, 1.0, 0),))


def routing(top: str, seeds: list[int], ram: int = 7) -> Routing:
    used = {**dict.fromkeys(bench.KINDS, 100), "ram": ram}
    fits = ram <= AVAILABLE["ram"]
    return Routing(top, 150.0, "0" * 32, {
        seed: Routed(used, AVAILABLE, 90.0 + seed if fits else None, PATH if fits else None)
        for seed in seeds
    })  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the bench without the tools, and returns its history."""

    def route(text: Any, top: str, mhz: float, *, seeds: list[int], **_: Any) -> Routing:
        return routing(top, seeds, 264 if top == "pu_unit" else 7)

    monkeypatch.setattr(bench, "route", route)
    monkeypatch.setattr(bench, "rendered", lambda *_: {})
    monkeypatch.setattr(bench, "tool_versions", lambda: {"pyosys": "0"})
    monkeypatch.setattr(bench.os, "nice", lambda _: 0)

    def once(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["route.py", *arguments, "--out", str(tmp_path)])
        assert bench.main() == 0
        found: dict[str, Any] = json.loads((tmp_path / "edgebert_route.json").read_text())
        return found

    return once


def test_rows_are_kept_by_state(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("before", "--rows", "array:4:af,unit:4:af", "--seeds", "1")
    history = run("after", "--rows", "array:4:af", "--seeds", "1,2,3")
    assert list(history["states"]) == ["before", "after"]
    assert set(history["states"]["before"]["rows"]) == {"array:4:af", "unit:4:af"}
    row = history["states"]["after"]["rows"]["array:4:af"]
    assert (row["fmax_mhz"], row["digest"]) == (92.0, "0" * 32)
    assert history["states"]["after"]["tools"] == {"pyosys": "0"}
    history = run("after", "--rows", "post:4:af", "--seeds", "1")
    assert set(history["states"]["after"]["rows"]) == {"array:4:af", "post:4:af"}
    text = capsys.readouterr().out
    assert "Fmax MHz, before" in text and "92.0 (91.0 to 93.0)" in text
    assert "does not fit: ram 264 of 208" in text


def test_a_history_of_one_state_has_one_table() -> None:
    row = bench.measured(bench.Row("post", 4, "af"), routing("pu_post", [1]))
    cycles = {"4": {"command": "shiftforge unit layer", "cycles": 1200, "ideal_cycles": 1000}}
    text = report({
        "part": "LFE5U-85-6", "target_mhz": 150.0,
        "states": {"now": {"rows": {"post:4:af": row}, "cycles": cycles}},
    })  # fmt: skip
    assert text.count("Fmax MHz") == 1 and "| post, 4, af " in text
    assert "`shiftforge unit layer`" in text and "1,200" in text
    assert "2.5 ns logic and 2.5 ns routing: a.x_q" in text


@pytest.mark.parametrize("text", ["array", "array:4", "array:x:af", "array:4:af,"])
def test_bad_rows(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="block:n:weights"):
        bench.rows_of(text)


def test_every_row_of_the_table_is_a_block() -> None:
    assert {(row.block, row.lanes) for row in bench.ROWS} >= {
        ("array", 4), ("array", 8), ("post", 4), ("exprow", 4), ("exprow", 16),
        ("layernorm", 4), ("layernorm", 16), ("function", 4), ("unit", 4),
    }  # fmt: skip
    assert bench.rows_of("array:4:af") == [bench.Row("array", 4, "af")]


def test_what_is_not_there_is_told_below_the_table(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    history = run("now", "--rows", "", "--note", "unit:4:af=limited by the loader: a = b")
    assert history["states"]["now"]["notes"] == {"unit:4:af": "limited by the loader: a = b"}
    assert "- **unit, 4, af**: limited by the loader: a = b" in capsys.readouterr().out
