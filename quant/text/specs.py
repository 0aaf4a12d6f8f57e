"""Corpora as the commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file

if TYPE_CHECKING:
    from shiftforge.quant.text.corpus import Corpus

__all__ = ["FORMS", "open_corpus"]

FORMS = "bbc, sentiment, glue:TASK:DIR or tsv:FILE"
_LABEL = "label"
_LONGEST = 1 << 20
_NO_TEXT = ("index", "id", "idx")


def open_corpus(spec: str) -> Corpus:
    """The texts of ``FORMS``, or of any name of ``quant.text.catalogue.load_corpus``.

    tsv:FILE has a header line; its column ``label`` holds the class names, and all others but
    ``index``, ``id`` and ``idx`` are text. Raises InputError.
    """
    from shiftforge.quant.text.catalogue import CORPORA, load_corpus
    from shiftforge.quant.text.corpus import load_tsv

    kind, _, rest = spec.partition(":")
    if kind == "tsv" and rest and (Path(rest).is_file() or rest.count(":") < 2):
        path = Path(rest)
        return load_tsv(path, _text_columns(path), _LABEL)
    if spec not in CORPORA and not (kind in ("glue", "tsv") and rest.count(":")):
        raise InputError(Problem(f"unknown corpus {spec!r}", f"use {FORMS}", "--corpus"))
    return load_corpus(spec)


def _text_columns(path: Path) -> list[str]:
    remedy = "give a TSV file with a header line"
    with open_file(path, remedy) as stream:
        first = stream.readline(_LONGEST)
    try:
        header = first.decode("utf-8-sig").rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        what = f"cannot be read: byte {error.start} is not UTF-8"
        raise InputError(Problem(what, remedy, str(path))) from error
    columns = [name for name in header if name != _LABEL and name.lower() not in _NO_TEXT]
    if _LABEL not in header or not columns:
        what = f"columns {', '.join(header)[:200]}"
        remedy = f"give a header with a column {_LABEL} and a column of text"
        raise InputError(Problem(what, remedy, str(path)))
    return columns
