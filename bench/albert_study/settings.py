"""What the ALBERT study trains: one job an optimisation and strength, and all together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shiftforge.quant.albert.network.settings import Recipe, Shape

__all__ = ["LIMITS", "STUDIES", "TABLE_CORPORA", "Job", "Study", "thresholds"]

TABLE_CORPORA = ("bbc", "sentiment")
"""The tasks that share the word table."""
LIMITS = (1.0, 5.0)
"""Points of validation accuracy that an optimisation may cost, as in the paper's tables."""

_DENSITY = 0.4  # of the word table where everything is on, the paper's


@dataclass(frozen=True)
class Job:
    """options: of ``Compression``. density: of the word table, the dense one's without. post: the
    weights' form where the teacher is quantised without training. cost: what the group's settings
    are ordered by, least first."""

    name: str
    group: str
    cost: float
    options: Mapping[str, Any] = field(default_factory=dict)
    density: float | None = None
    post: str | None = None

    @property
    def slug(self) -> str:
        """Of its folder and record."""
        return re.sub("[^a-z0-9.]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Study:
    """epochs: of a job, from the trained teacher. texts: of each epoch, all where None."""

    corpus: str
    shape: Shape
    recipe: Recipe
    epochs: int
    jobs: tuple[Job, ...]


def thresholds(classes: int) -> list[float]:
    """Entropy thresholds in nats, up to that of equal classes."""
    fine = [0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07]
    top = math.log(classes)
    return fine + [round(top * i / 40, 4) for i in range(3, 41) if top * i / 40 > fine[-1]]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _pruning(kind: str, levels: tuple[float, ...]) -> list[Job]:
    return [
        Job(f"{kind} {_percent(s)}", kind, 1 - s, {"prune": kind, "sparsity": s}) for s in levels
    ]


def _together(levels: tuple[float, ...], spans: float) -> list[Job]:
    """Everything on: movement pruning, spans, distillation, the sparse table, rounded weights."""
    options = {"prune": "movement", "spans": spans, "distil": True, "weights": "af8"}
    made = [
        Job(f"together {_percent(s)}", "together", 1 - s, {**options, "sparsity": s}, _DENSITY)
        for s in levels
    ]
    shift = {**options, "sparsity": levels[0], "weights": "dtssq:0.25"}
    return [*made, Job("together shift", "together shift", 0, shift, _DENSITY)]


def _post() -> list[Job]:
    costs = {"af8": 8, "af7": 7, "af6": 6, "af5": 5, "af4": 4, "shift2": 7.5, "shift1": 3.5}
    return [Job(f"{w} untrained", "weights", cost, post=w) for w, cost in costs.items()]


def _trained(names: tuple[str, ...]) -> list[Job]:
    costs = {"af4": 4, "af5": 5, "shift1": 3.5, "shift2": 7.5, "dtssq:0.25": 4.5}
    return [Job(f"{w} trained", "weights", costs[w], {"weights": w}) for w in names]


def _jobs(
    levels: tuple[float, ...],
    spans: tuple[float, ...],
    densities: tuple[float, ...],
    trained: tuple[str, ...],
    together: tuple[float, ...],
) -> tuple[Job, ...]:
    return (
        *_post(),
        *[Job(f"spans {c:g}", "spans", 1 / c, {"spans": c}) for c in spans],
        *_pruning("movement", levels),
        *_pruning("magnitude", levels),
        *[Job(f"words {_percent(d)}", "words", d, density=d) for d in densities],
        Job("distilled", "distilled", 1, {"distil": True}),
        *_trained(trained),
        *_together(together, spans[len(spans) // 2]),
    )


_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
STUDIES = {
    "bbc": Study(
        "bbc",
        Shape(64, 4, 256, 6, 128, 64, 8000),
        Recipe(epochs=14, dropout=0.1, word_dropout=0.25),
        4,
        _jobs(
            _LEVELS,
            (2e-4, 5e-5, 1e-5),
            (0.6, 0.4, 0.2, 0.1, 0.05),
            ("af4", "shift1", "dtssq:0.25"),
            (0.6, 0.8, 0.9, 0.95, 0.98),
        ),
    ),
    "sentiment": Study(
        "sentiment",
        Shape(64, 4, 256, 6, 40, 64, 8000),
        Recipe(epochs=4, dropout=0.1),
        1,
        _jobs(
            (0.5, 0.7, 0.9, 0.97),
            (5e-5,),
            (0.4, 0.1),
            ("af4", "dtssq:0.25"),
            (0.8,),
        ),
    ),
}
"""By corpus. The sizes are for two cores; a job of BBC is 4 passes over 1,500 articles."""
