"""bench/daily_speed.py: its limit, and what it is held against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import daily_speed


def facts(seconds: float, processor: str = "one") -> dict[str, Any]:
    own = {"first": 9.0, "again": [seconds, seconds + 0.2, seconds + 0.1]}
    return {"machine": {"processor": processor}, "commands": {"generate": own}}


def test_a_slow_start_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    daily_speed.report(facts(1.0), None)
    assert "PASS" in capsys.readouterr().out
    daily_speed.report(facts(3.0), facts(1.0))
    told = capsys.readouterr().out
    assert "MISS" in told and f"{3.1 / 1.1:.2f}" in told


def test_frames_are_held_against_pytorch(capsys: pytest.CaptureFixture[str]) -> None:
    now, last = facts(1.0), facts(1.0)
    now["frames"] = {
        "pocl": {"ms": 90.0, "pytorch": 3.6},
        "intel-cpu": {"ms": 80.0, "pytorch": 3.2},
    }
    last["frames"] = {"pocl": {"ms": 120.0, "pytorch": 4.8}}
    daily_speed.report(now, last)
    rows = [line for line in capsys.readouterr().out.splitlines() if "x |" in line]
    assert "MISS" in rows[0] and "0.75" in rows[0] and "PASS" in rows[1]


def test_the_last_run_of_the_same_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_speed, "HISTORY", tmp_path / "history.jsonl")
    assert daily_speed.before("one") is None
    runs = [facts(1.0), facts(2.0), facts(3.0, "another")]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    assert daily_speed.before("one") == facts(2.0)
    assert daily_speed.before("none") is None
