"""The folder of a word table that several tasks share: values, notes and a tokeniser."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.atomic import is_leftover
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import read_json
from shiftforge.quant.albert.network.notes import UNFINISHED, is_unfinished
from shiftforge.quant.formats.adaptivfloat import (
    MAX_BIAS,
    MIN_BIAS,
    AdaptivFloatFormat,
    decode,
    encode,
)
from shiftforge.quant.tensor_file import read_tensors

__all__ = ["FORMAT", "NOTES", "WORDS", "SharedTable", "is_unbuilt", "load_table", "measured"]

WORDS, NOTES = "table.safetensors", "table.json"
FORMAT = AdaptivFloatFormat()


@dataclass(frozen=True, eq=False)
class SharedTable:
    """words: float32 (V, E), every value exactly an AF<8,3> value of the exponent bias ``bias``.
    density: part of the entries that are not zero. digest: SHA-256 of the values' bytes. corpora:
    whose training texts of ``fold`` and ``split`` it has read."""

    words: NDArray[np.float32]
    bias: int
    density: float
    digest: str
    corpora: tuple[str, ...] = ()
    fold: int = 0
    split: int = 0

    def notes(self) -> dict[str, object]:
        """density, bias and digest, as a classifier's notes hold them."""
        return {"density": self.density, "bias": self.bias, "digest": self.digest}


def _digest(words: NDArray[np.float32]) -> str:
    return hashlib.sha256(words.astype("<f4").tobytes()).hexdigest()


def measured(
    words: NDArray[np.float32], bias: int, corpora: Sequence[str], fold: int, split: int
) -> SharedTable:
    density = float(np.count_nonzero(words) / words.size)
    return SharedTable(words, bias, density, _digest(words), tuple(corpora), fold, split)


def is_unbuilt(folder: Path) -> bool:
    """Whether a table has yet to be made in a folder: there is none, an empty one, or one whose
    making was broken off."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = [path.name for path in folder.iterdir() if not is_leftover(path.name)]
    return not names or is_unfinished(folder / NOTES)


def load_table(folder: Path) -> SharedTable:
    """The table of a folder of :func:`build_table`.

    Raises InputError where a file is missing or damaged, where the values are not those that were
    written, or not on AF<8,3> levels.
    """
    where = str(folder)
    remedy = f"build the table again; it is {WORDS}, {NOTES} and a tokeniser"
    try:
        notes = read_json(folder / NOTES, remedy=remedy)
        if not isinstance(notes, dict) or UNFINISHED in notes:
            raise ValueError(f"{NOTES} is that of a table whose making was broken off")
        words = read_tensors(folder / WORDS, remedy)[0]["words"]
        numbers = [notes[name] for name in ("bias", "fold", "split")]
        if not all(type(own) is int and abs(own) < 1 << 32 for own in numbers):
            raise ValueError(f"bias, fold and split are {numbers!r:.80}")
        bias, digest = numbers[0], str(notes["digest"])
        source = [str(name) for name in notes["corpora"]], numbers[1], numbers[2]
    except InputError as error:
        found = [Problem(f"no word table: {p.what}", remedy, p.where) for p in error.problems]
        raise InputError(found) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(Problem(f"no word table: {error}", remedy, where)) from error
    problems = Problems()
    if words.ndim != 2 or words.dtype != np.float32:
        problems.append(Problem(f"words {words.dtype} {words.shape}", "build it again", where))
    else:
        if _digest(words) != digest:
            problems.append(Problem("values differ from the digest", "build it again", where))
        if not MIN_BIAS <= bias <= MAX_BIAS:
            problems.append(Problem(f"exponent bias {bias}", "build it again", where))
        elif not np.isfinite(words).all() or not np.array_equal(
            decode(encode(words, FORMAT, bias), FORMAT, bias), words
        ):
            problems.append(Problem("values are not AF<8,3>", "build it again", where))
    problems.stop()
    return measured(words, bias, *source)
