"""``shiftforge train``: a network in float and then with quantised weights.

Without ``--network`` it is the demonstration's: MobileNetV2 on Fashion-MNIST, fine-tuned by the
straight-through estimator (`train_demo.py`). With it: any network, data set and scheme
(`train_image.py`). The words ``albert`` and ``embeddings`` first: text classifiers
(`train_text.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from shiftforge.cli.options import json_option
from shiftforge.cli.train_text import albert, embeddings

__all__ = ["command"]


_TEXTS = {"albert": albert, "embeddings": embeddings}


class _Images(click.Command):
    """What `train` is without another word; a shell completes these words, too."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See click."""
        words = [CompletionItem(word) for word in _TEXTS if word.startswith(incomplete)]
        return [*super().shell_complete(ctx, incomplete), *words]


@click.command("train", cls=_Images)
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
@click.option("--bits", type=int, help="A weight: shift 3 or 4 a term (4), int 2 to 8 (8).")
@click.option("--terms", type=int, help="Powers of two a weight: 1 or 2 (2).")
@click.option(
    "--first-last",
    type=click.Choice(["wide", "same", "float"]),
    help="Two terms (or 8 bits) in the first and last layer, or the format of the others, or float "
    "(with --network; no integer model then). Wide, but same with dtssq.",
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
@click.option(
    "--board",
    metavar="NAME",
    help="Of the array whose cycles dtssq's second terms are counted on (a10gx1150).",
)
@click.option("--units", type=int, metavar="N", help="Of that array: 8, 16, 24, 32, 48 (16).")
@click.option("--pixels", type=int, metavar="N", help="Of that array: 1 to 16 (7).")
@click.option("--channels", type=int, default=3, show_default=True, help="Of a folder's pictures.")
@json_option
def images(as_json: bool, **options: Any) -> None:
    """Train a network in float, then with quantised weights.

    DIR receives a checkpoint an epoch, the float network, and model.safetensors for `generate`.

    With dtssq, --set target=F is the share of array cycles that second words of weights may add in
    that model (while batch norm is apart, the share of weights with two terms).

    \b
    shiftforge train [OPTIONS]             networks for images, as below
    shiftforge train albert [OPTIONS]      a text classifier, or a compressed one
    shiftforge train embeddings [OPTIONS]  the word table that text classifiers share
    """
    from shiftforge.cli.train_demo import train_demonstration
    from shiftforge.cli.train_image import train_network
    from shiftforge.cli.train_options import ImageOptions

    given = ImageOptions(**options)
    train = train_demonstration if given.network is None else train_network
    train(given, as_json)


class _Train(click.Group):
    """Networks for images, unless the first word names something else to train."""

    alone = images

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
    commands=_TEXTS,
    short_help="Train a network, or a text classifier (train albert).",
)
