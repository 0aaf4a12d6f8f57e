"""Trains classifiers on the folds of a corpus and writes each into a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.atomic import clear_leftovers, write_file
from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.albert.network.folder import pretrained, save_classifier, shape_of
from shiftforge.quant.albert.network.model import shorten
from shiftforge.quant.albert.network.notes import begin_notes, load_notes
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.training.baseline import tfidf_accuracy
from shiftforge.quant.albert.training.loop import Labelled, accuracy
from shiftforge.quant.albert.training.settings import Origin, TableOptions, Training
from shiftforge.quant.albert.training.start import cooccurrence_embeddings
from shiftforge.quant.albert.training.table import build_table
from shiftforge.quant.albert.training.table_file import SharedTable, is_unbuilt, load_table
from shiftforge.quant.albert.training.texts import (
    FOLDS,
    calibration_places,
    chosen_fold,
    save_calibration,
    validation_part,
)
from shiftforge.quant.albert.training.train import TrainingSet, train
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import (
    encode,
    load_tokeniser,
    save_tokeniser,
    train_wordpiece,
    window,
)

__all__ = ["SUMMARY", "shared_table", "summary", "table_of_fold", "train_fold", "train_folds"]

SUMMARY = "summary.json"
Say = Callable[[str], None]


def table_of_fold(table: Path, fold: int) -> Path:
    """A table's folder with ``{fold}`` replaced by the fold."""
    return Path(str(table).replace("{fold}", str(fold)))


def shared_table(
    corpora: Callable[[], Sequence[Corpus]],
    folder: Path,
    options: TableOptions | None = None,
    *,
    fold: int,
    split: int = 0,
    say: Say = print,
) -> SharedTable:
    """The table of a folder, built from the corpora first where the folder does not exist, is
    empty, or holds a table whose making was broken off.

    Raises InputError.
    """
    if is_unbuilt(folder):
        build_table(corpora(), folder, options, fold=fold, split=split, say=say)
    return load_table(folder)


def _loaded_table(
    folder: Path, corpus: Corpus, fold: int, training: Training
) -> tuple[SharedTable, Shape]:
    """The table and the shape with its vocabulary. Raises InputError where it does not fit."""
    table, shape = load_table(folder), training.shape
    problems = Problems()
    if corpus.name in table.corpora and (table.fold, table.split) != (fold, training.split):
        what = f"the table has read the training texts of fold {table.fold}, split {table.split}"
        remedy = f"use a table of fold {fold}, split {training.split}: "
        problems.append(Problem(what, remedy + "this one has read held-out texts", str(folder)))
    if table.words.shape[1] != shape.embedding:
        what = f"the table has {table.words.shape[1]} columns, the network {shape.embedding}"
        problems.append(Problem(what, "use the same for both", str(folder)))
    problems.stop()
    return table, replace(shape, vocabulary=len(table.words))


def train_fold(
    corpus: Corpus,
    fold: int,
    folder: Path,
    training: Training,
    *,
    origin: Origin | None = None,
    say: Say = print,
) -> dict[str, object]:
    """Train on all folds but one; the folder gets the classifier, its tokeniser, calibration texts
    and notes.

    An eighth of the training texts validates: the network does not train on it.

    Returns the notes: accuracy of every off-ramp on the held-out fold and on the validation part,
    and that of TF-IDF with a linear classifier, which trains on the validation part as well. Raises
    InputError.
    """
    source = origin or Origin()
    if len(source.given()) > 1:
        problem = Problem("more than one of tokeniser, start and table", "give one of them")
        raise InputError(problem)
    chosen = chosen_fold(corpus, fold, training.split)
    trains, validates = validation_part(chosen, corpus.labels, seed=training.split)
    shared, shape, recipe = None, training.shape, training.recipe
    if source.table is not None:
        shared, shape = _loaded_table(source.table, corpus, fold, training)
    texts = [corpus.texts[i] for i in trains]
    words = (
        load_tokeniser(source.given()[0])
        if source.given()
        else train_wordpiece(texts, shape.vocabulary)
    )
    size = words.get_vocab_size()
    if shared is not None and size != len(shared.words):
        what = f"{size} tokens and a table of {len(shared.words)}"
        raise InputError(Problem(what, "build the table again", str(source.table)))
    say(
        f"{corpus.name}: {len(corpus)} texts in {len(corpus.classes)} classes ({corpus.dropped} "
        f"left out as copies), {len(trains)} train, {len(validates)} validate, "
        f"{len(chosen.held_out)} are held out; {size} tokens"
    )
    baseline = tfidf_accuracy(corpus.texts, corpus.labels, chosen.train, chosen.held_out)
    say(f"TF-IDF and a linear classifier: {baseline:.4f}")

    def part(places: NDArray[np.int64]) -> Labelled:
        return Labelled(encode(words, [corpus.texts[i] for i in places]), corpus.labels[places])

    own = part(trains)
    model, rows = None, None
    if source.network is not None:
        torch.manual_seed(training.seed)
        model = pretrained(source.network, len(corpus.classes), recipe.dropout)
        shape = shape_of(model, shape.length)
        if (places := int(model.config.max_position_embeddings)) != shape.length:
            say(
                f"texts are cut to {shape.length} tokens (--length): of the network's {places:,} "
                f"places (max_position_embeddings) those past {shape.length} are left out"
            )
            shorten(model, shape.length)
    else:
        shape = replace(shape, vocabulary=size)
        rows = (
            cooccurrence_embeddings(own.ids, size, shape.embedding, seed=training.seed)
            if shared is None
            else shared.words
        )
    training = replace(training, shape=shape)
    done = train(
        training, TrainingSet(own, part(chosen.held_out), len(corpus.classes), size),
        words=rows, start=model, frozen_words=shared is not None, say=say,
    )  # fmt: skip
    notes: dict[str, object] = {
        **_settings(corpus, fold, training, shared),
        "folds": 1 if corpus.given is not None else FOLDS,
        "accuracy": list(done.accuracy),
        "validation": list(accuracy(done.model, part(validates), shape.length)),
        "tfidf": baseline,
    }
    begin_notes(folder)
    clear_leftovers(folder)
    save_tokeniser(words, folder)
    few = part(calibration_places(corpus.labels, trains))
    save_calibration([window(one, shape.length) for one in few.ids], folder)
    save_classifier(done.model, corpus.classes, folder, notes)
    return notes


