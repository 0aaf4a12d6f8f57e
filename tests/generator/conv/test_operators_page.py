"""docs/OPERATORS.md is what the code says, and `check` says the same of a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from geometry_cases import Chain

from shiftforge.generator.conv import operators_page
from shiftforge.generator.conv.check import check_network
from shiftforge.quant.capture.catalogue import NODES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "OPERATORS.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == operators_page.page(), "run make operators"


def test_every_kind_has_a_place() -> None:
    found = operators_page.places()
    assert set(found) == set(NODES)
    assert all(found.values())


def test_a_changed_rule_makes_the_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a geometry that runs is asked with one that does not."""
    before = operators_page.page()
    changed = (("1×1", {"out": 8, "kernel": (1, 1), "stride": 5}),)
    monkeypatch.setattr(operators_page, "_CONVOLUTIONS", changed)
    after = operators_page.page()
    assert after != before and "| 1×1 | refused: stride 5" in after


def test_written_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert operators_page.main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == operators_page.page()
    assert operators_page.main([]) == 0
    assert capsys.readouterr().out == operators_page.page()


def test_check_counts_nodes_by_operator() -> None:
    chain = Chain()
    first = chain.conv(8, 3)
    chain.conv(8, 3)
    chain.add(first, chain.last)
    chain.conv(8, 5, stride=5)
    chain.pool()
    report = check_network(chain.graph(), {})
    assert report.kinds() == [("Conv", 3, 2), ("Add", 1, 1), ("Pool", 1, 0)]
