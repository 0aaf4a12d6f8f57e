"""Clocked runs of generated projects, in children as the product runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from devices import use_device
from numpy.typing import NDArray

from shiftforge.generator.conv.latencies import Latencies
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.clocked.device import run_clocked
from shiftforge.sim.conv.clocked.planned import Planned, read_planned
from shiftforge.sim.conv.clocked.run import ClockedOutputs, ClockedRun
from shiftforge.sim.conv.clocked.steady import SteadyFrame, steady
from shiftforge.sim.golden.conv.network import run_golden


@dataclass(frozen=True, eq=False)
class Counted:
    """A steady-state frame, its plan, and what the run's frames gave. codes: of the samples."""

    plan: Planned
    found: SteadyFrame
    outputs: ClockedOutputs
    codes: NDArray[Any]

    def deviations(self) -> list[str]:
        """Layers whose counted cycles are further from the model's than 2 % and 20 cycles."""
        told = []
        for layer, counted in zip(self.plan.steps, self.found.layers, strict=True):
            modelled = layer.cycles.modelled
            if abs(counted - modelled) > max(20, 0.02 * counted):
                told.append(f"{layer.name} ({layer.mode}): {modelled} modelled, {counted} counted")
        return told

    def utilisation(self, index: int) -> float:
        """Share of the lanes that a layer's multiply-accumulates keep busy."""
        layer, cycles = self.plan.steps[index], self.found.layers[index]
        return layer.cycles.macs / (cycles * self.plan.totals.lanes)

    def mismatches(self, model: QuantizedModel) -> list[str]:
        """Tensors of the run that are not the reference's, in any frame."""
        frames = len(self.outputs.output)
        golden = run_golden(model, self.codes[np.arange(frames) % len(self.codes)])
        output = golden[model.output].reshape(frames, -1)
        wrong = [n for n, own in self.outputs.maps.items() if not np.array_equal(own, golden[n])]
        return wrong + ["output"] * (not np.array_equal(self.outputs.output, output))


def count(
    folder: Path, codes: NDArray[Any], device: str = "pocl", *, check: bool = False,
    latencies: Latencies | None = None, frames: int = 3,
) -> Counted:  # fmt: skip
    """Run a project until a frame is steady. Raises CheckFailed where the books do not balance."""
    use_device(device)
    plan = read_planned(folder)
    own = latencies or plan.latencies
    kept: list[ClockedOutputs] = []

    def run(frames: int) -> ClockedRun:
        outputs, counted = run_clocked(folder, device, codes, own, frames, check=check)
        kept.append(outputs)
        return counted

    found = steady(run, first=frames, reentry=own.reentry)
    return Counted(plan, found, kept[-1], codes)
