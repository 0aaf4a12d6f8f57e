"""The training loop: seeded, checkpointed every epoch, resumable, on CPU or GPU."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.models.batches import Examples, epoch_seed, normalised, training_batches
from shiftforge.quant.models.checkpoint import (
    load_checkpoint,
    optimiser_state,
    restore_optimiser,
    save_checkpoint,
)

__all__ = ["Hooks", "Progress", "Recipe", "Report", "accuracy", "fit", "learning_rate"]

_REPORT_STEPS = 10


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: one-cycle cosine schedule over all epochs.

    optimiser: "sgd" (Nesterov momentum 0.9) or "adam". warmup: share of the steps over which the
    rate rises to ``rate``. weight_decay: on tensors of more than one dimension alone.
    shift: largest move of an image in pixels.
    """

    epochs: int
    rate: float
    batch: int = 128
    optimiser: Literal["sgd", "adam"] = "sgd"
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    warmup: float = 0.1
    shift: int = 4
    seed: int = 1


@dataclass(frozen=True)
class Progress:
    """Where training stands. loss: mean of the epoch so far; accuracy: of the last epoch, 0..1."""

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    seconds_left: float


Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Hooks:
    """What a scheme adds to training.

    loss: from the task's loss to the one that is minimised. after_step: called after every
    optimiser step.
    """

    loss: Callable[[torch.Tensor], torch.Tensor] | None = None
    after_step: Callable[[], None] | None = None


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Linear warm-up, then a half cosine down to 0; step counts from 0."""
    warm = int(recipe.warmup * total)
    if step < warm:
        return recipe.rate * (step + 1) / warm
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Class scores (N, classes) of a plain module or a transformers model."""
    found = network(images)
    scores: torch.Tensor = getattr(found, "logits", found)
    return scores.flatten(1)


def accuracy(network: nn.Module, examples: Examples, batch: int = 500) -> float:
    """Share of correctly classified examples, 0..1; the network's mode is put back."""
    was_training = network.training
    network.eval()
    hits = 0
    with torch.no_grad():
        for start in range(0, len(examples), batch):
            part = slice(start, start + batch)
            scores = logits(network, normalised(examples.images[part], examples.preprocess))
            hits += int((scores.argmax(1) == examples.labels[part]).sum())
    network.train(was_training)
    return hits / len(examples)


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)


def _check(recipe: Recipe, train: Examples) -> int:
    """Steps in an epoch."""
    problems = []
    if recipe.epochs < 1:
        problems.append(Problem(f"{recipe.epochs} epochs", "train for at least 1"))
    if recipe.batch < 2 or recipe.batch > len(train):
        problems.append(
            Problem(f"batches of {recipe.batch} from {len(train)} images", "choose 2 to all images")
        )
    if not (math.isfinite(recipe.rate) and recipe.rate > 0):
        problems.append(Problem(f"learning rate {recipe.rate}", "give a rate above 0"))
    if recipe.shift < 0:
        problems.append(Problem(f"shift {recipe.shift}", "give 0 or more pixels"))
    if problems:
        raise InputError(problems)
    return len(train) // recipe.batch


def _resume(
    folder: Path, stage: str, facts: Mapping[str, Any], epochs: int
) -> tuple[int, dict[str, torch.Tensor]]:
    """(epochs done, tensors) of the newest checkpoint, (0, {}) where there is none."""
    for epoch in range(epochs, 0, -1):
        path = folder / f"{stage}-{epoch:03d}.safetensors"
        if not path.is_file():
            continue
        tensors, header = load_checkpoint(path)
        if header.get("facts") != facts:
            raise InputError(
                Problem(
                    "the checkpoint comes from another training recipe or data set",
                    "use another folder, or remove it to start again",
                    str(path),
                )
            )
        return epoch, tensors
    return 0, {}


def _pick(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Repeatable kernels within the block; on CUDA that needs a fixed cuBLAS workspace."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was, only_warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=only_warned)


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: Examples,
    recipe: Recipe,
    epoch: int,
    hooks: Hooks,
    tell: Callable[[int, float], None],
) -> float:
    """One epoch, counted from 0; tell(step, mean loss so far) after every step. Mean loss."""
    steps = len(train) // recipe.batch
    seed = epoch_seed(recipe.seed, epoch)
    network.train()
    torch.manual_seed(seed)
    mean = 0.0
    batches = training_batches(train, recipe.batch, recipe.shift, seed)
    for step, (images, labels) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
        loss = nn.functional.cross_entropy(
            logits(network, images), labels, label_smoothing=recipe.label_smoothing
        )
        if hooks.loss is not None:
            loss = hooks.loss(loss)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if hooks.after_step is not None:
            hooks.after_step()
        mean += (loss.item() - mean) / (step + 1)
        tell(step + 1, mean)
    return mean


def fit(
    network: nn.Module,
    train: Examples,
    test: Examples,
    recipe: Recipe,
    *,
    stage: str,
    folder: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    report: Report | None = None,
    stop_after: int | None = None,
) -> list[float]:
    """Train in place; returns the test accuracy after every epoch run now.

    folder: where ``<stage>-<epoch>.safetensors`` is written after every epoch, and where a run
    with the same recipe and facts resumes; None keeps nothing. facts: what else the run depends
    on, JSON-serialisable. stop_after: leave after this many epochs in all, the schedule unchanged.
    The same recipe, data, thread count and library versions give the same weights, resumed or not.
    Raises InputError for a bad recipe, a folder with another run's checkpoints, and divergence.
    """
    steps = _check(recipe, train)
    device = train.images.device
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(network, recipe)
    known = {"recipe": asdict(recipe), "images": len(train), "stage": stage, **(facts or {})}
    done, tensors = _resume(folder, stage, known, recipe.epochs) if folder else (0, {})
    if tensors:
        network.load_state_dict(_pick(tensors, "network."))
        restore_optimiser(optimiser, _pick(tensors, "optimiser."))
    last = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)
    results: list[float] = []
    began = time.monotonic()

    def tell(epoch: int, step: int, mean: float) -> None:
        if report is None or (step % _REPORT_STEPS != 1 and step != steps):
            return
        run = (epoch - done) * steps + step
        left = (time.monotonic() - began) / run * ((last - done) * steps - run)
        found = results[-1] if results else None
        report(Progress(stage, epoch + 1, recipe.epochs, step, steps, mean, found, left))

    with deterministic(device):
        for epoch in range(done, last):
            mean = _epoch(
                network, optimiser, train, recipe, epoch, hooks or Hooks(), partial(tell, epoch)
            )
            if not math.isfinite(mean):
                raise InputError(
                    Problem(f"diverged in epoch {epoch + 1}", "lower the learning rate", stage)
                )
            results.append(accuracy(network, test))
            if folder is not None:
                held = {f"network.{n}": t for n, t in network.state_dict().items()}
                held |= {f"optimiser.{n}": t for n, t in optimiser_state(optimiser).items()}
                header = {"facts": known, "epoch": epoch + 1, "accuracy": results[-1]}
                save_checkpoint(folder / f"{stage}-{epoch + 1:03d}.safetensors", held, header)
    return results
