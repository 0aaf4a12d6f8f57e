"""The device's part of a clocked run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.sim.conv.clocked.run import ClockedOutputs, ClockedRun
from shiftforge.sim.opencl.child import Progress

__all__ = ["run_clocked"]


def run_clocked(
    folder: Path,
    device: str,
    codes: NDArray[Any],
    latencies: Latencies,
    frames: int,
    *,
    check: bool = False,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> tuple[ClockedOutputs, ClockedRun]:
    """Run frames of a project with simulated time.

    codes: input codes (N, C, H, W); frame i takes ``codes[i % N]``. check: give every stored map.
    Raises InputError for an unusable device or folder, CheckFailed where the channels stop,
    ToolFailed for a crash or a run past the limit.
    """
    raise InputError(Problem("projects of this version have no clocked build", "leave it out"))
