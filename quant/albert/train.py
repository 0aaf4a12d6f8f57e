"""Trains a small ALBERT with off-ramps in two stages (DeeBERT): all but the off-ramps, of which
the last one is the classifier; then the other off-ramps alone, over the frozen network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from shiftforge.quant.albert.model import OffRampAlbert, batch_of, configuration
from shiftforge.quant.albert.settings import Recipe, Shape
from shiftforge.quant.text.tokeniser import window

__all__ = ["Trained", "evaluate", "train"]

Sentences = Sequence[NDArray[np.int64]]
Say = Callable[[str], None]
_WARM_UP = 0.1
_UNKNOWN = 1


@dataclass(frozen=True, eq=False)
class Trained:
    """model: in evaluation mode. accuracy: of each off-ramp on the held-out texts."""

    model: OffRampAlbert
    accuracy: tuple[float, ...]
    seconds: float


def evaluate(
    model: OffRampAlbert, sentences: Sentences, length: int, batch: int = 64
) -> NDArray[np.float32]:
    """Logits (layers, N, classes) of the first ``length`` tokens of each text."""
    model.eval()
    cut = [window(s, length) for s in sentences]
    order = np.argsort([len(s) for s in cut], kind="stable")
    found: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for first in range(0, len(order), batch):
            ids, mask = batch_of([cut[i] for i in order[first : first + batch]])
            found.append(torch.stack(model(ids, mask)).numpy())
    logits = np.concatenate(found, axis=1)
    out = np.empty_like(logits)
    out[:, order] = logits
    return out


def _windows(
    sentences: Sentences, labels: NDArray[np.int64], length: int, batch: int, drop: float,
    rng: np.random.Generator,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:  # fmt: skip
    """An epoch of batches: every second text from its start, the others from a random place."""
    order = rng.permutation(len(sentences))
    if max(len(s) for s in sentences) <= length:
        # Short texts: batches of neighbours in length waste no time on padding.
        noisy = np.array([len(s) for s in sentences]) + rng.uniform(0, 4, len(sentences))
        blocks = np.array_split(order[np.argsort(noisy[order])], -(-len(order) // batch))
        rng.shuffle(blocks := list(blocks))
    else:
        blocks = np.array_split(order, -(-len(order) // batch))
    for block in blocks:
        cut = []
        for i in block:
            own = sentences[i]
            start = int(rng.integers(max(len(own) - length, 0) + 1)) if rng.random() < 0.5 else 0
            ids = window(own, length, start).copy()
            inner = ids[1:-1]
            inner[rng.random(len(inner)) < drop] = _UNKNOWN
            cut.append(ids)
        yield *batch_of(cut), torch.from_numpy(labels[block])


def _rate(progress: float) -> float:
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def train(
    shape: Shape,
    recipe: Recipe,
    sentences: Sentences,
    labels: NDArray[np.int64],
    held: Sentences,
    held_labels: NDArray[np.int64],
    classes: int,
    vocabulary: int,
    *,
    words: NDArray[np.float32] | None = None,
    start: OffRampAlbert | None = None,
    frozen_words: bool = False,
    seed: int = 0,
    say: Say = print,
) -> Trained:
    """Train on sentences and measure on held-out ones, which choose nothing.

    sentences, held: token identities of whole texts. words: word embeddings (vocabulary,
    embedding) to start from. frozen_words: they stay as they are. start: a network to start from, of the shape; it is changed. say:
    takes progress. The same seed gives the same network where ``recipe.minutes`` is None.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    config = configuration(shape, vocabulary, recipe.dropout)
    model = start or OffRampAlbert(config, classes)
    if words is not None:
        with torch.no_grad():
            model.albert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(words))
    model.albert.embeddings.word_embeddings.weight.requires_grad_(not frozen_words)
    started = time.monotonic()
    _network(model, shape, recipe, sentences, labels, rng, say)
    _off_ramps(model, shape, recipe, sentences, labels, rng)
    logits = evaluate(model, held, shape.length)
    accuracy = tuple(float(a) for a in (logits.argmax(axis=2) == held_labels).mean(axis=1))
    seconds = time.monotonic() - started
    say(f"held out, by off-ramp: {' '.join(f'{a:.4f}' for a in accuracy)} ({seconds:.0f} s)")
    return Trained(model, accuracy, seconds)


def _network(
    model: OffRampAlbert, shape: Shape, recipe: Recipe, sentences: Sentences,
    labels: NDArray[np.int64], rng: np.random.Generator, say: Say,
) -> None:  # fmt: skip
    """First stage: everything but the off-ramps before the last one."""
    for ramp in list(model.ramps)[:-1]:
        ramp.requires_grad_(False)
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in trained if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for _, p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate)
    steps = -(-len(sentences) // recipe.batch) * recipe.epochs
    limit = math.inf if recipe.minutes is None else 60 * recipe.minutes
    started = time.monotonic()
    step = 0
    for epoch in range(recipe.epochs):
        model.train()
        total, right, seen = 0.0, 0, 0
        batches = _windows(sentences, labels, shape.length, recipe.batch, recipe.word_dropout, rng)
        for ids, mask, wanted in batches:
            progress = max(step / steps, (time.monotonic() - started) / limit)
            if progress >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _rate(progress)
            logits = model(ids, mask)[-1]
            loss = functional.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
            optimiser.step()
            total += float(loss.detach()) * len(wanted)
            right += int((logits.argmax(1) == wanted).sum())
            seen += len(wanted)
            step += 1
        spent = time.monotonic() - started
        left = min(spent / max(step, 1) * (steps - step), limit - spent)
        say(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {total / max(seen, 1):.3f}, "
            f"accuracy {right / max(seen, 1):.3f}, {max(left, 0):.0f} s left"
        )
        if spent >= limit:
            break


def _off_ramps(
    model: OffRampAlbert, shape: Shape, recipe: Recipe, sentences: Sentences,
    labels: NDArray[np.int64], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Second stage: the first tokens' columns are the same in every epoch, and computed once."""
    model.eval()
    columns: list[list[torch.Tensor]] = [[] for _ in model.ramps]
    wanted = []
    with torch.inference_mode():
        for _ in range(recipe.ramp_windows):
            for ids, mask, own in _windows(sentences, labels, shape.length, 64, 0.0, rng):
                for kept, column in zip(columns, model.first_columns(ids, mask), strict=True):
                    kept.append(column)
                wanted.append(own)
    answer = torch.cat(wanted)
    for ramp, kept in list(zip(model.ramps, columns, strict=True))[:-1]:
        ramp.requires_grad_(True)
        x = torch.cat(kept).clone()
        optimiser = torch.optim.AdamW(ramp.parameters(), lr=1e-2, weight_decay=1e-3)
        for epoch in range(recipe.ramp_epochs):
            for group in optimiser.param_groups:
                group["lr"] = 1e-2 * (1 - epoch / recipe.ramp_epochs)
            loss = functional.cross_entropy(ramp(x), answer, label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
