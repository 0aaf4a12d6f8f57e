"""The device's part of a clocked run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.manifest import read_conv_manifest
from shiftforge.generator.manifest import read_manifest
from shiftforge.sim.conv.clocked.planned import read_planned
from shiftforge.sim.conv.clocked.run import ClockedOutputs, ClockedRun
from shiftforge.sim.conv.clocked.worker import ClockedJob
from shiftforge.sim.conv.emulate import check_files
from shiftforge.sim.opencl.child import Progress, in_child
from shiftforge.sim.opencl.devices import clocked_problems
from shiftforge.sim.opencl.probe import require_device

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

    frames: of the run, each of as many images as are in flight. codes: input codes (N, C, H, W);
    image i takes ``codes[i % N]``. check: give every stored map.
    Raises InputError for an unusable device or folder, CheckFailed where the channels stop,
    ToolFailed for a crash or a run past the limit.
    """
    require_device(device)
    if problems := clocked_problems([device]):
        raise InputError(problems)
    root = Path(folder)
    manifest = read_manifest(root)
    check_files(root, manifest)
    images = frames * read_conv_manifest(root, manifest).frames
    every = codes[np.arange(images) % len(codes)]
    rate = read_planned(root).bytes_per_cycle
    job = ClockedJob(root.resolve(), device, every, latencies, rate, check)
    found: tuple[ClockedOutputs, ClockedRun] = in_child(
        "shiftforge.sim.conv.clocked.worker:run_job", job, device, time_limit_s,
        "raise --time-limit", progress,
    )  # fmt: skip
    return found
