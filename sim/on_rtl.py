"""What a runner may do besides where its projects have RTL: several seeds, coverage, waveforms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from shiftforge.generator.design import Design
from shiftforge.generator.project import Project
from shiftforge.sim.opencl.child import Progress
from shiftforge.sim.results import Run
from shiftforge.sim.rtl.coverage import Coverage
from shiftforge.sim.runner import RTL
from shiftforge.sim.trace import Divergence

__all__ = ["RtlRequest", "SimulatesRtl", "Waveform"]


@dataclass(frozen=True)
class RtlRequest:
    """seeds: of the values from which registers start, a run of all samples each. coverage: count
    how often each line runs."""

    seeds: tuple[int, ...] = (0,)
    coverage: bool = False

    def name(self, seed: int) -> str:
        """Of the run of a seed."""
        return RTL if len(self.seeds) == 1 else f"{RTL} seed {seed}"


@dataclass(frozen=True)
class Waveform:
    """Signals around a difference. where: what differs, in words; first, last: cycles of the
    sample's run that the file holds."""

    file: str
    sample: int
    seed: int
    where: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"waveform: {self.file}, cycles {self.first:,} to {self.last:,} of {self.where}"


@runtime_checkable
class SimulatesRtl(Protocol):
    """A runner whose projects are simulated."""

    def on_rtl(
        self, project: Project, samples: Any, request: RtlRequest, progress: Progress | None
    ) -> tuple[Run, ...]:
        """A run of all samples for each seed; a sample that does not end is one of its faults."""

    def coverage(self, project: Project, samples: Any, runs: tuple[Run, ...]) -> Coverage:
        """What runs with coverage counted, of the project's own files."""

    def waveform(
        self, project: Project, samples: Any, run: Run, found: Divergence, file: Path
    ) -> Waveform:
        """Simulate the sample of a difference again and write its signals, cut to the layer.

        found: of the run, with a sample. file: .vcd or .fst."""

    def energy(self, samples: Any, run: Run) -> dict[str, Any]:
        """Modelled energy of a run's samples, for JSON: "energy_uj" in all, "energy" by part."""

    def kept(self, project: Project, samples: Any, run: Run, sample: int) -> Design:
        """What the simulation of a sample was made of, for another simulator: sources of unit and
        bench, memory image and arguments."""
