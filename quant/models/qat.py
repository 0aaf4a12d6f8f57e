"""Quantisation-aware training of any network under any scheme: prepare, train, recalibrate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from shiftforge.quant.models.batches import Examples, TrainingSet, normalised
from shiftforge.quant.models.checkpoint import digest
from shiftforge.quant.models.fit import Hooks, Recipe, Stage, accuracy, fit
from shiftforge.quant.models.history import History, Record
from shiftforge.quant.models.recipe import Group
from shiftforge.quant.schemes import training
from shiftforge.quant.schemes.base import ActivationQuantiser, Scheme, WeightQuantiser
from shiftforge.quant.schemes.batchnorm import freeze_batch_norm, recalibrate_batch_norm
from shiftforge.quant.schemes.prepare import EndPolicy, prepare

__all__ = [
    "Options",
    "Trained",
    "images_of",
    "scheme_facts",
    "scheme_groups",
    "scheme_hooks",
    "train_scheme",
]

_BATCH = 250


@dataclass(frozen=True)
class Options:
    """What is trained beside the recipe: see `prepare` for overrides, first and last.

    recalibrate: training images with which batch norm is measured again at the end, 0 for none.
    """

    first: EndPolicy = "wide"
    last: EndPolicy = "wide"
    overrides: Mapping[str, Scheme | None] | None = None
    recalibrate: int = 2000


@dataclass(frozen=True, eq=False)
class Trained:
    """network: prepared and trained, in evaluation mode. accuracies: on the images that were
    watched, after every epoch of this run; final: with batch norm as recalibrated. records: of
    thresholds, where the scheme has them."""

    network: nn.Module
    accuracies: tuple[float, ...]
    final: float
    records: tuple[Record, ...] = ()


def scheme_facts(scheme: Scheme | None) -> dict[str, Any]:
    """A scheme and its settings as JSON holds them, for the record and to recognise a run."""
    if scheme is None:
        return {"scheme": "float"}

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            own = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
            return {"kind": type(value).__name__, **own}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value if value is None or isinstance(value, str | int | float) else repr(value)

    return {"scheme": scheme.name, "settings": plain(scheme)}


def scheme_groups(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Weights (which decay), the rest, and the learnt parts of weight and activation quantisers.

    The last two have rates of their own and never decay: a step or threshold has its own scale.
    """
    owner: dict[nn.Parameter, str] = {}
    for module in network.modules():
        kind = "weights" if isinstance(module, WeightQuantiser) else ""
        kind = "activations" if isinstance(module, ActivationQuantiser) else kind
        if kind:
            owner.update(dict.fromkeys(module.parameters(), kind))
    free = [p for p in network.parameters() if p.requires_grad]
    plain = [p for p in free if p not in owner]
    groups: list[Group] = [
        {"params": [p for p in plain if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in plain if p.ndim <= 1], "weight_decay": 0.0},
    ]
    for kind, factor in (
        ("weights", recipe.quantiser_rate),
        ("activations", recipe.activation_rate),
    ):
        members = [p for p in free if owner.get(p) == kind]
        groups.append({"params": members, "weight_decay": 0.0, "factor": factor})
    return [group for group in groups if group["params"]]


def scheme_hooks(network: nn.Module, history: History | None = None) -> Hooks:
    """What the training loop calls on a prepared or folded network; a float one takes it too."""

    def at_epoch(epoch: int, epochs: int) -> None:
        if history is not None:
            history.take(network, epoch)
        training.at_epoch(network, epoch, epochs)

    def loss(task: torch.Tensor) -> torch.Tensor:
        extra = training.penalty(network)
        return task if extra is None else task + extra

    return Hooks(
        loss=loss,
        after_step=lambda: training.after_step(network),
        at_epoch=at_epoch,
        groups=scheme_groups,
        freeze=lambda model: freeze_batch_norm(model, affine=False),
    )


def images_of(examples: Examples, count: int, batch: int = _BATCH) -> Iterator[torch.Tensor]:
    """The first ``count`` images, normalised, in batches; as they are, not moved or mirrored."""
    for start in range(0, min(count, len(examples)), batch):
        part = slice(start, min(start + batch, count))
        yield normalised(examples.images[part], examples.preprocess)


def train_scheme(
    start: nn.Module,
    scheme: Scheme | None,
    data: TrainingSet,
    recipe: Recipe,
    stage: Stage,
    *,
    options: Options | None = None,
    teacher: nn.Module | None = None,
) -> Trained:
    """Train a copy of a float network under a scheme; None goes on in float, as the reference.

    stage, teacher: as of `fit`.
    """
    train = data.train
    chosen = options or Options()
    # The quantisers' own beginnings must not depend on what was drawn before.
    torch.manual_seed(recipe.seed)
    device = train.images.device
    start = start.to(device)
    example = next(images_of(train, _BATCH))
    if scheme is None:
        network = copy.deepcopy(start)
    else:
        network = prepare(
            start,
            scheme,
            chosen.overrides,
            first=chosen.first,
            last=chosen.last,
            example=example[:2],
        )
        network.eval()
        with torch.no_grad():
            network(example)  # activation quantisers find their range
    known = {**scheme_facts(scheme), "ends": repr((chosen.first, chosen.last)), **stage.facts}
    known["start"] = digest(start.state_dict())
    known["overrides"] = repr(sorted((chosen.overrides or {}).items(), key=lambda item: item[0]))
    history = History(None if stage.folder is None else stage.folder / f"{stage.name}.history.json")
    hooks = scheme_hooks(network, history)
    reached = fit(network, data, recipe, replace(stage, facts=known), hooks=hooks, teacher=teacher)
    network.eval()
    history.take(network, recipe.epochs)
    if chosen.recalibrate:
        recalibrate_batch_norm(network, images_of(train, chosen.recalibrate))
    records = tuple(history.records)
    return Trained(network, tuple(reached), accuracy(network, data.watched), records)
