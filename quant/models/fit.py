"""The training loop: seeded, checkpointed every epoch, resumable, on CPU or GPU."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError, Problem
from shiftforge.quant.models.batches import (
    Examples,
    TrainingSet,
    epoch_seed,
    normalised,
    training_batches,
)
from shiftforge.quant.models.checkpoint import digest
from shiftforge.quant.models.recipe import (
    Group,
    Recipe,
    learning_rate,
    make_optimiser,
    plain_groups,
    recipe_problems,
)
from shiftforge.quant.models.stage import Progress, Report, Stage, keep, resume

__all__ = [
    "Hooks",
    "Progress",
    "Recipe",
    "Report",
    "Stage",
    "accuracy",
    "fit",
    "learning_rate",
    "logits",
]

_REPORT_STEPS = 10


@dataclass(frozen=True)
class Hooks:
    """What a scheme adds to training.

    loss: from the task's loss to the one that is minimised. after_step: called after every
    optimiser step. at_epoch: called with (epoch from 0, epochs) before each epoch. groups: the
    optimiser's parameter groups, see `recipe.plain_groups`. freeze: makes batch norm keep its
    statistics, called after train mode is set in the recipe's last epochs.
    """

    loss: Callable[[torch.Tensor], torch.Tensor] | None = None
    after_step: Callable[[], None] | None = None
    at_epoch: Callable[[int, int], None] | None = None
    groups: Callable[[nn.Module, Recipe], list[Group]] = plain_groups
    freeze: Callable[[nn.Module], object] | None = None


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


def _task_loss(
    found: torch.Tensor,
    labels: torch.Tensor,
    images: torch.Tensor,
    recipe: Recipe,
    teacher: nn.Module | None,
) -> torch.Tensor:
    """Cross entropy, mixed with the distance to the teacher's softened outputs."""
    loss = nn.functional.cross_entropy(found, labels, label_smoothing=recipe.label_smoothing)
    if teacher is None or recipe.distil == 0:
        return loss
    heat = recipe.temperature
    with torch.no_grad():
        wanted = nn.functional.log_softmax(logits(teacher, images) / heat, 1)
    given = nn.functional.log_softmax(found / heat, 1)
    # heat^2 keeps the gradient's size whatever the temperature.
    far = nn.functional.kl_div(given, wanted, reduction="batchmean", log_target=True) * heat**2
    return (1 - recipe.distil) * loss + recipe.distil * far


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
    teacher: nn.Module | None,
    tell: Callable[[int, float], None],
) -> float:
    """One epoch, counted from 0; tell(step, mean loss so far) after every step. Mean loss."""
    steps = len(train) // recipe.batch
    seed = epoch_seed(recipe.seed, epoch)
    network.train()
    if hooks.freeze is not None and epoch >= recipe.epochs - recipe.freeze_epochs:
        hooks.freeze(network)
    torch.manual_seed(seed)
    if hooks.at_epoch is not None:
        hooks.at_epoch(epoch, recipe.epochs)
    mean = 0.0
    batches = training_batches(train, recipe.batch, recipe.shift, seed, recipe.flip)
    for step, (images, labels) in enumerate(batches):
        for group in optimiser.param_groups:
            rate = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
            group["lr"] = rate * float(group.get("factor", 1.0))
        # Weights are quantised once, for the network and for what the scheme adds.
        with parametrize.cached():
            loss = _task_loss(logits(network, images), labels, images, recipe, teacher)
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
    data: TrainingSet,
    recipe: Recipe,
    stage: Stage,
    *,
    hooks: Hooks | None = None,
    teacher: nn.Module | None = None,
) -> list[float]:
    """Train in place; returns the accuracy on the watched images after every epoch run now.

    teacher: the float network of the recipe's distillation.
    The same recipe, data, thread count and library versions give the same weights, resumed or not.
    Raises InputError for a bad recipe, a folder with another run's checkpoints, and divergence.
    """
    train = data.train
    problems = recipe_problems(recipe, len(train), teacher=teacher is not None)
    if problems:
        raise InputError(problems)
    steps = len(train) // recipe.batch
    chosen = hooks or Hooks()
    device = train.images.device
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if teacher is not None:
        teacher.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    optimiser = make_optimiser(chosen.groups(network, recipe), recipe)
    known = {"recipe": asdict(recipe), "images": len(train), "stage": stage.name, **stage.facts}
    if stage.folder is not None:
        known["digest"] = digest({"images": train.images, "labels": train.labels})
    known = json.loads(json.dumps(known))  # as a checkpoint's header gives it back
    done = resume(stage, known, network, optimiser)
    limit = recipe.epochs if stage.stop_after is None else stage.stop_after
    last = min(limit, recipe.epochs)
    results: list[float] = []
    began = time.monotonic()

    def tell(epoch: int, step: int, mean: float) -> None:
        if stage.report is None or (step % _REPORT_STEPS != 1 and step != steps):
            return
        run = (epoch - done) * steps + step
        left = (time.monotonic() - began) / run * ((last - done) * steps - run)
        found = results[-1] if results else None
        at = Progress(stage.name, epoch + 1, recipe.epochs, step, steps, mean, found, left)
        stage.report(at)

    with deterministic(device):
        for epoch in range(done, last):
            mean = _epoch(
                network, optimiser, train, recipe, epoch, chosen, teacher, partial(tell, epoch)
            )
            if not math.isfinite(mean):
                raise InputError(
                    Problem(f"diverged in epoch {epoch + 1}", "lower the learning rate", stage.name)
                )
            results.append(accuracy(network, data.watched))
            header = {"facts": known, "epoch": epoch + 1, "accuracy": results[-1]}
            keep(stage, network, optimiser, header)
    return results
