"""``shiftforge train albert`` and ``train embeddings``: text classifiers and their word table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import json_option
from shiftforge.cli.train_text_options import (
    ALL,
    COMPRESSION_EPOCHS,
    FOLDS,
    LAYERS,
    ClassifierOptions,
    EmbeddingsOptions,
)
from shiftforge.quant.text.specs import FORMS

__all__ = ["albert", "embeddings"]

_PATH = click.Path(path_type=Path)


@click.command("albert", short_help="Train a text classifier, or compress one while it trains on.")
@click.option("-o", "--output", required=True, type=_PATH, metavar="DIR", help="Classifier folder.")
@click.option("--corpus", metavar="CORPUS", help=f"{FORMS}.")
@click.option(
    "--from",
    "teacher",
    type=_PATH,
    metavar="TEACHER",
    help="Folder of a trained classifier to compress, on its own corpus and fold.",
)
@click.option(
    "--fold", metavar="K", help=f"Held out: 0 to {FOLDS - 1}, or {ALL} for one after another (0)."
)
@click.option(
    "--table",
    type=_PATH,
    metavar="DIR",
    help="Frozen word table of `train embeddings`; with --fold all its name has {fold}. For bbc "
    "and sentiment it is made first, from both, where there is none.",
)
@click.option("--tokeniser", type=_PATH, metavar="DIR", help="Folder of a tokenizer.json.")
@click.option(
    "--start",
    type=_PATH,
    metavar="DIR",
    help="Hugging Face folder of an ALBERT to start from; with --from a classifier to go on from.",
)
@click.option("--hidden", type=int, help="Columns of a layer (64).")
@click.option("--heads", type=int, help="Of 16, 64 or 256 columns each (4).")
@click.option("--ffn", type=int, help="Columns between the feed-forward products (256).")
@click.option("--layers", type=int, help=f"All with the same weights ({LAYERS}).")
@click.option("--embedding", type=int, help="Columns of the word table (64).")
@click.option("--length", type=int, help="Tokens of the longest text (128; sentiment 40).")
@click.option("--vocabulary", type=int, help="At most so many tokens (8000).")
@click.option("--spans", type=float, help="With --from: coefficient of the attention spans' loss.")
@click.option("--ramp", type=int, help="With --from: of the spans, in tokens (16).")
@click.option(
    "--prune", type=click.Choice(["movement", "magnitude"]), help="With --from: the weights."
)
@click.option("--sparsity", type=float, help="With --prune: share of zero weights (0.6).")
@click.option("--distil", is_flag=True, help="With --from: learn from the teacher's outputs too.")
@click.option(
    "--weights",
    metavar="FORMAT",
    help="With --from: train on the levels of af8 to af4, shift1, shift2 or dtssq:F.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help=f"Of all but the off-ramps (14, sentiment 4; with --from {COMPRESSION_EPOCHS}).",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="End the schedule after so many minutes; the result then depends on the machine.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def albert(as_json: bool, **options: Any) -> None:
    """Train a small ALBERT with off-ramps on a CORPUS, or compress the classifier of TEACHER.

    CORPUS is bbc or sentiment (their packages are named where they are missing), glue:TASK:DIR for
    a GLUE task's own TSV files, or tsv:FILE with a column `label`. DIR receives classifier.json,
    config.json, model.safetensors, tokenizer.json and calibration.json: a source of `quantize`.
    With --fold all there is a folder fold-K for each and a summary.json.
    """
    from shiftforge.cli.train_classifier import compress_classifier, train_classifier

    given = ClassifierOptions(**options)
    run = train_classifier if given.teacher is None else compress_classifier
    run(given, as_json)


@click.command("embeddings", short_help="Make the frozen word table that several tasks share.")
@click.option("-o", "--output", required=True, type=_PATH, metavar="DIR", help="Table folder.")
@click.option(
    "--corpus", "corpora", required=True, multiple=True, metavar="CORPUS", help=f"{FORMS}; repeat."
)
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True)
@click.option("--density", type=float, default=0.4, show_default=True, help="Entries not zero.")
@click.option("--vocabulary", type=click.IntRange(8), default=8000, show_default=True)
@click.option("--columns", type=click.IntRange(1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def embeddings(as_json: bool, **options: Any) -> None:
    """Make one vocabulary and one pruned word table from the training texts of several corpora.

    Every entry is an AF<8,3> value; `train albert --table DIR` leaves the table as it is, so that
    all classifiers hold the same bits.
    """
    from shiftforge.cli.train_table import make_table

    make_table(EmbeddingsOptions(**options), as_json)
