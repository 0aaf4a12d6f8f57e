"""``python -m shiftforge.quant.albert``: trains a small ALBERT on one fold of a corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from shiftforge.errors import InputError
from shiftforge.quant.albert.settings import Recipe, Shape
from shiftforge.quant.text.corpus import CORPORA, load_corpus

_LENGTHS = {"bbc": 128, "sentiment": 48}


@click.command()
@click.option("--corpus", type=click.Choice(sorted(CORPORA)), default="bbc", show_default=True)
@click.option("--fold", type=click.IntRange(0, 4), default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="folder")
@click.option("--hidden", default=64, show_default=True)
@click.option("--heads", default=4, show_default=True)
@click.option("--ffn", default=256, show_default=True)
@click.option("--layers", default=4, show_default=True)
@click.option("--embedding", default=64, show_default=True)
@click.option("--length", type=int, help="tokens; by default 128 of an article, 48 of a message")
@click.option("--vocabulary", default=8000, show_default=True)
@click.option("--tokeniser", type=click.Path(path_type=Path), help="folder of a tokeniser")
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of an ALBERT to start from",
)
@click.option("--epochs", default=10, show_default=True)
@click.option("--minutes", type=float, help="end the schedule after so many minutes")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    corpus: str, fold: int, output: Path, hidden: int, heads: int, ffn: int, layers: int,
    embedding: int, length: int | None, vocabulary: int, tokeniser: Path | None,
    start: Path | None, epochs: int, minutes: float | None, seed: int, threads: int,
) -> None:  # fmt: skip
    """Train on all folds but one, and print the held-out accuracy of every off-ramp."""
    try:
        shape = Shape(hidden, heads, ffn, layers, length or _LENGTHS[corpus], embedding, vocabulary)
        texts = load_corpus(corpus)
        import torch

        from shiftforge.quant.albert.run import train_fold

        torch.set_num_threads(threads)
        recipe = Recipe(epochs=epochs, minutes=minutes)
        notes = train_fold(
            texts, fold, output, shape, recipe, tokeniser=tokeniser, start=start, seed=seed,
            say=lambda text: print(text, flush=True),
        )  # fmt: skip
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    print(json.dumps({key: notes[key] for key in ("corpus", "fold", "accuracy", "tfidf")}))


if __name__ == "__main__":
    main()
