"""The examples run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_example(name: str, folder: Path) -> str:
    """Output of an example, run in an empty folder with no variables set but the project's own."""
    own = {name: value for name, value in os.environ.items() if name.startswith("SHIFTFORGE_")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **own},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    told = run_example("demo.py", tmp_path)
    assert "PASS" in told
    for device in ("pocl", "intel-cpu", "intel-fpga-emu"):
        assert device in told


@pytest.mark.slow
def test_python_api(tmp_path: Path) -> None:
    assert "0 mismatches" in run_example("python_api.py", tmp_path)