def _settings(
    corpus: Corpus, fold: int, training: Training, table: SharedTable | None
) -> dict[str, object]:
    """The part of the notes that decides what training gives."""
    found: dict[str, object] = {
        "corpus": corpus.name,
        "texts": len(corpus),
        "fold": fold,
        "split": training.split,
        "seed": training.seed,
        "shape": asdict(training.shape),
        "recipe": asdict(training.recipe),
    }
    if table is not None:
        found["table"] = table.notes()
    return found


def _complete(folder: Path, wanted: dict[str, object]) -> dict[str, Any] | None:
    """The notes of a folder that training with these settings has written whole."""
    try:
        notes = load_notes(folder)
    except InputError:
        return None
    # A shape's vocabulary is a limit before training and a count afterwards.
    for held in (notes, wanted := json.loads(json.dumps(wanted))):
        held.get("shape", {}).pop("vocabulary", None)
    same = all(notes.get(key) == value for key, value in wanted.items())
    same = same and all(key in notes for key in ("accuracy", "validation", "tfidf"))
    return notes if same and ("table" in notes) == ("table" in wanted) else None


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, sample standard deviation and 95 % interval of Student's t over folds.

    runs: notes of the folds. The entries "accuracy", "validation" (an entry an off-ramp) and
    "tfidf" of the summary hold mean, deviation and interval (low, high), the latter two None of a
    single fold, and the folds' own values. The folds share training texts: the interval is that of
    folds taken as independent.
    """
    found: dict[str, Any] = {"corpus": runs[0]["corpus"], "folds": [run["fold"] for run in runs]}
    for key in ("accuracy", "validation", "tfidf"):
        values = np.array([np.atleast_1d(run[key]) for run in runs])
        columns = [_interval(own) for own in values.T]
        found[key] = columns[0] if key == "tfidf" else columns
    return found


def _interval(values: NDArray[np.float64]) -> dict[str, Any]:
    from scipy import stats

    mean, count = float(values.mean()), len(values)
    held: dict[str, Any] = {"mean": mean, "deviation": None, "interval": None}
    if count > 1:
        deviation = float(values.std(ddof=1))
        reach = float(stats.t.ppf(0.975, count - 1)) * deviation / count**0.5
        held |= {"deviation": deviation, "interval": [mean - reach, mean + reach]}
    return {**held, "values": values.tolist()}


def train_folds(
    corpus: Corpus,
    folder: Path,
    training: Training,
    *,
    folds: Sequence[int] = range(FOLDS),
    origin: Origin | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Train every fold into ``folder``/fold-K and write ``folder``/summary.json (see summary).

    origin: its table is a folder whose name holds ``{fold}`` in place of the fold's number. A fold
    whose folder was written whole with the same settings is not trained again; one that starts from
    another network or tokeniser is always trained again. Raises InputError.
    """
    source = origin or Origin()
    table = source.table
    problems = Problems()
    if not folds:
        problems.append(Problem("no folds", "give at least one"))
    if table is not None and len(folds) > 1 and table_of_fold(table, 0) == table:
        what = f"one word table {table} for {len(folds)} folds"
        problems.append(Problem(what, "write {fold} where the folders' names hold the number"))
    problems.stop()
    tables = {fold: None if table is None else table_of_fold(table, fold) for fold in folds}
    # All folds are looked at before hours go into the first.
    for fold, own in tables.items():
        with collect(problems):
            chosen_fold(corpus, fold, training.split)
            if own is not None:
                _loaded_table(own, corpus, fold, training)
    problems.stop()
    runs = []
    for fold, own in tables.items():
        place = folder / f"fold-{fold}"
        notes: dict[str, Any] | None = None
        if source.network is None and source.tokeniser is None:
            shared = None if own is None else load_table(own)
            notes = _complete(place, _settings(corpus, fold, training, shared))
        if notes is not None:
            say(f"{corpus.name}, fold {fold}: {place} is complete")
        else:
            from_own = replace(source, table=own)
            notes = train_fold(corpus, fold, place, training, origin=from_own, say=say)
        runs.append(notes)
    found = summary(runs)
    clear_leftovers(folder)
    write_file(folder / SUMMARY, json.dumps(found, indent=1, sort_keys=True) + "\n")
    last = found["accuracy"][-1]
    say(f"{corpus.name}, {len(runs)} folds, last off-ramp: mean {last['mean']:.4f}")
    return found
