"""``shiftforge train``: MobileNetV2 on Fashion-MNIST, float and then with quantised weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shiftforge.generator.cli.options import json_option

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import WeightFormat

__all__ = ["command"]

_MODEL = "model.safetensors"


@click.command(
    "train", short_help="Train MobileNetV2 on Fashion-MNIST, then fine-tune it quantised."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the checkpoints and the model; a run that was broken off goes on there.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Of float training's first cycle (14); the second has at most 10.",
)
@click.option("--tune-epochs", type=click.IntRange(0), help="Of fine-tuning; 0 for none (2).")
@click.option("--scheme", type=click.Choice(["shift", "int"]), default="shift", show_default=True)
@click.option("--bits", type=int, help="A weight: shift 3 or 4 a term (4), int 4 to 8 (8).")
@click.option("--terms", type=int, help="Powers of two a weight: 1 or 2 (2).")
@click.option(
    "--first-last",
    type=click.Choice(["wide", "same"]),
    default="wide",
    show_default=True,
    help="Two terms (or 8 bits) in the first and last layer, or the format of the others.",
)
@click.option("--width", type=float, default=0.5, show_default=True, help="0.1 to 1.4.")
@click.option("--resolution", type=int, default=48, show_default=True, help="32 to 224.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--device", help="cpu, cuda or cuda:N; CUDA where there is one.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Images of either split.")
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the Fashion-MNIST IDX files.",
)
@json_option
def command(
    output: Path,
    epochs: int | None,
    tune_epochs: int | None,
    scheme: str,
    bits: int | None,
    terms: int | None,
    first_last: str,
    width: float,
    resolution: int,
    seed: int,
    device: str | None,
    limit: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Train MobileNetV2 on Fashion-MNIST, then fine-tune it with quantised weights.

    DIR receives a checkpoint an epoch, the float network, and model.safetensors for `generate`.
    """
    from dataclasses import replace

    from shiftforge.generator.cli.output import note, print_json, print_table, progress
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.models.fit import Progress
    from shiftforge.quant.models.train import FLOAT_RECIPE, TUNE_RECIPE, TrainConfig, train

    recipe = replace(FLOAT_RECIPE, seed=seed, epochs=epochs or FLOAT_RECIPE.epochs)
    tune = None
    if tune_epochs != 0:
        tune = replace(TUNE_RECIPE, seed=seed, epochs=tune_epochs or TUNE_RECIPE.epochs)
    config = TrainConfig(
        folder=output,
        data_dir=data_dir,
        width=width,
        resolution=resolution,
        recipe=recipe,
        tune=tune,
        weights=_format(scheme, bits, terms),
        wide_ends=first_last == "wide",
        device=device,
        limit=limit,
    )
    note(f"training in {output}")
    with progress() as advance:

        def report(at: Progress) -> None:
            done = (at.epoch - 1) * at.steps + at.step
            advance(f"{at.stage} training, steps", done, at.epochs * at.steps)
            if at.step == 1 and at.accuracy is not None:
                note(f"{at.stage}: {at.accuracy:.2%} after {at.epoch - 1} of {at.epochs} epochs")

        result = train(config, report)
    model_path = output / _MODEL if result.model is not None else None
    if result.model is not None:
        save_model(result.model, output / _MODEL)
    if as_json:
        print_json(
            {
                "checkpoint": result.checkpoint,
                "model": model_path,
                "float_accuracy": result.float_accuracy,
                "tuned_accuracy": result.tuned_accuracy,
            }
        )
        return
    rows = [("float", f"{result.float_accuracy:.2%}", result.checkpoint)]
    if result.tuned_accuracy is not None and model_path is not None:
        rows.append((scheme, f"{result.tuned_accuracy:.2%}", model_path))
    print_table("", ("network", "test accuracy", "file"), rows)


def _format(scheme: str, bits: int | None, terms: int | None) -> WeightFormat:
    """The weight format that the options name; InputError where there is none such."""
    from shiftforge.errors import InputError, Problem
    from shiftforge.quant.formats.encode import format_levels
    from shiftforge.quant.graph.types import IntFormat, ShiftFormat

    if scheme == "int" and terms is not None:
        raise InputError(Problem("terms given for integer weights", "leave --terms out"))
    found: WeightFormat
    if scheme == "int":
        found = IntFormat(8 if bits is None else bits)
    else:
        count = 2 if terms is None else terms
        found = ShiftFormat(4 if bits is None else bits, count, "S1" if count == 1 else "S2")
    format_levels(found)
    return found
