"""The bench of the simulation's speed: what a run tells, and a run that does not end."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench.edgebert import rtl_speed


def test_a_run_tells_its_cycles() -> None:
    found = rtl_speed.timed(["echo", "- DONE cycles=1234 commands=5"])
    assert found["cycles"] == 1234
    assert 0 <= found["processor"] < 5


def test_a_run_that_does_not_end_is_told() -> None:
    with pytest.raises(ValueError, match=r"echo did not end: LIMIT"):
        rtl_speed.timed(["echo", "LIMIT command=2"])


def test_states_are_named_checkouts(tmp_path: Path) -> None:
    assert rtl_speed._state(f"before={tmp_path}") == ("before", tmp_path)
    for wrong in (str(tmp_path), f"={tmp_path}", "before=/nowhere"):
        with pytest.raises(argparse.ArgumentTypeError, match="write NAME=CHECKOUT"):
            rtl_speed._state(wrong)
