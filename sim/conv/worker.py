"""The child's part of ``emulate``: builds the kernels and runs the frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.manifest import ConvManifest, check_model, read_conv_manifest
from shiftforge.generator.manifest import read_manifest
from shiftforge.quant.graph.file import load_model
from shiftforge.sim.conv.layout import MapForm, map_forms
from shiftforge.sim.conv.runtime import Accelerator, Outputs
from shiftforge.sim.opencl.child import tell_progress
from shiftforge.sim.opencl.watch import Watch

__all__ = ["FrameJob", "FrameRun", "open_folder", "run_job"]


@dataclass(frozen=True, eq=False)
class FrameJob:
    """codes: (N, C, H, W), run ``chunk`` or a few more at a time; check: a traced run as well."""

    folder: Path
    device: str
    codes: NDArray[Any]
    check: bool
    strict_depth: bool
    stall_s: float
    chunk: int


@dataclass(frozen=True, eq=False)
class FrameRun:
    """output: of the traced run where there is one, and ``untraced`` of the other.

    maps: the network's further outputs, and every stored map, if traced. seconds: of the untraced
    run after a warm-up frame.
    """

    output: NDArray[Any]
    untraced: NDArray[Any]
    maps: dict[str, NDArray[Any]]
    platform: str
    channels: str
    build_seconds: float
    seconds: float


def _run(
    accelerator: Accelerator, job: FrameJob, report: Callable[[int], None]
) -> tuple[list[Outputs], float]:
    watch = None
    if not accelerator.lowered:
        ends = accelerator.manifest.channels
        watch = Watch(ends, accelerator.waits, job.stall_s)
    parts = []
    seconds = 0.0
    # The runtimes compile for the processor at the first launch: keep it out of the time.
    accelerator.run(job.codes[:1], watch)
    chunk = ceil(job.chunk / accelerator.frames) * accelerator.frames  # whole batches
    for start in range(0, len(job.codes), chunk):
        parts.append(accelerator.run(job.codes[start : start + chunk], watch))
        seconds += parts[-1].seconds
        report(min(start + chunk, len(job.codes)))
    return parts, seconds


def open_folder(folder: Path, codes: NDArray[Any]) -> tuple[ConvManifest, dict[str, MapForm]]:
    """A design's manifest, and the form of every tensor.

    Raises InputError for codes outside the input's grid.
    """
    manifest = read_conv_manifest(folder, read_manifest(folder))
    model = load_model(folder / "model.safetensors")
    check_model(folder, manifest, model)
    grid = model.tensors[model.input].grid
    if codes.min() < grid.qmin or codes.max() > grid.qmax:
        raise InputError(
            Problem(
                f"input codes {codes.min()} to {codes.max()} leave the grid's range "
                f"{grid.qmin} to {grid.qmax}",
                "quantise the frames onto the model's input grid",
            )
        )
    return manifest, map_forms(model)


def run_job(job: FrameJob) -> FrameRun:
    """Run a job's frames. Raises InputError for codes outside the input's grid."""
    codes = job.codes
    manifest, forms = open_folder(job.folder, codes)
    # With a check the frames run twice: half of each counts.
    passes, total = (2 if job.check else 1), len(codes)

    def build(trace: bool) -> Accelerator:
        return Accelerator(
            job.folder, manifest, forms, job.device, trace=trace, strict_depth=job.strict_depth
        )

    plain = build(trace=False)
    runs, seconds = _run(plain, job, lambda n: tell_progress(n // passes, total))
    untraced = output = np.concatenate([r.output for r in runs])
    if job.check:
        runs, _ = _run(build(trace=True), job, lambda n: tell_progress((total + n) // 2, total))
        output = np.concatenate([r.output for r in runs])
    maps = {name: np.concatenate([r.maps[name] for r in runs]) for name in runs[0].maps}
    return FrameRun(
        output=output,
        untraced=untraced,
        maps=maps,
        platform=f"{plain.device.platform.name}, {plain.device.platform.version.strip()}",
        channels="lowered" if plain.lowered else "intel",
        build_seconds=plain.build_seconds,
        seconds=seconds,
    )
