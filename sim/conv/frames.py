"""Images as samples of a convolution project, and what a user may choose of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem
from shiftforge.quant.data.inputs import Frames, to_codes
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.runner import Options

__all__ = ["FrameOptions", "FrameSamples", "top1"]


@dataclass(frozen=True)
class FrameOptions(Options):
    """data_dir: folder of the Fashion-MNIST IDX files. clocked: run with simulated time, at half,
    the plan's and double latencies; timeline: a file of that run's events."""

    data_dir: Path | None = field(
        default=None,
        metadata={
            "name": "data",
            "metavar": "DIR",
            "folder": True,
            "commands": ("emulate", "compare"),
            "help": "Folder of the Fashion-MNIST IDX files.",
        },
    )
    clocked: bool = field(
        default=False,
        metadata={
            "commands": ("emulate",),
            "help": "Count the cycles that the kernels take: simulated time, three runs.",
        },
    )
    timeline: Path | None = field(
        default=None,
        metadata={
            "metavar": "FILE.json",
            "commands": ("emulate",),
            "help": "With --clocked: write a trace for ui.perfetto.dev.",
        },
    )

    def problems(self) -> list[Problem]:
        """What no project and no device make possible."""
        if self.timeline is None or self.clocked:
            return []
        return [Problem("--timeline shows a run with simulated time", "add --clocked")]


@dataclass(frozen=True, eq=False)
class FrameSamples:
    """model: of the project; frames: N of them; first: index of the first one in the input;
    options: those they were opened with."""

    model: QuantizedModel
    frames: Frames
    first: int = 0
    options: FrameOptions = FrameOptions()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def codes(self) -> NDArray[Any]:
        """Input codes (N, C, H, W)."""
        model = self.model
        return to_codes(self.frames.images, model.preprocess, model.tensors[model.input].grid)


def top1(outputs: NDArray[Any], labels: NDArray[np.int64] | None) -> float | None:
    """Share of rows of outputs (N, K) whose first largest element is at the label."""
    if labels is None:
        return None
    return float(np.mean(outputs.argmax(axis=1) == labels))
