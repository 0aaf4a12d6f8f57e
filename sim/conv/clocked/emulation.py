"""A project with simulated time: three runs, each held against the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.atomic import write_file
from shiftforge.errors import CheckFailed
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.clocked import device as clocked_device
from shiftforge.sim.conv.clocked.planned import Planned, read_planned
from shiftforge.sim.conv.clocked.report import SCALES, ClockedReport
from shiftforge.sim.conv.clocked.run import ClockedOutputs, ClockedRun
from shiftforge.sim.conv.clocked.steady import MOST_FRAMES, SteadyFrame, steady
from shiftforge.sim.conv.clocked.timeline import timeline_text
from shiftforge.sim.conv.frames import FrameSamples, top1
from shiftforge.sim.conv.layers import tensor_order, tensor_trace
from shiftforge.sim.conv.predictions import classes
from shiftforge.sim.opencl.child import Progress
from shiftforge.sim.results import Emulation, Table
from shiftforge.sim.trace import Divergence, compare

__all__ = ["ClockedEmulation", "ClockedJob", "Compared", "Measured", "clocked_emulation", "measure"]


@dataclass(frozen=True, eq=False)
class ClockedJob:
    """codes: input codes (N, C, H, W) of N samples; first: what the first one is called. want:
    the reference's tensors (N, C, H, W) by name. check: compare every stored map."""

    folder: Path
    model: QuantizedModel
    device: str
    codes: NDArray[Any]
    want: Mapping[str, NDArray[Any]]
    first: int = 0
    check: bool = False
    time_limit_s: float = 600.0
    progress: Progress | None = None


@dataclass
class Compared:
    """Values that were held against the reference, those that differ, and the first of them."""

    elements: int = 0
    mismatches: int = 0
    divergence: Divergence | None = None

    def add(self, job: ClockedJob, outputs: ClockedOutputs) -> None:
        """Images of a run; image i is of the sample i modulo their number."""
        model, samples = job.model, len(job.codes)
        kept = None if job.check else model.more_outputs
        got = {name: own for name, own in outputs.maps.items() if kept is None or name in kept}
        shape = model.tensors[model.output].shape
        got[model.output] = np.asarray(outputs.output).reshape(-1, *shape)
        order = [name for name in tensor_order(model) if name in got]
        for start in range(0, len(outputs.output), samples):
            block = {name: got[name][start : start + samples] for name in order}
            size = len(block[model.output])
            want = {name: job.want[name][:size] for name in order}
            traces = [tensor_trace(t, order, model, job.first) for t in (want, block)]
            found = compare(*traces)
            self.elements += found.values
            self.mismatches += found.mismatches
            if self.divergence is None and found.differences:
                self.divergence = found.differences[0]


@dataclass(frozen=True, eq=False)
class Measured:
    """What a clocked emulation gives. output: codes (N, K) of the samples at the declared
    latencies."""

    report: ClockedReport
    compared: Compared
    output: NDArray[Any]
    platform: str
    timeline: Callable[[], str] = field(repr=False)


def measure(job: ClockedJob) -> Measured:
    """Run a project at half, at the plan's and at double latencies.

    Each run has at least three frames, and as many more as a steady state takes (``steady``); the
    one at the declared latencies has every sample at least once. Raises as ``run_clocked`` and
    ``steady`` do, CheckFailed also where the run's layers are not the plan's.
    """
    plan = read_planned(job.folder)
    flight = plan.totals.frames
    compared = Compared()
    found: dict[str, SteadyFrame] = {}
    outputs: dict[str, ClockedOutputs] = {}
    for name in SCALES:
        samples = ceil(len(job.codes) / flight) if name == "declared" else 0
        runs = _Runs(job, plan, name, compared)
        found[name] = steady(
            runs,
            first=samples,
            most=max(MOST_FRAMES, samples),
            reentry=plan.latencies.scaled(SCALES[name]).reentry,
        )
        assert runs.last is not None
        outputs[name] = runs.last
    report = ClockedReport(plan, **found)
    own = outputs["declared"]
    output = np.asarray(own.output)[: len(job.codes)].reshape(len(job.codes), -1)

    def timeline() -> str:
        names, clock = [layer.name for layer in plan.steps], plan.totals.clock_mhz
        title = f"{job.folder.name} on {plan.totals.board}, {clock:g} MHz, counted"
        return timeline_text(found["declared"].run, names, clock, title)

    return Measured(report, compared, output, own.platform, timeline)


class _Runs:
    """Runs at one set of latencies, each compared with the reference."""

    def __init__(self, job: ClockedJob, plan: Planned, name: str, compared: Compared) -> None:
        self.job, self.plan, self.name, self.compared = job, plan, name, compared
        self.last: ClockedOutputs | None = None

    def __call__(self, frames: int) -> ClockedRun:
        job, stage = self.job, f"{self.name} latencies, {frames} frames"

        def progress(_: str, done: int, total: int) -> None:
            if job.progress is not None:
                job.progress(stage, done, total)

        outputs, run = clocked_device.run_clocked(
            job.folder, job.device, job.codes, self.plan.latencies.scaled(SCALES[self.name]),
            frames, check=job.check, time_limit_s=job.time_limit_s, progress=progress,
        )  # fmt: skip
        layers = run.layer_ends.shape[-1]
        if layers != len(self.plan.steps):
            what = f"the run has {layers} steps, the plan {len(self.plan.steps)}"
            raise CheckFailed(f"{job.device}: {what}")
        self.compared.add(job, outputs)
        self.last = outputs
        return run


@dataclass(frozen=True, eq=False)
class ClockedEmulation(Emulation):
    """An emulation with simulated time. tables: its figures for people."""

    tables: tuple[Table, ...] = ()


def clocked_emulation(job: ClockedJob, samples: FrameSamples, whole: str) -> ClockedEmulation:
    """What ``measure`` gives, as every emulation is told; writes the timeline that is asked for.

    samples: of the job. whole: what a run with every stage compares, in words. Raises as
    ``measure`` does, and InputError where the timeline cannot be written.
    """
    found = measure(job)
    timeline = samples.options.timeline
    if timeline is not None:
        write_file(timeline, found.timeline())
    labels = samples.frames.labels
    golden = job.want[job.model.output].reshape(len(samples), -1)
    facts = {
        "platform": found.platform,
        "channels": "clocked",
        "top1": top1(found.output, labels),
        "reference_top1": top1(golden, labels),
        "predictions": list(classes(job.model, job.model.output, found.output)),
        **found.report.to_dict(),
        "timeline": timeline,
    }
    compared = found.compared
    return ClockedEmulation(
        device=job.device,
        samples=len(samples),
        checked=whole if job.check else "output",
        elements=compared.elements,
        mismatches=compared.mismatches,
        divergence=compared.divergence,
        outputs=found.output,
        facts=facts,
        tables=found.report.tables(),
    )
