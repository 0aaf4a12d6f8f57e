"""Times of two checkouts: what is over a limit is told, and a wrong output ends the run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.emulation_time")


def found(ratio: float, clocked: float) -> dict[str, Any]:
    """A network's figures on one device."""
    return {
        "terms": 1,
        "seconds_per_frame": {"pocl": {"before": [0.1], "now": [0.1 * ratio]}},
        "median": {"pocl": {"before": 0.1, "now": 0.1 * ratio}},
        "ratio": {"pocl": ratio},
        "clocked": {"median": clocked},
    }


def test_what_is_over_a_limit_is_told(times: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert times.report(found(1.25, 10.0)) == []
    assert times.report(found(1.3, 11.0)) == [
        "pocl: 1.30 times the time before", "clocked: 11.0 s a frame",
    ]  # fmt: skip
    assert "MISS" in capsys.readouterr().out


def test_sides_take_turns_and_a_wrong_output_ends_the_run(
    times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Fake:
        def __init__(self, name: str, wrong: int = 0) -> None:
            self.name, self.wrong = name, wrong

        def run(self, stage: str, device: str) -> dict[str, Any]:
            calls.append(self.name)
            return {"mismatches": self.wrong, "seconds_per_frame": 1.0}

    monkeypatch.setattr(times, "usable_devices", lambda: ("pocl",))
    sides: dict[str, Fake] = {name: Fake(name) for name in ("before", "now")}
    assert times.measure(sides, 2) == {"pocl": {"before": [1.0, 1.0], "now": [1.0, 1.0]}}
    assert calls == ["before", "now", "now", "before"]
    sides["now"] = Fake("now", wrong=3)
    with pytest.raises(SystemExit, match="WRONG: now on pocl: 3 outputs"):
        times.measure(sides, 1)
