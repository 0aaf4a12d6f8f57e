"""The texts of a fold: those that train, validate, calibrate, and those that are held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import read_json
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.folds import Fold, stratified_folds
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

__all__ = [
    "CALIBRATION",
    "FOLDS",
    "HeldOut",
    "calibration_places",
    "chosen_fold",
    "held_out",
    "load_calibration",
    "save_calibration",
    "validation_part",
]

FOLDS = 5
CALIBRATION = "calibration.json"
_MOST_ID = 1 << 31


def chosen_fold(corpus: Corpus, fold: int, split: int = 0) -> Fold:
    """One of FOLDS folds, or fold 0 of a corpus that brings its own split. split: seed of the
    folds. Raises InputError."""
    if corpus.given is not None:
        if fold != 0 or split != 0:
            what = f"fold {fold}, split {split} of {corpus.name}, which has a split of its own"
            raise InputError(Problem(what, "leave fold and split at 0"))
        return corpus.given
    if not 0 <= fold < FOLDS:
        raise InputError(Problem(f"fold {fold}", f"0 to {FOLDS - 1}"))
    return stratified_folds(corpus.labels, FOLDS, split)[fold]


def validation_part(
    fold: Fold, labels: NDArray[np.int64], share: float = 1 / 8, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The fold's training texts in two: those that train, and those that choose.

    labels: of the whole corpus (N,). share: part that validates, in (0, 1/2]; of each class
    ``share`` of its texts, rounded, yet at least one. Both are sorted indices into the corpus.
    Raises InputError where a class has fewer than two training texts.
    """
    own = labels[fold.train]
    classes, sizes = np.unique(own, return_counts=True)
    problems = Problems()
    if not 0 < share <= 0.5:
        problems.append(Problem(f"validation share {share}", "use more than 0, at most 1/2"))
    if not len(sizes) or sizes.min() < 2:
        what = "a class with fewer than two training texts"
        problems.append(Problem(what, "give more texts, or leave the class out"))
    problems.stop()
    rng = np.random.default_rng(seed)
    kept = np.ones(len(own), dtype=bool)
    for label, size in zip(classes, sizes, strict=True):
        order = rng.permutation(np.flatnonzero(own == label))
        kept[order[: max(1, round(size * share))]] = False
    return fold.train[kept], fold.train[~kept]


def calibration_places(
    labels: NDArray[np.int64], train: NDArray[np.int64], count: int = 24
) -> NDArray[np.int64]:
    """Up to ``count`` of the indices ``train``, the classes in turn and each evenly spaced."""
    classes = np.unique(labels[train])
    found = []
    for turn, label in enumerate(classes):
        own = train[labels[train] == label]
        want = min(count // len(classes) + (turn < count % len(classes)), len(own))
        found.extend(own[np.arange(want) * len(own) // max(want, 1)].tolist())
    return np.array(sorted(found), dtype=np.int64)


def save_calibration(ids: Sequence[NDArray[np.int64]], folder: Path) -> None:
    """Write token identities of calibration texts, cut to the network's length."""
    text = json.dumps({"ids": [one.tolist() for one in ids]}) + "\n"
    write_file(folder / CALIBRATION, text)


def load_calibration(folder: Path) -> tuple[NDArray[np.int64], ...]:
    """What :func:`save_calibration` wrote: at least one text, of at least one token.

    Raises InputError.
    """
    path = folder / CALIBRATION
    try:
        held = read_json(path)["ids"]
        if not isinstance(held, list) or not all(isinstance(one, list) for one in held):
            raise ValueError("no list of texts")
        if any(type(i) is not int or not 0 <= i < _MOST_ID for one in held for i in one):
            raise ValueError("a token identity that is no number from 0 up")
        ids = tuple(np.array(one, dtype=np.int64) for one in held)
        if not ids or any(one.ndim != 1 or not len(one) for one in ids):
            raise ValueError("no texts, or an empty one")
    except (InputError, KeyError, TypeError, ValueError) as error:
        remedy = f"train again, or remove {CALIBRATION} to take texts of the corpus"
        problem = Problem(f"no calibration texts: {error}", remedy, str(path))
        raise InputError(problem) from error
    return ids


@dataclass(frozen=True, eq=False)
class HeldOut:
    """ids: token identities of the held-out texts, cut to the network's length. calibration: of as
    many training texts as asked for, none of the validation part."""

    ids: tuple[NDArray[np.int64], ...]
    labels: NDArray[np.int64]
    calibration: tuple[NDArray[np.int64], ...]


def held_out(
    corpus: Corpus, fold: int, folder: Path, length: int, calibration: int = 24, split: int = 0
) -> HeldOut:
    """The texts of a fold as a trained classifier's tokeniser sees them. Raises InputError."""
    chosen = chosen_fold(corpus, fold, split)
    tokeniser = load_tokeniser(folder)

    def cut(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        found = encode(tokeniser, [corpus.texts[i] for i in places])
        return tuple(window(ids, length) for ids in found)

    trains, _ = validation_part(chosen, corpus.labels, seed=split)
    few = calibration_places(corpus.labels, trains, calibration)
    return HeldOut(cut(chosen.held_out), corpus.labels[chosen.held_out], cut(few))
