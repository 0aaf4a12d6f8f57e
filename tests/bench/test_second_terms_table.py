"""The table of shifts beside multipliers: its rows, its interpolation, and what is not measured."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.generator.conv.alternatives import alternatives
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, ShiftFormat

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with the tables."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.second_terms_report")


def counted(f: float, cycles: int, alm: int) -> dict[str, Any]:
    return {
        "f": f, "cycles": cycles, "cycles_at_double_latency": cycles + 10_000, "alm": alm,
        "alm_packed": alm // 2, "dsp": 0, "ram_blocks": 600, "weight_bytes": 2_000_000,
    }  # fmt: skip


@pytest.fixture
def kept(table: Any) -> dict[str, Any]:
    """Rows at 20, 22 and 30 dB, int6 at 26 dB, int8 above all."""
    shifts = {0.0: (20.0, 1.0), 0.1: (22.0, 1.1), 1.0: (30.0, 2.0)}
    kept: dict[str, Any] = {"counted": {}, "labdog_together": {}}
    for row in table.ROWS:
        if row.share in shifts:
            f = row.share
            kept["counted"][row.name] = counted(f, round(350_000 * shifts[f][1]), 40_000)
        if row.bits in (6, 8):
            kept["counted"][row.name] = counted(0.0, 350_000, 80_000)
    for bits, db in ((6, 26.0), (8, 40.0)):
        own: dict[str, Any] = {"sqnr_db": db, "top1": 0.9}
        kept["labdog_together"][f"int{bits}, weights_alone"] = own
    for f, (db, _) in shifts.items():
        own = {"asked": f, "sqnr_db": db, "top1": 0.8}
        kept["labdog_together"][f"shift {f:g}, weights_alone"] = own
    return kept


def test_shifts_of_an_sqnr_lie_between_two_rows(table: Any, kept: Any) -> None:
    assert table.matched(22.0, kept, "together") == pytest.approx((0.1, 385_000))
    assert table.matched(26.0, kept, "together") == pytest.approx((0.55, 542_500))
    assert table.matched(5.0, kept, "together") == (0.0, 350_000)
    assert table.matched(31.0, kept, "together") is None
    assert table.matched(22.0, kept, "apart") is None


def test_the_report_says_who_wins(table: Any, kept: Any) -> None:
    lines = [[c.strip() for c in x.split("|")[1:-1]] for x in table.report(kept, {}).splitlines()]
    found = {line[0]: line[2:] for line in lines if line[1:2] == ["together"]}
    # 350,000 / 542,500 of the cycles, twice the rate for the ALMs
    assert found["int6, logic"] == ["26.0 dB", "0.55", "461", "x 1.29", "x 1.29"]
    assert "not reached" in found["int8, logic"]
    kept["labdog_apart"] = {"int6, weights_alone": {"sqnr_db": 22.0, "top1": 0.8}}
    assert "| apart |" not in table.report(kept, {}), "no shifts are measured there"


def test_nothing_measured_gives_empty_tables(table: Any) -> None:
    assert "# One shifter a lane" in table.report({}, {})


@pytest.mark.parametrize("fmt", [ShiftFormat(4, 1, "S1"), IntFormat(4), IntFormat(8)])
def test_every_row_is_an_alternative(table: Any, fmt: ShiftFormat | IntFormat) -> None:
    model = random_model(1, ModelOptions(weight_format=fmt))
    told = alternatives(model, make_plan(model, table.BOARD, array_for(model, 16, 3)))
    for row in table.ROWS:
        own = [a.weights for a in told if row.is_alternative(a)]
        assert len(own) == 1, row.name


def test_the_kept_figures_are_of_all_rows(table: Any) -> None:
    kept = json.loads((ROOT / "bench" / "results" / "second_terms_table.json").read_text())
    assert set(kept["counted"]) == {row.name for row in table.ROWS}
    text = (ROOT / "bench" / "results" / "second_terms_table.md").read_text()
    assert all(f"| {row.name} " in text for row in table.ROWS)
