"""Labelled texts: what every loader gives, and TSV files.

TSV files: a header line and tabs, without quoting. :mod:`shiftforge.quant.text.catalogue` finds a
corpus by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.folds import Fold
from shiftforge.quant.text.tsv import joined, read_tsv

__all__ = ["Corpus", "load_tsv", "without_copies"]


@dataclass(frozen=True, eq=False)
class Corpus:
    """texts: no two alike, but where the split is given. labels: int64 (N,), indices of
    ``classes``. dropped: texts left out as copies of others, because copies of them have several
    labels, or because their lines are broken. given: the split that the corpus brings; without one
    it is divided into folds."""

    name: str
    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    dropped: int
    given: Fold | None = None

    def __len__(self) -> int:
        return len(self.texts)


def without_copies(
    name: str, rows: Iterable[tuple[str, str]], classes: Sequence[str] | None = None
) -> Corpus:
    """A corpus of (text, label) rows: one of each text, in order; texts with several labels are
    left out. classes: in the order of their indices, by default sorted."""
    labels: dict[str, set[str]] = {}
    count = 0
    for text, label in rows:
        count += 1
        labels.setdefault(text, set()).add(label)
    kept = [(text, next(iter(own))) for text, own in labels.items() if len(own) == 1]
    names = tuple(classes or sorted({label for _, label in kept}))
    index = {label: i for i, label in enumerate(names)}
    return Corpus(
        name,
        tuple(text for text, _ in kept),
        np.array([index[label] for _, label in kept], dtype=np.int64),
        names,
        count - len(kept),
    )


def load_tsv(path: Path, text: Sequence[str], label: str) -> Corpus:
    """A TSV file with a header, to be divided into folds, named ``tsv:PATH:TEXT:LABEL``.

    text: its column, or several, which are joined by [SEP] (pairs of sentences). label: column of
    the class names. Raises InputError, also where all texts are of one class.
    """
    rows = read_tsv(path, [*text, label])
    found = [(joined(row[:-1]), row[-1]) for row in rows.cells]
    made = without_copies(f"tsv:{path}:{','.join(text)}:{label}", found)
    if len(made.classes) < 2:
        what = f"texts of {len(made.classes)} class, {made.dropped} of {len(found)} lines left out"
        raise InputError(Problem(what, "give texts of two classes or more", str(path)))
    return made
