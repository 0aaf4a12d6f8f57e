"""``python -m shiftforge.quant.albert``: trains a small ALBERT on one fold of a corpus, or all."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from shiftforge.errors import InputError
from shiftforge.quant.albert.settings import Shape, usual_length, usual_recipe
from shiftforge.quant.text.corpus import CORPORA, load_corpus


@click.command()
@click.option(
    "--corpus",
    default="bbc",
    show_default=True,
    help=", ".join(sorted(CORPORA)) + ", glue:TASK:FOLDER or tsv:FILE:TEXT:LABEL",
)
@click.option(
    "--fold",
    type=click.Choice([*map(str, range(5)), "all"]),
    default="0",
    show_default=True,
    help="all: into OUTPUT/fold-K, with OUTPUT/summary.json",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="folder")
@click.option("--hidden", default=64, show_default=True)
@click.option("--heads", default=4, show_default=True)
@click.option("--ffn", default=256, show_default=True)
@click.option("--layers", default=6, show_default=True)
@click.option("--embedding", default=64, show_default=True)
@click.option("--length", type=int, help="tokens; by default 128, of a message 40")
@click.option("--vocabulary", default=8000, show_default=True)
@click.option("--tokeniser", type=click.Path(path_type=Path), help="folder of a tokeniser")
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of an ALBERT to start from",
)
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="folder of a frozen word table, {fold} for the fold's number; built from bbc and "
    "sentiment where it does not exist",
)
@click.option("--epochs", type=int, help="by default 14, for sentiment 4")
@click.option("--minutes", type=float, help="end the schedule after so many minutes")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    corpus: str, fold: str, output: Path, hidden: int, heads: int, ffn: int, layers: int,
    embedding: int, length: int | None, vocabulary: int, tokeniser: Path | None,
    start: Path | None, table: Path | None, epochs: int | None, minutes: float | None,
    seed: int, threads: int,
) -> None:  # fmt: skip
    """Train on all folds but one, or on each in turn, and print the held-out accuracy of the
    off-ramps."""
    try:
        shape = Shape(
            hidden, heads, ffn, layers, length or usual_length(corpus), embedding, vocabulary
        )
        texts = load_corpus(corpus)
        import torch

        from shiftforge.quant.albert.run import (
            shared_table,
            table_of_fold,
            train_fold,
            train_folds,
        )

        def say(text: str) -> None:
            print(text, flush=True)

        torch.set_num_threads(threads)
        recipe = replace(usual_recipe(corpus), minutes=minutes)
        if epochs is not None:
            recipe = replace(recipe, epochs=epochs)
        folds = range(5) if fold == "all" else [int(fold)]
        for own in folds if table is not None else ():
            shared_table(
                lambda: [load_corpus(name) for name in ("bbc", "sentiment")],
                table_of_fold(table or Path(), own), fold=own, vocabulary=vocabulary,
                columns=embedding, say=say,
            )  # fmt: skip
        if fold == "all":
            found = train_folds(
                texts, output, shape, recipe, folds=folds, tokeniser=tokeniser, start=start,
                table=table, seed=seed, say=say,
            )  # fmt: skip
        else:
            place = None if table is None else table_of_fold(table, int(fold))
            found = train_fold(
                texts, int(fold), output, shape, recipe, tokeniser=tokeniser, start=start,
                table=place, seed=seed, say=say,
            )  # fmt: skip
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    kept = ("corpus", "fold", "folds", "accuracy", "tfidf")
    print(json.dumps({key: found[key] for key in kept if key in found}))


if __name__ == "__main__":
    main()
