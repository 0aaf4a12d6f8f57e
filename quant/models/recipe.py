"""How a network is trained: the recipe, its learning rates, and the optimiser it asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from shiftforge.errors import Problem
from shiftforge.quant.torch_cache import import_compiler

__all__ = ["Group", "Recipe", "learning_rate", "make_optimiser", "plain_groups", "recipe_problems"]

# One parameter group of a torch optimiser; "factor": of the learning rate, 1 where absent.
Group: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: one-cycle cosine or step schedule over all epochs.

    optimiser: "sgd" (Nesterov momentum 0.9) or "adam". warmup: share of the steps over which the
    rate rises to ``rate``. weight_decay: on tensors of more than one dimension alone.
    shift: largest move of an image in pixels. flip: mirror half of the images.
    schedule "step": the rate falls by ``decay`` at each milestone, a share of all steps.
    freeze_epochs: the last epochs, in which batch norm keeps its statistics.
    quantiser_rate, activation_rate: factors of the rate for thresholds and steps of the weights,
    and for those of the activations. distil: share of the loss that is the distance to a float
    teacher's outputs, at ``temperature`` (Hinton et al. 2015); 0 for none.
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
    flip: bool = True
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1
    freeze_epochs: int = 0
    quantiser_rate: float = 1.0
    activation_rate: float = 1.0
    distil: float = 0.0
    temperature: float = 4.0


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Linear warm-up, then a half cosine down to 0, or steps; step counts from 0."""
    warm = int(recipe.warmup * total)
    if step < warm:
        return recipe.rate * (step + 1) / warm
    if recipe.schedule == "step":
        passed = sum(step >= share * total for share in recipe.milestones)
        return recipe.rate * float(recipe.decay**passed)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def recipe_problems(recipe: Recipe, images: int, *, teacher: bool) -> list[Problem]:
    """Everything that a recipe for so many training images gets wrong."""

    def checks() -> Iterator[tuple[bool, str, str]]:
        rate, share = recipe.rate, recipe.distil
        yield recipe.epochs >= 1, f"{recipe.epochs} epochs", "train for at least 1"
        yield (
            2 <= recipe.batch <= images,
            f"batches of {recipe.batch} from {images} images",
            "choose 2 to all images",
        )
        yield math.isfinite(rate) and rate > 0, f"learning rate {rate}", "give a rate above 0"
        yield recipe.shift >= 0, f"shift {recipe.shift}", "give 0 or more pixels"
        yield (
            0 <= recipe.freeze_epochs <= max(recipe.epochs, 0),
            f"batch norm frozen for {recipe.freeze_epochs} of {recipe.epochs} epochs",
            "freeze 0 to all epochs",
        )
        yield 0 <= share <= 1, f"distillation share {share}", "choose 0 to 1"
        yield share == 0 or teacher, "distillation without a teacher", "give a teacher network"
        yield recipe.temperature > 0, f"temperature {recipe.temperature}", "give one above 0"
        factors = (recipe.quantiser_rate, recipe.activation_rate)
        yield min(factors) >= 0, f"rate factors {factors}", "give 0 or more"

    return [Problem(what, remedy) for good, what, remedy in checks() if not good]


def plain_groups(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Two groups: tensors of more than one dimension, which decay, and the others."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimiser(groups: list[Group], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for parameter groups."""
    import_compiler()
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)
