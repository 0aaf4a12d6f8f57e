"""The checkpoints of images: float, fake-quantised, reference and devices, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.project import Project
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.frames import FrameSamples
from shiftforge.sim.conv.layers import LayerComparison
from shiftforge.sim.results import Table
from shiftforge.sim.runner import GOLDEN, Progress

__all__ = ["FAKE", "FLOAT", "Tensors", "checkpoint_tensors", "comparison_table", "golden_frames"]

FLOAT, FAKE = "float", "fake-quantised"
_GOLDEN_FRAMES = 16


def golden_frames(
    model: QuantizedModel, codes: NDArray[Any], progress: Progress | None = None
) -> Iterator[tuple[slice, dict[str, NDArray[Any]]]]:
    """Every tensor of the reference, a few frames at a time, with the slice of frames it is for."""
    from shiftforge.sim.golden.conv.network import run_golden

    for start in range(0, len(codes), _GOLDEN_FRAMES):
        frames = slice(start, min(start + _GOLDEN_FRAMES, len(codes)))
        yield frames, run_golden(model, codes[frames])
        if progress is not None:
            progress("reference", frames.stop, len(codes))


def comparison_table(layers: Sequence[LayerComparison], a: str, b: str) -> Table:
    """One row a tensor: how far two checkpoints are apart."""
    rows = tuple(
        (
            layer.tensor,
            layer.node,
            layer.source,
            f"{layer.total:,}",
            f"{layer.mismatches:,}",
            f"{layer.max_abs_diff:.6g}",
            f"{layer.sqnr_db:.1f}" if math.isfinite(layer.sqnr_db) else str(layer.sqnr_db),
        )
        for layer in layers
    )
    columns = ("tensor", "node", "source", "elements", "mismatches", "max |diff|", "SQNR dB")
    return Table(f"{a} against {b}", columns, rows)


@dataclass(frozen=True, eq=False)
class Tensors:
    """outputs: (N, K), of the first. tensors: each (N, C, H, W) by name; the outputs alone unless
    all are kept."""

    outputs: NDArray[Any]
    tensors: dict[str, NDArray[Any]]


def checkpoint_tensors(
    project: Project,
    samples: FrameSamples,
    at: str,
    every_stage: bool,
    time_limit_s: float,
    progress: Progress | None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors (N, C, H, W) by name at a checkpoint, and facts of the run."""
    model, images = samples.model, samples.frames.images
    if at == FLOAT:
        from shiftforge.quant.simulate import run_float_checkpoints

        return dict(run_float_checkpoints(model, images)), {}
    if at == FAKE:
        from shiftforge.quant.simulate import run_fake_quantised

        return dict(run_fake_quantised(model, samples.codes)), {}
    if at == GOLDEN:
        parts = [
            tensors if every_stage else {name: tensors[name] for name in model.outputs}
            for _, tensors in golden_frames(model, samples.codes, progress)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}, {}
    from shiftforge.sim.conv.emulate import emulate

    done = emulate(
        project.folder, at, samples.codes,
        check=every_stage, time_limit_s=time_limit_s, progress=progress,
    )  # fmt: skip
    found: dict[str, NDArray[Any]] = dict(done.traces or {})
    shape = (len(samples), *model.tensors[model.output].shape)
    found[model.output] = done.outputs.reshape(shape)
    return found, {
        "platform": done.platform,
        "channels": done.channels,
        "seconds": done.seconds_per_sample * len(samples),
    }
