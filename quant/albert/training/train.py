"""Trains a small ALBERT with off-ramps in two stages (DeeBERT): all but the off-ramps, of which
the last one is the classifier; then the other off-ramps alone, over the frozen network."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.albert.network.model import OffRampAlbert, configuration
from shiftforge.quant.albert.training.loop import (
    Labelled,
    Say,
    accuracy,
    evaluate,
    fit_network,
    fit_off_ramps,
)
from shiftforge.quant.albert.training.settings import Training

__all__ = ["Trained", "TrainingSet", "evaluate", "train"]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """classes: how many. vocabulary: tokens, of which every identity is one."""

    train: Labelled
    held_out: Labelled
    classes: int
    vocabulary: int


@dataclass(frozen=True, eq=False)
class Trained:
    """model: in evaluation mode. accuracy: of each off-ramp on the held-out texts."""

    model: OffRampAlbert
    accuracy: tuple[float, ...]
    seconds: float


def train(
    training: Training,
    texts: TrainingSet,
    *,
    words: NDArray[np.float32] | None = None,
    start: OffRampAlbert | None = None,
    frozen_words: bool = False,
    say: Say = print,
) -> Trained:
    """Train on texts and measure on held-out ones, which choose nothing.

    words: word embeddings (vocabulary, embedding) to start from. frozen_words: they stay as they
    are. start: a network to start from, of the shape; it is changed. say: takes progress. The same
    seed gives the same network where ``recipe.minutes`` is None.
    """
    shape, recipe = training.shape, training.recipe
    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    config = configuration(shape, texts.vocabulary, recipe.dropout)
    model = start or OffRampAlbert(config, texts.classes)
    if words is not None:
        with torch.no_grad():
            model.albert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(words))
    model.albert.embeddings.word_embeddings.weight.requires_grad_(not frozen_words)
    started = time.monotonic()
    fit_network(model, shape.length, recipe, texts.train, rng, say)
    fit_off_ramps(model, shape.length, recipe, texts.train, rng)
    found = accuracy(model, texts.held_out, shape.length)
    seconds = time.monotonic() - started
    say(f"held out, by off-ramp: {' '.join(f'{a:.4f}' for a in found)} ({seconds:.0f} s)")
    return Trained(model, found, seconds)
