"""Accuracy of a project on labelled samples: one protocol for every target that has labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.project import Project
from shiftforge.sim.accuracy import Evaluation
from shiftforge.sim.results import Run
from shiftforge.sim.runner import GOLDEN, Progress, Runner

__all__ = ["Evaluates", "Labelled", "evaluate"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """samples: in the runner's form. labels: class numbers of N samples; classes: all names.

    left_out: how many were left out because the calibration saw them.
    """

    samples: Any
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    left_out: int = 0
    notes: tuple[str, ...] = ()


@runtime_checkable
class Evaluates(Protocol):
    """A runner whose samples may have classes. first: its checkpoints that come before devices."""

    first: tuple[str, ...]

    def labelled(
        self, project: Project, spec: Any, limit: int | None, options: Any, *, calibrated: bool
    ) -> Labelled:
        """Labelled samples; with those that the calibration saw where ``calibrated``."""

    def ends(self, samples: Any, run: Run) -> tuple[NDArray[np.floating], NDArray[np.int64] | None]:
        """Real values (N, K) of a run, the larger the likelier, and the layer that each sample left
        at; None where all run through the whole network."""


def evaluate(
    project: Project,
    runner: Runner[Any],
    data: Labelled,
    names: Sequence[str],
    *,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> Evaluation:
    """Run labelled samples at checkpoints, and hold the integers against the reference's.

    names: checkpoints; the reference runs in any case. runner: one that ``Evaluates``.
    """
    assert isinstance(runner, Evaluates)
    wanted = [*names] if GOLDEN in names else [*names, GOLDEN]
    found: dict[str, list[Run]] = {at: [] for at in wanted}
    parts = list(runner.batches(data.samples, True))
    for part in parts:
        for at in wanted:
            run = runner.run(
                project, part, at, every_stage=False, time_limit_s=time_limit_s, progress=progress
            )
            found[at].append(run)
    scores, exits = {}, {}
    for at, runs in found.items():
        ends = [runner.ends(p, r) for p, r in zip(parts, runs, strict=True)]
        scores[at] = np.concatenate([values for values, _ in ends])
        layers = [own for _, own in ends if own is not None]
        if layers:
            exits[at] = np.concatenate(layers)
    # The float network is measured; what holds integers has the reference's to the last.
    compared = [at for at in wanted if at not in (*runner.first, GOLDEN)]
    mismatches = {at: int((scores[at] != scores[GOLDEN]).sum()) for at in compared}
    for at in compared:
        if at in exits:
            mismatches[at] += int((exits[at] != exits[GOLDEN]).sum())
    return Evaluation(
        data.classes, data.names, data.labels, scores, mismatches, exits, data.left_out, data.notes
    )
