"""``python -m shiftforge.quant.albert.quantise``: a trained classifier to the unit's integers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from shiftforge.errors import InputError
from shiftforge.quant.albert.convert import convert
from shiftforge.quant.albert.file import save_integer
from shiftforge.quant.albert.network import Weights
from shiftforge.quant.albert.texts import held_out
from shiftforge.quant.formats.adaptivfloat_calibration import METHODS, Method
from shiftforge.quant.text.corpus import CORPORA, load_corpus

__all__ = ["quantise_folder"]


def quantise_folder(
    folder: Path, corpus: str, fold: int, output: Path, weights: Weights, method: Method = "mse",
    calibration: int = 24,
) -> None:  # fmt: skip
    """Write the integer network of a classifier's folder.

    calibration: how many texts of the fold's training part choose the exponent biases.
    Raises InputError.
    """
    from shiftforge.quant.albert.folder import float_network, load_classifier

    model, classes = load_classifier(folder)
    network = float_network(model, classes)
    texts = held_out(load_corpus(corpus), fold, folder, network.length, calibration)
    save_integer(convert(network, texts.calibration, weights, method), output)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--corpus", type=click.Choice(sorted(CORPORA)), default="bbc", show_default=True)
@click.option("--fold", type=click.IntRange(0, 4), default=0, show_default=True)
@click.option("--weights", type=click.Choice(["af", "shift1", "shift2"]), default="af")
@click.option("--method", type=click.Choice(METHODS), default="mse", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(folder: Path, corpus: str, fold: int, weights: str, method: Method, output: Path) -> None:
    """Quantise the classifier of FOLDER, calibrated on training texts of its fold."""
    try:
        quantise_folder(folder, corpus, fold, output, cast(Weights, weights), method)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
