"""The texts that a trained classifier has not seen, as its tokeniser sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.folds import Fold, stratified_folds
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

__all__ = ["FOLDS", "HeldOut", "chosen_fold", "held_out"]

FOLDS = 5


def chosen_fold(corpus: Corpus, fold: int, split: int = 0) -> Fold:
    """One of FOLDS folds. split: seed of the folds. Raises InputError."""
    if not 0 <= fold < FOLDS:
        raise InputError(Problem(f"fold {fold}", f"0 to {FOLDS - 1}"))
    return stratified_folds(corpus.labels, FOLDS, split)[fold]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """ids: token identities of the held-out texts, cut to the network's length. calibration: of as
    many training texts as asked for."""

    ids: tuple[NDArray[np.int64], ...]
    labels: NDArray[np.int64]
    calibration: tuple[NDArray[np.int64], ...]


def held_out(
    corpus: Corpus, fold: int, folder: Path, length: int, calibration: int = 24, split: int = 0
) -> HeldOut:
    """The texts of a fold as a trained classifier's tokeniser sees them. Raises InputError."""
    chosen = chosen_fold(corpus, fold, split)
    tokeniser = load_tokeniser(folder)
    # Evenly over the classes, which the corpus has in order.
    every = max(len(chosen.train) // calibration, 1)
    few = chosen.train[::every][:calibration]

    def cut(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        found = encode(tokeniser, [corpus.texts[i] for i in places])
        return tuple(window(ids, length) for ids in found)

    return HeldOut(cut(chosen.held_out), corpus.labels[chosen.held_out], cut(few))
