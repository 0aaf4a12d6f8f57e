"""`train` for any network, data set and scheme: float, quantised, folded, integer graph.

Validation images are held out of the training split and watched while training; the test images
are looked at once, at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from shiftforge.atomic import clear_leftovers
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.labelled import Dataset, Labelled, split_off
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.models import limits
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.checkpoint import digest, load_checkpoint, save_checkpoint
from shiftforge.quant.models.device import find_device
from shiftforge.quant.models.finish import Finish, finish
from shiftforge.quant.models.fit import Recipe, Report, Stage, accuracy, fit
from shiftforge.quant.models.limits import FINAL, FLOAT, TUNED
from shiftforge.quant.models.networks import build
from shiftforge.quant.models.qat import Options, scheme_facts, train_scheme
from shiftforge.quant.models.recipe import recipe_problems
from shiftforge.quant.models.training_pictures import write_pictures
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.summary import LayerSummary, summary
from shiftforge.quant.second_words import WordPlanner

__all__ = ["FLOAT", "Outcome", "RunConfig", "checked", "float_recipe", "run", "tune_recipe"]

# Share of the training split that is held out by default.
_VALIDATION = 0.1


def float_recipe(network: str, data: Dataset) -> Recipe:
    """The recipe of float training where none is given.

    RGB data take He et al.'s (CVPR 2016, section 4.2) rate and steps, over 200 epochs; small grey
    pictures are learned in some tens.
    """
    flip = data.flips
    if data.train.images.shape[3] == 3:
        made = Recipe(200, 0.1, label_smoothing=0.0, warmup=0.0, schedule="step", flip=flip)
        return replace(made, weight_decay=5e-4) if network == "resnet18" else made
    if len(data.train) < 10_000:
        return Recipe(30, 0.05, 64, shift=1, flip=flip)
    return Recipe(20, 0.1, shift=2, flip=flip)


def tune_recipe(start: Recipe) -> Recipe:
    """The recipe of quantised training that follows a float one: half as long, a cosine."""
    epochs = max(2, start.epochs // 2)
    return replace(
        start,
        epochs=epochs,
        rate=0.04,
        warmup=0.05,
        schedule="cosine",
        label_smoothing=0.0,
        freeze_epochs=max(1, epochs // 5),
    )


@dataclass(frozen=True)
class RunConfig:
    """What `run` does.

    data: see `load_dataset`. scheme None trains the float network alone. start: a float network
    of an earlier run (its float.safetensors) in place of training one. start_recipe, tune: None
    for the defaults; epochs, rate, batch, schedule, tune_epochs and tune_rate replace theirs.
    size: side that pictures are resized to; None for their own (a folder's: 32). final_epochs: of
    training after batch norm is folded, where values are the integer graph's own. validation:
    images, None for a tenth.
    activation_bits: of tensors whose activation quantisers have no power-of-two step of their own.
    planner: of the array whose weight words DTSSQ decides by once batch norm is folded; without
    one, and before, every weight has its own decision.
    resume: go on in a folder with checkpoints; without it such a folder is refused.
    """

    folder: Path
    network: str
    data: str
    scheme: Scheme | None = None
    options: Options = field(default_factory=Options)
    start: Path | None = None
    start_recipe: Recipe | None = None
    tune: Recipe | None = None
    epochs: int | None = None
    rate: float | None = None
    batch: int | None = None
    schedule: str | None = None
    tune_epochs: int | None = None
    tune_rate: float | None = None
    final_epochs: int = 1
    distil: float = 0.0
    seed: int = 1
    validation: int | None = None
    activation_bits: int = 8
    limit: int | None = None
    size: int | None = None
    channels: int = 3
    device: str | None = None
    resume: bool = False
    planner: WordPlanner | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Accuracies are shares, 0..1: validation and test by stage ("float", "quantised", "integer").

    refused: why there is no integer graph.
    """

    checkpoint: Path
    validation: Mapping[str, float]
    test: Mapping[str, float]
    layers: tuple[LayerSummary, ...] = ()
    model: QuantizedModel | None = None
    refused: tuple[Problem, ...] = ()


@dataclass(frozen=True, eq=False)
class Parts:
    data: Dataset
    images: TrainingSet
    test: Examples


def _recipes(config: RunConfig, data: Dataset) -> tuple[Recipe, Recipe]:
    def changed(recipe: Recipe, **given: Any) -> Recipe:
        return replace(recipe, **{name: v for name, v in given.items() if v is not None})

    start = config.start_recipe or float_recipe(config.network, data)
    start = changed(start, seed=config.seed, epochs=config.epochs, rate=config.rate)
    start = changed(start, batch=config.batch, schedule=config.schedule)
    tune = config.tune or tune_recipe(start)
    tune = changed(tune, epochs=config.tune_epochs, rate=config.tune_rate, distil=config.distil)
    freeze = min(tune.freeze_epochs, tune.epochs)
    return start, replace(tune, seed=config.seed, freeze_epochs=freeze)


def checked(config: RunConfig) -> tuple[Parts, Recipe, Recipe]:
    """Data on the device, and recipes; everything wrong is listed before anything is written."""
    problems = Problems()
    problems += limits.network_problems(config.network)
    problems += limits.number_problems(
        rates=(config.rate, config.tune_rate),
        epochs=(config.epochs, config.tune_epochs, config.final_epochs),
        seed=config.seed,
        size=config.size,
        channels=config.channels,
    )
    if config.final_epochs < 0:
        problems.append(Problem(f"{config.final_epochs} final epochs", "give 0 or more"))
    problems += limits.run_folder_problems(config.folder, resume=config.resume)
    device = problems.check(find_device, config.device)
    data = problems.check(
        load_dataset, config.data, limit=config.limit, size=config.size, channels=config.channels
    )
    if data is None or device is None or problems:
        raise InputError(dict.fromkeys(problems))
    count = config.validation
    rest, watched = split_off(
        data.train, max(1, round(_VALIDATION * len(data.train))) if count is None else count
    )
    start, tune = _recipes(config, data)
    for recipe in (start, tune):
        problems += recipe_problems(recipe, len(rest), teacher=True)
    if problems:
        raise InputError(dict.fromkeys(problems))

    def examples(part: Labelled) -> Examples:
        return Examples.of(part.images, part.labels, data.preprocess, device)

    images = TrainingSet(examples(rest), examples(watched))
    return Parts(data, images, examples(data.test)), start, tune


def run(config: RunConfig, report: Report | None = None) -> Outcome:
    """Train as the config says; the same config gives the same model on the same machine.

    Writes <folder>/float.safetensors, quantised.safetensors (a state dictionary), a checkpoint an
    epoch, of which the newest two stay, and pictures (see `write_pictures`). Raises InputError
    listing all that is wrong.
    """
    parts, start_recipe, tune = checked(config)
    clear_leftovers(config.folder)
    network = build(config.network, parts.data.preprocess, len(parts.data.labels), config.seed)
    facts = {"network": config.network, "data": parts.data.name}
    path = config.folder / f"{FLOAT}.safetensors"
    if config.start is not None:
        _load_float(network, config.start, config.network)
    else:
        fit(network, parts.images, start_recipe, Stage(FLOAT, config.folder, facts, report=report))
    network.to(parts.images.train.images.device).eval()
    validation = {FLOAT: accuracy(network, parts.images.watched)}
    test = {FLOAT: accuracy(network, parts.test)}
    header = {**facts, "seed": config.seed, "test": test[FLOAT], "validation": validation[FLOAT]}
    save_checkpoint(path, network.state_dict(), header)
    if config.scheme is None:
        return Outcome(path, validation, test)
    done = train_scheme(
        network, config.scheme, parts.images, tune,
        Stage(TUNED, config.folder, facts, report=report), options=config.options,
        teacher=copy.deepcopy(network) if tune.distil else None,
    )  # fmt: skip
    validation[TUNED] = done.final
    test[TUNED] = accuracy(done.network, parts.test)
    save_checkpoint(
        config.folder / f"{TUNED}.safetensors",
        done.network.state_dict(),
        {**facts, "scheme": config.scheme.name, "test": test[TUNED]},
    )
    layers = tuple(summary(done.network))
    write_pictures(config.folder, done.network, layers, done.records)

    def measure(finished: nn.Module) -> dict[str, float]:
        validation["integer"] = accuracy(finished, parts.images.watched)
        test["integer"] = accuracy(finished, parts.test)
        return {"test_accuracy": test["integer"]}

    known = {
        "network": config.network,
        "float": digest(network.state_dict()),
        **scheme_facts(config.scheme),
    }
    try:
        model = finish(
            done.network, parts.images, parts.data.labels,
            Finish(config.final_epochs, tune, config.planner, config.activation_bits, facts),
            Stage(FINAL, config.folder, known, report=report), teacher=network, measure=measure,
        )  # fmt: skip
    except InputError as error:
        return Outcome(path, validation, test, layers, refused=error.problems)
    return Outcome(path, validation, test, layers, model)


def _load_float(network: nn.Module, path: Path, name: str) -> None:
    tensors, header = load_checkpoint(path)
    if header.get("network", name) != name:
        what = f"a network {header['network']!r}, not {name!r}"
        raise InputError(Problem(what, "name the network it holds", str(path)))
    try:
        network.load_state_dict({n: t.float() if t.is_floating_point() else t
                                 for n, t in tensors.items()})  # fmt: skip
    except RuntimeError as error:
        what = f"its tensors are not those of {name}: {str(error).splitlines()[-1].strip()}"
        raise InputError(Problem(what, "name the network it holds", str(path))) from error
