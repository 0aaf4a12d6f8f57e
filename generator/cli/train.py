"""``shiftforge train``: a network in float and then with quantised weights.

Without ``--network`` it is the demonstration's: MobileNetV2 on Fashion-MNIST, fine-tuned by the
straight-through estimator. With it: any network, data set and scheme (`train_scheme.py`). The words
``albert`` and ``embeddings`` first: text classifiers (`albert_train.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.options import json_option
from shiftforge.cli.train_text import albert, embeddings

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import WeightFormat

__all__ = ["command"]

_MODEL = "model.safetensors"


@click.command("train")
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
@click.option(
    "--scheme",
    metavar="NAME",
    help="shift or int for the demonstration (shift); with --network any of the schemes, such as "
    "dtssq (the default there), flightnn, apot, inq, int, twn.",
)
@click.option("--bits", type=int, help="A weight: shift 3 or 4 a term (4), int 4 to 8 (8).")
@click.option("--terms", type=int, help="Powers of two a weight: 1 or 2 (2).")
@click.option(
    "--first-last",
    type=click.Choice(["wide", "same", "float"]),
    default="wide",
    show_default=True,
    help="Two terms (or 8 bits) in the first and last layer, or the format of the others, or float "
    "(with --network; no integer model then).",
)
@click.option("--width", type=float, help="Of the demonstration's network, 0.1 to 1.4 (0.5).")
@click.option(
    "--resolution", type=int, help="Side that pictures are resized to (48; a folder's 32)."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--device", help="cpu, cuda or cuda:N; CUDA where there is one.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Images of either split.")
@click.option(
    "--data",
    metavar="DATA",
    help="With --network: fashion[:DIR], digits, cifar10:DIR, cifar100:DIR or folder:DIR. Without: "
    "the folder of the Fashion-MNIST IDX files.",
)
@click.option(
    "--network",
    metavar="NAME",
    help="resnet8_small, resnet8, resnet20, resnet18 or mobilenet_v2; left out: the "
    "demonstration's MobileNetV2 on Fashion-MNIST.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run that was broken off; without --network that is always done.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A setting of the scheme, such as target=0.25 (repeatable).",
)
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="PATTERN=SCHEME[:BITS]",
    help="Another scheme, or float, for layers by module path (repeatable).",
)
@click.option(
    "--activation-bits",
    type=click.IntRange(0, 8),
    default=8,
    show_default=True,
    help="2 to 8; 0 leaves activations float while training.",
)
@click.option("--rate", type=float, help="Largest learning rate of float training.")
@click.option("--tune-rate", type=float, help="Largest learning rate of quantised training.")
@click.option("--batch", type=click.IntRange(2), help="Images a step.")
@click.option("--schedule", type=click.Choice(["cosine", "step"]), help="Of float training.")
@click.option("--start", type=click.Path(path_type=Path), help="A float.safetensors to begin from.")
@click.option(
    "--final-epochs",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="After batch norm is folded, where values are the integer graph's.",
)
@click.option(
    "--distil",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the loss that is the distance to the float network's outputs.",
)
@click.option("--channels", type=int, default=3, show_default=True, help="Of a folder's pictures.")
@json_option
def images(
    output: Path,
    epochs: int | None,
    tune_epochs: int | None,
    scheme: str | None,
    bits: int | None,
    terms: int | None,
    first_last: str,
    width: float | None,
    resolution: int | None,
    seed: int,
    device: str | None,
    limit: int | None,
    data: str | None,
    network: str | None,
    as_json: bool,
    **further: Any,
) -> None:
    """Train a network in float, then with quantised weights.

    DIR receives a checkpoint an epoch, the float network, and model.safetensors for `generate`.

    \b
    shiftforge train [OPTIONS]             networks for images, as below
    shiftforge train albert [OPTIONS]      a text classifier, or a compressed one
    shiftforge train embeddings [OPTIONS]  the word table that text classifiers share
    """
    if network is None:
        _refuse_network_options(further)
        demo = (output, epochs, tune_epochs, scheme or "shift", bits, terms, first_last)
        _demo(*demo, width, resolution, seed, device, limit, data, as_json)
        return
    from shiftforge.cli.train_image import Given, train_network
    from shiftforge.errors import InputError, Problem

    if width is not None:
        raise InputError(Problem("--width with --network", "leave it out"))
    train_network(
        Given(
            output=output,
            network=network,
            data=data,
            scheme=scheme,
            bits=bits,
            terms=terms,
            first_last=first_last,
            epochs=epochs,
            tune_epochs=tune_epochs,
            seed=seed,
            device=device,
            limit=limit,
            resolution=resolution,
            **further,
        ),
        as_json,
    )


class _Train(click.Group):
    """Networks for images, unless the first word names something else to train."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of what the first word chooses."""
        if args and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        return images.make_context(info_name, args, parent, **extra)


