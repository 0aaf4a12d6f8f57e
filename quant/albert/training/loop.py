"""The two stages of training (DeeBERT), shared by training and compression: all but the off-ramps,
of which the last one is the classifier; then the other off-ramps alone, over the frozen network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from shiftforge.quant.albert.network.model import OffRampAlbert, batch_of
from shiftforge.quant.albert.network.settings import Recipe
from shiftforge.quant.text.tokeniser import UNKNOWN_ID, window
from shiftforge.quant.torch_cache import import_compiler

__all__ = [
    "WARM_UP",
    "Addition",
    "Labelled",
    "Objective",
    "Say",
    "Sentences",
    "accuracy",
    "evaluate",
    "fit_network",
    "fit_off_ramps",
    "steps_of",
]

Sentences = Sequence[NDArray[np.int64]]
Say = Callable[[str], None]
Objective = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss of (logits of the last off-ramp, labels, token identities, mask)."""
WARM_UP = 0.1
"""Share of the first stage in which the learning rate rises."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """ids: token identities of whole texts. labels: int64 (N,), their classes."""

    ids: Sentences
    labels: NDArray[np.int64]


class Addition(Protocol):
    """Something that is learned beside the weights in the first stage."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser, with their own highest rate as ``lr``."""

    def before(self, progress: float) -> None:
        """Before a step. progress: 0..1."""

    def loss(self) -> torch.Tensor | None:
        """Added to the loss of every step."""

    def after(self) -> None:
        """After a step."""


def steps_of(sentences: Sentences, recipe: Recipe) -> int:
    """Steps of the first stage, where no time limit cuts it."""
    return -(-len(sentences) // recipe.batch) * recipe.epochs


def evaluate(
    model: OffRampAlbert, sentences: Sentences, length: int, batch: int = 64
) -> NDArray[np.float32]:
    """Logits (layers, N, classes) of the first ``length`` tokens of each text."""
    model.eval()
    cut = [window(s, length) for s in sentences]
    order = np.argsort([len(s) for s in cut], kind="stable")
    found: list[NDArray[np.float32]] = []
    with torch.inference_mode(), parametrize.cached():
        for first in range(0, len(order), batch):
            ids, mask = batch_of([cut[i] for i in order[first : first + batch]])
            found.append(torch.stack(model(ids, mask)).numpy())
    logits = np.concatenate(found, axis=1)
    out = np.empty_like(logits)
    out[:, order] = logits
    return out


def accuracy(model: OffRampAlbert, texts: Labelled, length: int) -> tuple[float, ...]:
    """Share of the texts that each off-ramp labels rightly, 0..1."""
    logits = evaluate(model, texts.ids, length)
    return tuple(float(a) for a in (logits.argmax(axis=2) == texts.labels).mean(axis=1))


def _windows(
    texts: Labelled, length: int, batch: int, drop: float, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """An epoch of batches: every second text from its start, the others from a random place."""
    sentences = texts.ids
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
            inner[rng.random(len(inner)) < drop] = UNKNOWN_ID
            cut.append(ids)
        yield *batch_of(cut), torch.from_numpy(texts.labels[block])


def _rate(progress: float) -> float:
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _optimiser(
    model: OffRampAlbert, recipe: Recipe, additions: Sequence[Addition]
) -> tuple[torch.optim.AdamW, list[nn.Parameter]]:
    """AdamW, and the weights: what no addition owns."""
    more = [group for addition in additions for group in addition.groups()]
    owned = {id(p) for group in more for p in group["params"]}
    own = [p for p in model.parameters() if p.requires_grad and id(p) not in owned]
    groups = [
        {"params": [p for p in own if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0},
        *more,
    ]
    import_compiler()
    made = torch.optim.AdamW([g for g in groups if g["params"]], lr=recipe.rate)
    for group in made.param_groups:
        group["peak"] = group["lr"]
    return made, own


def fit_network(
    model: OffRampAlbert,
    length: int,
    recipe: Recipe,
    texts: Labelled,
    rng: np.random.Generator,
    say: Say,
    *,
    additions: Sequence[Addition] = (),
    objective: Objective | None = None,
) -> None:
    """First stage: everything but the off-ramps before the last one.

    length: of the windows, in tokens. objective: by default cross entropy with the recipe's
    smoothing. A parametrised weight is computed once a step, not once a layer.
    """
    for ramp in list(model.ramps)[:-1]:
        ramp.requires_grad_(False)
    optimiser, weights = _optimiser(model, recipe, additions)
    steps = steps_of(texts.ids, recipe)
    limit = math.inf if recipe.minutes is None else 60 * recipe.minutes
    started = time.monotonic()
    step = 0
    for epoch in range(recipe.epochs):
        model.train()
        total, right, seen = 0.0, 0, 0
        batches = _windows(texts, length, recipe.batch, recipe.word_dropout, rng)
        for ids, mask, wanted in batches:
            progress = max(step / steps, (time.monotonic() - started) / limit)
            if progress >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * _rate(progress)
            for addition in additions:
                addition.before(progress)
            with parametrize.cached():
                logits = model(ids, mask)[-1]
                if objective is None:
                    loss = functional.cross_entropy(
                        logits, wanted, label_smoothing=recipe.smoothing
                    )
                else:
                    loss = objective(logits, wanted, ids, mask)
                total += float(loss.detach()) * len(wanted)
                for addition in additions:
                    extra = addition.loss()
                    loss = loss if extra is None else loss + extra
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            for addition in additions:
                addition.after()
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
    for addition in additions:
        addition.before(1.0)


def fit_off_ramps(
    model: OffRampAlbert,
    length: int,
    recipe: Recipe,
    texts: Labelled,
    rng: np.random.Generator,
) -> None:
    """Second stage: the first tokens' columns are the same in every epoch, and computed once."""
    model.eval()
    columns: list[list[torch.Tensor]] = [[] for _ in model.ramps]
    wanted = []
    with torch.inference_mode(), parametrize.cached():
        for _ in range(recipe.ramp_windows):
            for ids, mask, own in _windows(texts, length, 64, 0.0, rng):
                for kept, column in zip(columns, model.first_columns(ids, mask), strict=True):
                    kept.append(column.clone())  # not a view that keeps all states
                wanted.append(own)
    answer = torch.cat(wanted)
    import_compiler()
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
