"""``shiftforge train albert`` and ``train embeddings``: text classifiers and their word table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.options import json_option
from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.specs import FORMS, open_corpus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shiftforge.quant.albert.compression.settings import Compression
    from shiftforge.quant.albert.network.settings import Recipe, Shape
    from shiftforge.quant.text.corpus import Corpus

__all__ = ["albert", "embeddings"]

_NOTES, _SUMMARY, _TABLE = "classifier.json", "summary.json", "table.json"
_ALL = "all"
_FOLDS = 5
_SIZES = ("hidden", "heads", "ffn", "layers", "embedding", "vocabulary")
_DEFAULT_LAYERS = 6
_COMPRESSING = ("spans", "ramp", "prune", "sparsity", "distil", "weights")
_TRAINING = ("fold", "tokeniser", *_SIZES, "length")
_COMPRESS_EPOCHS = 4
_TABLE_CORPORA = ("bbc", "sentiment")
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
    "--fold", metavar="K", help=f"Held out: 0 to {_FOLDS - 1}, or {_ALL} for one after another (0)."
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
@click.option("--heads", type=int, help="Of 4, 16, 64 or 256 columns each (4).")
@click.option("--ffn", type=int, help="Columns between the feed-forward products (256).")
@click.option("--layers", type=int, help=f"All with the same weights ({_DEFAULT_LAYERS}).")
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
    help=f"Of all but the off-ramps (14, sentiment 4; with --from {_COMPRESS_EPOCHS}).",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="End the schedule after so many minutes; the result then depends on the machine.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def albert(output: Path, as_json: bool, **given: Any) -> None:
    """Train a small ALBERT with off-ramps on a CORPUS, or compress the classifier of TEACHER.

    CORPUS is bbc or sentiment (their packages are named where they are missing), glue:TASK:DIR for
    a GLUE task's own TSV files, or tsv:FILE with a column `label`. DIR receives classifier.json,
    config.json, model.safetensors, tokenizer.json and calibration.json: a source of `quantize`.
    With --fold all there is a folder fold-K for each and a summary.json.
    """
    if given["teacher"] is None:
        _train(output, given, as_json)
    else:
        _compress(output, given, as_json)


@click.command("embeddings", short_help="Make the frozen word table that several tasks share.")
@click.option("-o", "--output", required=True, type=_PATH, metavar="DIR", help="Table folder.")
@click.option(
    "--corpus", "corpora", required=True, multiple=True, metavar="CORPUS", help=f"{FORMS}; repeat."
)
@click.option("--fold", type=click.IntRange(0, _FOLDS - 1), default=0, show_default=True)
@click.option("--density", type=float, default=0.4, show_default=True, help="Entries not zero.")
@click.option("--vocabulary", type=click.IntRange(8), default=8000, show_default=True)
@click.option("--columns", type=click.IntRange(1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def embeddings(
    output: Path,
    corpora: tuple[str, ...],
    fold: int,
    density: float,
    vocabulary: int,
    columns: int,
    seed: int,
    threads: int,
    as_json: bool,
) -> None:
    """Make one vocabulary and one pruned word table from the training texts of several corpora.

    Every entry is an AF<8,3> value; `train albert --table DIR` leaves the table as it is, so that
    all classifiers hold the same bits.
    """
    from shiftforge.cli.output import note, print_json, print_table

    problems = _folder_problems(output, _TABLE)
    if not 0 < density <= 1:
        problems.append(Problem(f"density {density:g}", "give more than 0, at most 1", "--density"))
    for name in {c for c in corpora if corpora.count(c) > 1}:
        problems.append(Problem(f"corpus {name} twice", "name it once", "--corpus"))
    found: list[Corpus] = []
    for spec in dict.fromkeys(corpora):
        found += _collect(problems, lambda spec=spec: [open_corpus(spec)]) or []
    if problems:
        raise InputError(problems)
    import torch

    from shiftforge.quant.albert.training.settings import TableOptions
    from shiftforge.quant.albert.training.table import build_table

    torch.set_num_threads(threads)
    table = build_table(
        found,
        output,
        TableOptions(vocabulary, columns, density),
        fold=fold,
        seed=seed,
        say=note,
    )
    report = {
        "output": output,
        "corpora": list(corpora),
        "fold": fold,
        "tokens": len(table.words),
        "columns": table.words.shape[1],
        **table.notes(),
    }
    if as_json:
        print_json(report)
        return
    rows = [(name, value if isinstance(value, str) else str(value))
            for name, value in report.items()]  # fmt: skip
    print_table("", ("", "word table"), rows)


def _collect(problems: list[Problem], make: Any) -> Any:
    try:
        return make()
    except InputError as error:
        problems += error.problems
        return None


def _folder_problems(folder: Path, *ours: str) -> list[Problem]:
    """What stops a folder from being written; one of ours among its files says that it is ours."""
    where = str(folder)
    if folder.exists() and not folder.is_dir():
        return [Problem("is a file", "name a folder", where)]
    if folder.is_dir():
        if any(folder.iterdir()) and not any((folder / name).exists() for name in ours):
            what = "the folder is not empty and was not written by this command"
            return [Problem(what, "choose an empty folder, or another name", where)]
        return []
    parent = folder.parent
    if not parent.is_dir():
        return [Problem("its parent folder does not exist", f"mkdir -p {parent}", where)]
    return []


def _refused(given: Mapping[str, Any], names: tuple[str, ...], why: str) -> list[Problem]:
    """Options that were given and do not apply."""
    dashed = {name: f"--{name}" for name in names}
    return [
        Problem(f"{dashed[name]} {why}", "leave it out")
        for name in names
        if given[name] is not None and given[name] is not False
    ]


def _recipe(given: Mapping[str, Any]) -> Recipe:
    from dataclasses import replace

    from shiftforge.quant.albert.network.settings import usual_recipe

    usual = usual_recipe(given["corpus"] or "")
    return replace(usual, epochs=given["epochs"] or usual.epochs, minutes=given["minutes"])


def _shape(given: Mapping[str, Any]) -> Shape:
    from shiftforge.quant.albert.network.settings import Shape, usual_length

    sizes = {name: given[name] for name in _SIZES if given[name] is not None}
    sizes.setdefault("layers", _DEFAULT_LAYERS)
    length = given["length"]
    if length is None:
        length = usual_length(given["corpus"] or "")
    return Shape(length=length, **sizes)


def _folds(text: str | None) -> list[int]:
    if text is None:
        return [0]
    if text == _ALL:
        return list(range(_FOLDS))
    if not text.isdecimal() or int(text) >= _FOLDS:
        raise InputError(Problem(f"fold {text!r}", f"give 0 to {_FOLDS - 1}, or {_ALL}", "--fold"))
    return [int(text)]


def _train(output: Path, given: dict[str, Any], as_json: bool) -> None:
    from shiftforge.cli.output import note, print_json

    problems = _folder_problems(output, _NOTES, _SUMMARY, "fold-0")
    problems += _refused(given, _COMPRESSING, "without --from")
    if given["start"] is not None:
        problems += _refused(given, _SIZES, "with --start, whose folder gives it")
    for name in ("table", "tokeniser"):
        if given[name] is not None:
            problems += _refused(given, ("vocabulary",), f"with --{name}, which gives it")
    named = [name for name in ("table", "tokeniser", "start") if given[name] is not None]
    if len(named) > 1:
        problems.append(Problem(" and ".join(f"--{n}" for n in named), "give one of them"))
    for name in named:
        made = name == "table" and given["corpus"] in _TABLE_CORPORA
        if not made and not given[name].is_dir() and "{fold}" not in str(given[name]):
            what = f"there is no such folder for --{name}"
            problems.append(Problem(what, "name one that exists", str(given[name])))
    if given["table"] is not None and given["fold"] == _ALL and "{fold}" not in str(given["table"]):
        what = "one word table for all folds has read texts that are held out"
        problems.append(Problem(what, "write {fold} where the name has the number", "--table"))
    shape = _collect(problems, lambda: _shape(given))
    folds = _collect(problems, lambda: _folds(given["fold"]))
    corpus = None
    if given["corpus"] is None:
        remedy = f"give --corpus ({FORMS}), or --from a classifier to compress"
        problems.append(Problem("nothing to train on", remedy))
    else:
        corpus = _collect(problems, lambda: open_corpus(given["corpus"]))
    if problems or shape is None or folds is None or corpus is None:
        raise InputError(problems)
    import torch

    from shiftforge.quant.albert.training.run import (
        shared_table,
        table_of_fold,
        train_fold,
        train_folds,
    )
    from shiftforge.quant.albert.training.settings import Origin, TableOptions, Training

    torch.set_num_threads(given["threads"])
    table: Path | None = given["table"]
    training = Training(shape, _recipe(given), given["seed"])
    origin = Origin(given["tokeniser"], given["start"], table)
    if table is not None and given["corpus"] in _TABLE_CORPORA:
        for fold in folds:
            shared_table(
                lambda: [open_corpus(name) for name in _TABLE_CORPORA],
                table_of_fold(table, fold),
                TableOptions(columns=shape.embedding),
                fold=fold,
                say=note,
            )
    if given["fold"] == _ALL:
        found = train_folds(corpus, output, training, folds=folds, origin=origin, say=note)
        if as_json:
            print_json({"output": output, **found})
            return
        _print_summary(output, found)
        return
    if table is not None:
        origin = replace(origin, table=table_of_fold(table, folds[0]))
    notes = train_fold(corpus, folds[0], output, training, origin=origin, say=note)
    _print_notes(output, notes, as_json)


def _options(given: Mapping[str, Any]) -> Compression:
    from shiftforge.quant.albert.compression.settings import Compression

    names = ("spans", "ramp", "sparsity", "prune", "weights", "table")
    return Compression(
        distil=given["distil"],
        epochs=given["epochs"] or _COMPRESS_EPOCHS,
        minutes=given["minutes"],
        **{n: given[n] for n in names if given[n] is not None},
    )


def _compress(output: Path, given: dict[str, Any], as_json: bool) -> None:
    from shiftforge.cli.output import note

    problems = _folder_problems(output, _NOTES)
    problems += _refused(given, _TRAINING, "with --from, whose classifier gives it")
    teacher: Path = given["teacher"]
    if not (teacher / _NOTES).is_file():
        remedy = "give a folder of `shiftforge train albert --corpus ...`"
        problems.append(Problem(f"no classifier: there is no {_NOTES}", remedy, str(teacher)))
    if output.exists() and output.resolve() == teacher.resolve():
        problems.append(Problem("the teacher's own folder", "write to another", str(output)))
    if given["sparsity"] is not None and given["prune"] is None:
        remedy = "choose --prune movement or --prune magnitude"
        problems.append(Problem("--sparsity without --prune", remedy))
    if given["ramp"] is not None and given["spans"] is None:
        problems.append(Problem("--ramp without --spans", "give the coefficient of its loss"))
    options = _collect(problems, lambda: _options(given))
    if given["weights"] is not None:
        from shiftforge.quant.albert.network.weights import weight_choice

        _collect(problems, lambda: weight_choice(given["weights"]))
    corpus = None
    if given["corpus"] is not None:
        corpus = _collect(problems, lambda: open_corpus(given["corpus"]))
    if problems or options is None:
        raise InputError(problems)
    import torch

    from shiftforge.quant.albert.compression.compress import compress

    torch.set_num_threads(given["threads"])
    notes = compress(
        teacher,
        output,
        options,
        start=given["start"],
        corpus=corpus,
        seed=given["seed"],
        say=note,
    )
    _print_notes(output, notes, as_json)


def _print_notes(output: Path, notes: Mapping[str, Any], as_json: bool) -> None:
    from shiftforge.cli.output import print_json, print_table

    if as_json:
        print_json({"output": output, **notes})
        return
    validation = notes.get("validation") or [None] * len(notes["accuracy"])
    print_table(
        f"{notes['corpus']}, fold {notes['fold']}, saved as {output}",
        ("off-ramp", "validation", "held out"),
        [
            (index, "-" if own is None else f"{own:.2%}", f"{held:.2%}")
            for index, (own, held) in enumerate(
                zip(validation, notes["accuracy"], strict=True), start=1
            )
        ],
    )
    rows = [("TF-IDF and a linear classifier, held out", f"{notes['tfidf']:.2%}")]
    for name in ("heads_off", "average_reach", "zeros", "sparsity"):
        if notes.get(name) is not None:
            rows.append((name.replace("_", " "), _text(notes[name])))
    print_table("", ("", ""), rows)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _print_summary(output: Path, found: Mapping[str, Any]) -> None:
    from shiftforge.cli.output import print_table

    def row(name: str, own: Mapping[str, Any]) -> tuple[str, str, str]:
        low, high = own["interval"] or (None, None)
        return (
            name,
            f"{own['mean']:.2%}",
            "-" if low is None else f"{low:.2%} to {high:.2%}",
        )

    rows = [row(f"off-ramp {i}", own) for i, own in enumerate(found["accuracy"], start=1)]
    rows.append(row("TF-IDF and a linear classifier", found["tfidf"]))
    print_table(
        f"{found['corpus']}, {len(found['folds'])} folds, saved as {output}",
        ("held out", "mean", "95 % interval (Student's t over the folds)"),
        rows,
    )
