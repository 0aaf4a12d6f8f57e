"""Accuracy of scores against classes: top-1, top-5, by class, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.shown import picture_html, table_html
from shiftforge.sim.confusion import can_draw, confusion_png

__all__ = ["Accuracy", "ClassRow", "Evaluation", "accuracy", "best"]

_SHOWN = 5


@dataclass(frozen=True)
class ClassRow:
    """count: samples of the class. recall: share of them that are found; precision: share of those
    told to be of it that are. None where there are none."""

    name: str
    count: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True, eq=False)
class Accuracy:
    """top1, top5: shares, 0..1; top5 is None with five classes or fewer.

    confusion: int64 (K, K), samples of class i that are taken for class j.
    """

    top1: float
    top5: float | None
    by_class: tuple[ClassRow, ...]
    confusion: NDArray[np.int64]


def best(scores: NDArray[np.floating], count: int = _SHOWN) -> NDArray[np.int64]:
    """Classes (N, count) by falling score; of equal ones the first comes first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def accuracy(
    scores: NDArray[np.floating], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> Accuracy:
    """Of scores (N, K) against labels (N,), N >= 1; ties go to the first class."""
    order = best(scores)
    found, size = order[:, 0], len(classes)
    confusion = np.bincount(labels * size + found, minlength=size * size).reshape(size, size)
    rows = []
    for number, name in enumerate(classes):
        right, count = int(confusion[number, number]), int(confusion[number].sum())
        told = int(confusion[:, number].sum())
        recall, precision = (right / n if n else None for n in (count, told))
        rows.append(ClassRow(name, count, recall, precision))
    top5 = float((order == labels[:, None]).any(axis=1).mean()) if size > _SHOWN else None
    return Accuracy(float((found == labels).mean()), top5, tuple(rows), confusion)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A project's labelled samples at several checkpoints.

    names, labels: of N samples. scores: real values (N, K) by checkpoint. mismatches: integers
    that differ from the reference's, by checkpoint that holds integers. exits: by checkpoint, the
    layer that each text left at. left_out: samples that the calibration saw. notes: for the user.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.floating]]
    mismatches: Mapping[str, int]
    exits: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @cached_property
    def accuracies(self) -> dict[str, Accuracy]:
        """By checkpoint."""
        return {at: accuracy(own, self.labels, self.classes) for at, own in self.scores.items()}

    @property
    def bit_exact(self) -> bool:
        """Whether every integer is the reference's."""
        return not any(self.mismatches.values())

    def _repr_html_(self) -> str:
        """The accuracies, the table by class and the confusion matrix, in a notebook."""
        found = self.accuracies
        last = list(found)[-1]
        rows = [(at, own.top1, own.top5, self.mismatches.get(at)) for at, own in found.items()]
        classes = [(r.name, r.count, r.recall, r.precision) for r in found[last].by_class]
        columns = ("checkpoint", "top-1", "top-5", "mismatches")
        shown = table_html(f"{len(self.labels):,} samples", columns, rows)
        columns = ("class", "samples", "found", "right when told")
        shown += table_html(f"by class, {last}", columns, classes)
        if can_draw():
            shown += picture_html(self.confusion_png(), f"confusion matrix, {last}")
        return shown

    def confusion_png(self, metadata: Mapping[str, Any] | None = None) -> bytes:
        """A picture of the last checkpoint's confusion matrix. metadata: of the PNG."""
        at, own = list(self.accuracies.items())[-1]
        title = f"{at}: top-1 {own.top1:.2%} of {len(self.labels):,} samples"
        return confusion_png(own.confusion, self.classes, title, metadata)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form: every sample with its five best classes and their scores."""
        found = self.accuracies
        return {
            "samples": len(self.labels),
            "left_out": self.left_out,
            "classes": list(self.classes),
            "bit_exact": self.bit_exact,
            "checkpoints": {
                at: {
                    "top1": own.top1,
                    "top5": own.top5,
                    "mismatches": self.mismatches.get(at),
                    "by_class": [vars(row) for row in own.by_class],
                    "confusion": own.confusion.tolist(),
                    **({"exits": self._exits(at)} if at in self.exits else {}),
                }
                for at, own in found.items()
            },
            "predictions": [self._prediction(n) for n in range(len(self.labels))],
            "notes": list(self.notes),
        }

    def _exits(self, at: str) -> dict[str, int]:
        layers, counts = np.unique(self.exits[at], return_counts=True)
        return {str(layer): int(n) for layer, n in zip(layers, counts, strict=True)}

    def _prediction(self, number: int) -> dict[str, Any]:
        def told(at: str) -> list[dict[str, Any]]:
            row = self.scores[at][number]
            order = best(row[None])[0]
            return [{"class": self.classes[n], "score": float(row[n])} for n in order]

        return {
            "name": self.names[number],
            "class": self.classes[self.labels[number]],
            "found": {at: told(at) for at in self.scores},
        }
