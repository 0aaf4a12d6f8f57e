"""Tables with tabs between columns and no quoting, as the GLUE tasks have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text
from shiftforge.quant.text.lines import LONGEST

__all__ = ["Rows", "joined", "read_tsv"]


@dataclass(frozen=True)
class Rows:
    """cells: of the columns asked for, stripped, a tuple a line. short: lines left out because
    columns were missing. lines: the number of each one's line in the file, from 1 on."""

    cells: tuple[tuple[str, ...], ...]
    short: int
    lines: tuple[int, ...]


def joined(texts: Sequence[str]) -> str:
    """One text of several: a tokeniser's [SEP] stands between them."""
    return " [SEP] ".join(texts)


def read_tsv(path: Path, columns: Sequence[str | int], lenient: float = 0.0) -> Rows:
    """The columns of a UTF-8 file, in the order asked for; empty lines do not count.

    columns: names of the header, or places from 0 on in a file without a header. lenient: part of
    the lines that may have too few columns. Raises InputError for a file that cannot be read, is
    not UTF-8, lacks a column or has no lines.
    """
    where = str(path)
    text = read_text(path, remedy="give a TSV file in UTF-8", encoding="utf-8-sig")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Not splitlines(): sentences hold characters that it takes for line ends.
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    lines = [line for _, line in numbered]
    longest = max((len(line) for line in lines), default=0)
    if longest > LONGEST:
        what = f"a line of {longest:,} characters"
        raise InputError(Problem(what, f"give lines of at most {LONGEST:,}", where))
    named = any(isinstance(column, str) for column in columns)
    header = lines.pop(0).split("\t") if named and lines else []
    missing = [str(column) for column in columns if named and column not in header]
    if not lines:
        raise InputError(Problem("no lines", "give the whole file", where))
    if missing:
        what = f"no column {', '.join(missing)} among {', '.join(header)}"
        raise InputError(Problem(what, "name columns of the file", where))
    places = [header.index(c) if isinstance(c, str) else c for c in columns]
    own = numbered[1:] if named else numbered
    split = [(n, line.split("\t")) for n, line in own]
    whole = [(n, cells) for n, cells in split if len(cells) > max(places)]
    short = len(split) - len(whole)
    if short > lenient * len(split) or not whole:
        first = next(n for n, cells in split if len(cells) <= max(places))
        what = (
            f"{short} of {len(split)} lines have fewer than {max(places) + 1} columns, the first "
        )
        what += f"is line {first}"
        raise InputError(Problem(what, "put tabs between the columns", where))
    cells = tuple(tuple(cells[i].strip() for i in places) for _, cells in whole)
    return Rows(cells, short, tuple(n for n, _ in whole))
