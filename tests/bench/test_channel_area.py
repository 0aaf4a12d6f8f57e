"""Channels' cost: the rule against the reports that it comes from, and the two forms."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.boards.load import load_board

ROOT = Path(__file__).parents[2]


@pytest.fixture
def area(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.channel_area")


def test_the_rule_gives_what_the_reports_say(area: Any) -> None:
    board, facts = load_board("a10gx1150"), area.read_facts()
    for (bits, depth), said in facts.items():
        found = area.channel_cost(bits, depth, board)
        assert found.rams == said.rams, (bits, depth)
        assert found.ffs == pytest.approx(said.ffs, rel=0.3), (bits, depth)
        assert abs(found.aluts - said.aluts) <= 40, (bits, depth)


def test_todays_channels_cost_less(area: Any, capsys: pytest.CaptureFixture[str]) -> None:
    area.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line]
    before, today = ([float(c.replace(",", "")) for c in r[1:]] for r in rows[2:4])
    assert before[0] == 11 and all(new < old for old, new in zip(before, today, strict=True))
