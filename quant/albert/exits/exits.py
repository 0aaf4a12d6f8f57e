"""Entropy of the off-ramps, and what an entropy threshold does to accuracy and depth (DeeBERT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["ExitPoint", "choose_threshold", "exit_layers", "exit_point", "exit_sweep", "nats"]

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ExitPoint:
    """threshold: in nats. layer: average exit layer, from 1."""

    threshold: float
    accuracy: float
    layer: float


def nats(logits: Floats) -> NDArray[np.float64]:
    """Entropies (..) in nats of the softmax over the last axis of logits (.., classes)."""
    x = np.asarray(logits, dtype=np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    e = np.exp(x)
    total = e.sum(axis=-1)
    found: NDArray[np.float64] = np.log(total) - (x * e).sum(axis=-1) / total
    return found


def exit_layers(entropies: Floats, threshold: float) -> Ints:
    """Layers (N,) that each sentence runs, 1 or more: the first whose entropy is at or below the
    threshold, or all. entropies: (layers, N) nats."""
    leaves = np.asarray(entropies) <= threshold
    leaves[-1] = True
    layers: Ints = leaves.argmax(axis=0).astype(np.int64) + 1
    return layers


def exit_point(logits: Floats, labels: Ints, threshold: float) -> ExitPoint:
    """Accuracy and depth at a threshold. logits: (layers, N, classes). labels: (N,)."""
    layers = exit_layers(nats(logits), threshold)
    chosen = logits.argmax(axis=2)[layers - 1, np.arange(len(layers))]
    return ExitPoint(threshold, float((chosen == labels).mean()), float(layers.mean()))


def exit_sweep(logits: Floats, labels: Ints, thresholds: Sequence[float]) -> list[ExitPoint]:
    """``exit_point`` at each threshold."""
    return [exit_point(logits, labels, t) for t in thresholds]


def choose_threshold(
    logits: Floats, labels: Ints, accuracy: float, thresholds: Sequence[float]
) -> float:
    """The threshold of the least depth whose accuracy is at least ``accuracy``; 0 where none is.

    Meant for validation texts: the held-out ones choose nothing. Raises InputError without
    thresholds.
    """
    if not thresholds:
        raise InputError(Problem("no thresholds", "give at least one"))
    points = exit_sweep(logits, labels, thresholds)
    good = [p for p in points if p.accuracy >= accuracy]
    return min(good, key=lambda p: (p.layer, -p.threshold)).threshold if good else 0.0
