"""A project's cycles counted once, at the plan's latencies, without a comparison of integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shiftforge.generator.conv.target import MODEL_FILE
from shiftforge.quant.graph.file import load_model
from shiftforge.sim.conv.clocked.device import run_clocked
from shiftforge.sim.conv.clocked.planned import read_planned
from shiftforge.sim.conv.clocked.run import ClockedRun
from shiftforge.sim.conv.clocked.steady import MOST_FRAMES, SteadyFrame, steady
from shiftforge.sim.opencl.child import Progress

__all__ = ["count_cycles"]


def count_cycles(
    folder: Path, device: str, *, time_limit_s: float = 600.0, progress: Progress | None = None,
    most: int = MOST_FRAMES,
) -> SteadyFrame:  # fmt: skip
    """The steady-state frame of a project on a random image: cycles do not depend on what is in
    it. most: frames, see ``steady``. Raises as ``run_clocked`` and ``steady``."""
    model = load_model(folder / MODEL_FILE)
    source, latencies = model.tensors[model.input], read_planned(folder).latencies
    values = np.random.default_rng(0).integers(
        source.grid.qmin, source.grid.qmax + 1, (1, *source.shape)
    )
    codes = values.astype(np.int32)

    def run(frames: int) -> ClockedRun:
        _, found = run_clocked(
            folder, device, codes, latencies, frames, time_limit_s=time_limit_s, progress=progress
        )
        return found

    return steady(run, most=most, reentry=latencies.reentry)
