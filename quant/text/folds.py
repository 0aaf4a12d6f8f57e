"""Stratified folds: every text is held out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["Fold", "stratified_folds"]


@dataclass(frozen=True, eq=False)
class Fold:
    """Indices of the texts that train, and of those that are held out; both sorted, int64."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def stratified_folds(labels: NDArray[np.int64], count: int = 5, seed: int = 0) -> list[Fold]:
    """Folds in which each class is held out in equal parts, give or take one text.

    labels: (N,). The same labels, count and seed give the same folds. Raises InputError where a
    class has fewer texts than there are folds.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if count < 2 or not len(sizes) or int(sizes.min()) < count:
        least = int(sizes.min()) if len(sizes) else 0
        what = f"{count} folds of classes with at least {least} texts"
        raise InputError(Problem(what, "use 2 folds or more, with a text of each class in each"))
    rng = np.random.default_rng(seed)
    place = np.zeros(len(labels), dtype=np.int64)
    first = 0
    for label, size in zip(classes, sizes, strict=True):
        # Going on where the last class ended keeps the folds' sizes equal.
        order = rng.permutation(np.flatnonzero(labels == label))
        place[order] = (first + np.arange(size)) % count
        first += int(size)
    return [Fold(np.flatnonzero(place != k), np.flatnonzero(place == k)) for k in range(count)]