command = _Train(
    "train",
    commands={"albert": albert, "embeddings": embeddings},
    short_help="Train a network, or a text classifier (train albert).",
)

_FURTHER: dict[str, Any] = {
    "settings": (), "overrides": (), "activation_bits": 8, "rate": None, "tune_rate": None,
    "batch": None, "schedule": None, "start": None, "final_epochs": 1, "distil": 0.0,
    "channels": 3,
}  # fmt: skip


def _refuse_network_options(further: dict[str, Any]) -> None:
    """The demonstration has a recipe of its own."""
    from shiftforge.errors import InputError, Problem

    names = {"settings": "set", "overrides": "override"}
    problems = [
        Problem(f"--{names.get(n, n).replace('_', '-')} without --network", "name a network")
        for n, usual in _FURTHER.items()
        if further[n] != usual
    ]
    if problems:
        raise InputError(problems)


def _demo(
    output: Path,
    epochs: int | None,
    tune_epochs: int | None,
    scheme: str,
    bits: int | None,
    terms: int | None,
    first_last: str,
    width: float | None,
    resolution: int | None,
    seed: int,
    device: str | None,
    limit: int | None,
    data: str | None,
    as_json: bool,
) -> None:
    from dataclasses import replace

    from shiftforge.cli.output import note, print_json, print_table, progress
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.models.fit import Progress
    from shiftforge.quant.models.train import FLOAT_RECIPE, TUNE_RECIPE, TrainConfig, train

    recipe = replace(FLOAT_RECIPE, seed=seed, epochs=epochs or FLOAT_RECIPE.epochs)
    tune = None
    if tune_epochs != 0:
        tune = replace(TUNE_RECIPE, seed=seed, epochs=tune_epochs or TUNE_RECIPE.epochs)
    config = TrainConfig(
        folder=output,
        data_dir=None if data is None else Path(data),
        width=0.5 if width is None else width,
        resolution=48 if resolution is None else resolution,
        recipe=recipe,
        tune=tune,
        weights=_format(scheme, bits, terms, first_last),
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


def _format(scheme: str, bits: int | None, terms: int | None, first_last: str) -> WeightFormat:
    """The weight format that the options name; InputError where there is none such."""
    from shiftforge.errors import InputError, Problem
    from shiftforge.quant.formats.encode import format_levels
    from shiftforge.quant.graph.types import IntFormat, ShiftFormat

    problems = []
    if scheme not in ("shift", "int"):
        what = f"the demonstration's weights are shift or int, not {scheme!r}"
        problems.append(Problem(what, "name a network with --network for other schemes"))
    if first_last == "float":
        problems.append(Problem("float first and last layers", "use wide or same, or --network"))
    if scheme == "int" and terms is not None:
        problems.append(Problem("terms given for integer weights", "leave --terms out"))
    if problems:
        raise InputError(problems)
    found: WeightFormat
    if scheme == "int":
        found = IntFormat(8 if bits is None else bits)
    else:
        count = 2 if terms is None else terms
        found = ShiftFormat(4 if bits is None else bits, count, "S1" if count == 1 else "S2")
    format_levels(found)
    return found
