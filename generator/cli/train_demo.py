"""``shiftforge train`` without ``--network``: MobileNetV2 on Fashion-MNIST, by its own recipe."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.cli.train_checks import demonstration_problems
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.models.folder import MODEL

if TYPE_CHECKING:
    from shiftforge.cli.train_options import ImageOptions
    from shiftforge.quant.graph.types import WeightFormat
    from shiftforge.quant.models.train import TrainConfig, TrainResult

__all__ = ["train_demonstration"]

_SCHEME = "shift"
# Options that are called otherwise on the command line.
_SPELLED = {"settings": "set", "overrides": "override"}


def train_demonstration(given: ImageOptions, as_json: bool) -> None:
    """Train, print, and write model.safetensors where it was fine-tuned.

    Raises InputError where options were given that have no part in the recipe, and as
    ``quant.models.train.train`` does.
    """
    problems = Problems([*_network_options(given), *demonstration_problems(given)])
    scheme, ends = given.scheme or _SCHEME, given.first_last or "wide"
    weights = problems.check(_format, scheme, given.bits, given.terms, ends)
    if problems or weights is None:
        raise InputError(problems)
    from shiftforge.cli.output import note, progress
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.models.fit import Progress
    from shiftforge.quant.models.train import train

    config = _config(given, weights)
    note(f"training in {given.output}")
    with progress() as advance:

        def report(at: Progress) -> None:
            done = (at.epoch - 1) * at.steps + at.step
            advance(f"{at.stage} training, steps", done, at.epochs * at.steps)
            if at.step == 1 and at.accuracy is not None:
                note(f"{at.stage}: {at.accuracy:.2%} after {at.epoch - 1} of {at.epochs} epochs")

        result = train(config, report)
    model = None
    if result.model is not None:
        model = given.output / MODEL
        save_model(result.model, model)
    _print(result, given.scheme or _SCHEME, model, as_json)


def _network_options(given: ImageOptions) -> list[Problem]:
    """The demonstration has a recipe of its own."""
    return [
        Problem(
            f"--{_SPELLED.get(field.name, field.name).replace('_', '-')} without --network",
            "name a network",
        )
        for field in fields(given)
        if field.default is not MISSING and getattr(given, field.name) != field.default
    ]


def _config(given: ImageOptions, weights: WeightFormat) -> TrainConfig:
    from shiftforge.quant.models.train import FLOAT_RECIPE, TUNE_RECIPE, TrainConfig

    tune = None
    if given.tune_epochs != 0:
        epochs = given.tune_epochs or TUNE_RECIPE.epochs
        tune = replace(TUNE_RECIPE, seed=given.seed, epochs=epochs)
    return TrainConfig(
        folder=given.output,
        data_dir=None if given.data is None else Path(given.data),
        width=0.5 if given.width is None else given.width,
        resolution=48 if given.resolution is None else given.resolution,
        recipe=replace(FLOAT_RECIPE, seed=given.seed, epochs=given.epochs or FLOAT_RECIPE.epochs),
        tune=tune,
        weights=weights,
        wide_ends=given.first_last in (None, "wide"),
        device=given.device,
        limit=given.limit,
    )


def _format(scheme: str, bits: int | None, terms: int | None, first_last: str) -> WeightFormat:
    """The weight format that the options name; InputError where there is none such."""
    from shiftforge.quant.formats.encode import format_levels
    from shiftforge.quant.graph.types import IntFormat, ShiftFormat

    problems = Problems()
    if scheme not in ("shift", "int"):
        what = f"the demonstration's weights are shift or int, not {scheme!r}"
        problems.append(Problem(what, "name a network with --network for other schemes"))
    if first_last == "float":
        problems.append(Problem("float first and last layers", "use wide or same, or --network"))
    if scheme == "int" and terms is not None:
        problems.append(Problem("terms given for integer weights", "leave --terms out"))
    problems.stop()
    found: WeightFormat
    if scheme == "int":
        found = IntFormat(8 if bits is None else bits)
    else:
        count = 2 if terms is None else terms
        found = ShiftFormat(4 if bits is None else bits, count, "S1" if count == 1 else "S2")
    format_levels(found)
    return found


def _print(result: TrainResult, scheme: str, model: Path | None, as_json: bool) -> None:
    from shiftforge.cli.output import print_json, print_table

    if as_json:
        print_json(
            {
                "checkpoint": result.checkpoint,
                "model": model,
                "float_accuracy": result.float_accuracy,
                "tuned_accuracy": result.tuned_accuracy,
            }
        )
        return
    rows = [("float", f"{result.float_accuracy:.2%}", result.checkpoint)]
    if result.tuned_accuracy is not None and model is not None:
        rows.append((scheme, f"{result.tuned_accuracy:.2%}", model))
    print_table("", ("network", "test accuracy", "file"), rows)
