"""Trains classifiers on the folds of a corpus and writes each into a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.folder import pretrained, save_classifier, shape_of
from shiftforge.quant.albert.network.notes import NOTES, load_notes
from shiftforge.quant.albert.network.settings import Recipe, Shape
from shiftforge.quant.albert.training.baseline import tfidf_accuracy
from shiftforge.quant.albert.training.start import cooccurrence_embeddings
from shiftforge.quant.albert.training.table import SharedTable, build_table, load_table
from shiftforge.quant.albert.training.texts import (
    FOLDS,
    calibration_places,
    chosen_fold,
    save_calibration,
    validation_part,
)
from shiftforge.quant.albert.training.train import evaluate, train
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
    *,
    fold: int,
    split: int = 0,
    vocabulary: int = 8000,
    columns: int = 64,
    density: float = 0.4,
    say: Say = print,
) -> SharedTable:
    """The table of a folder, built from the corpora first where the folder does not exist.

    Raises InputError.
    """
    if not folder.exists():
        build_table(
            corpora(), folder, fold=fold, split=split, vocabulary=vocabulary, columns=columns,
            density=density, say=say,
        )  # fmt: skip
    return load_table(folder)


def _loaded_table(
    folder: Path, corpus: Corpus, fold: int, split: int, shape: Shape
) -> tuple[SharedTable, Shape]:
    """The table and the shape with its vocabulary. Raises InputError where it does not fit."""
    table = load_table(folder)
    problems = []
    if corpus.name in table.corpora and (table.fold, table.split) != (fold, split):
        what = f"the table has read the training texts of fold {table.fold}, split {table.split}"
        remedy = f"use a table of fold {fold}, split {split}: this one has read held-out texts"
        problems.append(Problem(what, remedy, str(folder)))
    if table.words.shape[1] != shape.embedding:
        what = f"the table has {table.words.shape[1]} columns, the network {shape.embedding}"
        problems.append(Problem(what, "use the same for both", str(folder)))
    if problems:
        raise InputError(problems)
    return table, replace(shape, vocabulary=len(table.words))


def train_fold(
    corpus: Corpus,
    fold: int,
    folder: Path,
    shape: Shape,
    recipe: Recipe,
    *,
    tokeniser: Path | None = None,
    start: Path | None = None,
    table: Path | None = None,
    seed: int = 0,
    split: int = 0,
    say: Say = print,
) -> dict[str, object]:
    """Train on all folds but one; the folder gets the classifier, its tokeniser, calibration texts
    and notes.

    An eighth of the training texts validates: the network does not train on it. Vocabulary and word
    embeddings to start from are those of the texts that train, unless one of these is given:
    tokeniser, a folder; start, a Hugging Face folder of an ALBERT, with its tokeniser, which gives
    the shape but for the length; table, a folder of
    :mod:`shiftforge.quant.albert.training.table`, whose word table stays as it is. split: seed of
    the folds and of the validation part.

    Returns the notes: accuracy of every off-ramp on the held-out fold and on the validation part,
    and that of TF-IDF with a linear classifier, which trains on the validation part as well. Raises
    InputError.
    """
    if sum(given is not None for given in (tokeniser, start, table)) > 1:
        problem = Problem("more than one of tokeniser, start and table", "give one of them")
        raise InputError(problem)
    chosen = chosen_fold(corpus, fold, split)
    trains, validates = validation_part(chosen, corpus.labels, seed=split)
    shared = None
    if table is not None:
        shared, shape = _loaded_table(table, corpus, fold, split, shape)
    found = start or tokeniser or table
    texts = [corpus.texts[i] for i in trains]
    words = train_wordpiece(texts, shape.vocabulary) if found is None else load_tokeniser(found)
    size = words.get_vocab_size()
    if shared is not None and size != len(shared.words):
        what = f"{size} tokens and a table of {len(shared.words)}"
        raise InputError(Problem(what, "build the table again", str(table)))
    say(
        f"{corpus.name}: {len(corpus)} texts in {len(corpus.classes)} classes ({corpus.dropped} "
        f"left out as copies), {len(trains)} train, {len(validates)} validate, "
        f"{len(chosen.held_out)} are held out; {size} tokens"
    )
    baseline = tfidf_accuracy(corpus.texts, corpus.labels, chosen.train, chosen.held_out)
    say(f"TF-IDF and a linear classifier: {baseline:.4f}")

    def ids_of(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return encode(words, [corpus.texts[i] for i in places])

    own = ids_of(trains)
    model, rows = None, None
    if start is not None:
        torch.manual_seed(seed)
        model = pretrained(start, len(corpus.classes), recipe.dropout)
        shape = shape_of(model, shape.length)
    else:
        shape = replace(shape, vocabulary=size)
        rows = (
            cooccurrence_embeddings(own, size, shape.embedding, seed=seed)
            if shared is None
            else shared.words
        )
    done = train(
        shape, recipe, own, corpus.labels[trains], ids_of(chosen.held_out),
        corpus.labels[chosen.held_out], len(corpus.classes), size, words=rows, start=model,
        frozen_words=shared is not None, seed=seed, say=say,
    )  # fmt: skip
    logits = evaluate(done.model, ids_of(validates), shape.length)
    validation = (logits.argmax(axis=2) == corpus.labels[validates]).mean(axis=1)
    notes: dict[str, object] = {
        **_settings(corpus, fold, shape, recipe, shared, seed, split),
        "folds": 1 if corpus.given is not None else FOLDS,
        "accuracy": list(done.accuracy),
        "validation": [float(a) for a in validation],
        "tfidf": baseline,
        "seconds": round(done.seconds, 1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTES).unlink(missing_ok=True)
    save_tokeniser(words, folder)
    few = ids_of(calibration_places(corpus.labels, trains))
    save_calibration([window(one, shape.length) for one in few], folder)
    save_classifier(done.model, corpus.classes, folder, notes)
    return notes


def _settings(
    corpus: Corpus, fold: int, shape: Shape, recipe: Recipe, table: SharedTable | None, seed: int,
    split: int,
) -> dict[str, object]:  # fmt: skip
    """The part of the notes that decides what training gives."""
    found: dict[str, object] = {
        "corpus": corpus.name,
        "texts": len(corpus),
        "fold": fold,
        "split": split,
        "seed": seed,
        "shape": asdict(shape),
        "recipe": asdict(recipe),
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
    shape: Shape,
    recipe: Recipe,
    *,
    folds: Sequence[int] = range(FOLDS),
    tokeniser: Path | None = None,
    start: Path | None = None,
    table: Path | None = None,
    seed: int = 0,
    split: int = 0,
    say: Say = print,
) -> dict[str, Any]:
    """Train every fold into ``folder``/fold-K and write ``folder``/summary.json (see summary).

    table: a folder whose name holds ``{fold}`` in place of the fold's number. A fold whose folder
    was written whole with the same settings is not trained again; a start of another network is
    always trained again. Raises InputError.
    """
    problems = []
    if not folds:
        problems.append(Problem("no folds", "give at least one"))
    if table is not None and len(folds) > 1 and table_of_fold(table, 0) == table:
        what = f"one word table {table} for {len(folds)} folds"
        problems.append(Problem(what, "write {fold} where the folders' names hold the number"))
    if problems:
        raise InputError(problems)
    tables = {fold: None if table is None else table_of_fold(table, fold) for fold in folds}
    # All folds are looked at before hours go into the first.
    for fold, own in tables.items():
        try:
            chosen_fold(corpus, fold, split)
            if own is not None:
                _loaded_table(own, corpus, fold, split, shape)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    runs = []
    for fold, own in tables.items():
        place = folder / f"fold-{fold}"
        notes: dict[str, Any] | None = None
        if start is None and tokeniser is None:
            shared = None if own is None else load_table(own)
            notes = _complete(place, _settings(corpus, fold, shape, recipe, shared, seed, split))
        if notes is not None:
            say(f"{corpus.name}, fold {fold}: {place} is complete")
        else:
            notes = train_fold(
                corpus, fold, place, shape, recipe, tokeniser=tokeniser, start=start, table=own,
                seed=seed, split=split, say=say,
            )  # fmt: skip
        runs.append(notes)
    found = summary(runs)
    part = folder / (SUMMARY + ".part")
    part.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, folder / SUMMARY)
    last = found["accuracy"][-1]
    say(f"{corpus.name}, {len(runs)} folds, last off-ramp: mean {last['mean']:.4f}")
    return found
