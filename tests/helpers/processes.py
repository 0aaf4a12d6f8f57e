"""Processes in tests: the command line as a program, and waiting for what takes its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PATIENCE_S = 30.0
SHIFTFORGE = [sys.executable, "-P", "-m", "shiftforge"]


def shell(
    line: str, folder: Path | None = None, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A line of bash in which $SF is the command line; folder: that it runs in."""
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240,
        cwd=folder,
        env={**os.environ, "SF": " ".join(SHIFTFORGE), **(more or {})},
        check=False,
    )


def wait_for(what: Callable[[], bool]) -> bool:
    """Whether it becomes true in time; machines that are busy take theirs."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
