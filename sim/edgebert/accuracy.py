"""Held-out accuracy of an integer classifier in the reference, and what early exit does to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.exits.exits import ExitPoint, exit_layers
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, label_of, threshold_of
from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = ["Outputs", "exit_points", "reference_outputs"]


@dataclass(frozen=True, eq=False)
class Outputs:
    """labels, entropies: (N, layers) of every off-ramp, entropies with 16 fraction bits."""

    labels: NDArray[np.int64]
    entropies: NDArray[np.int64]

    def accuracy(self, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each off-ramp, for the labels (N,)."""
        right: NDArray[np.float64] = (self.labels == wanted[:, None]).mean(axis=0)
        return right


def reference_outputs(
    network: IntegerAlbert,
    sentences: Sequence[NDArray[np.int64]],
    unit: Unit,
    say: Callable[[int], None] | None = None,
) -> Outputs:
    """All off-ramps of every sentence. say: takes the number of sentences done."""
    labels, entropies = [], []
    for done, ids in enumerate(sentences, 1):
        found = golden_sentence(network, ids, unit)
        labels.append([label_of(layer.logits) for layer in found.layers])
        entropies.append([layer.entropy for layer in found.layers])
        if say is not None:
            say(done)
    return Outputs(np.array(labels, dtype=np.int64), np.array(entropies, dtype=np.int64))


def exit_points(
    outputs: Outputs, wanted: NDArray[np.int64], thresholds: Sequence[float]
) -> list[ExitPoint]:
    """Accuracy and average exit layer at entropy thresholds (nats)."""
    points = []
    for nats in thresholds:
        layers = exit_layers(outputs.entropies.T.astype(np.float64), threshold_of(nats))
        chosen = outputs.labels[np.arange(len(layers)), layers - 1]
        points.append(ExitPoint(nats, float((chosen == wanted).mean()), float(layers.mean())))
    return points
