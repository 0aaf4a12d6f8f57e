"""Sentences for the commands: a file or standard input, held-out texts, or random tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import check_file

if TYPE_CHECKING:
    from shiftforge.quant.albert.network.file import Package

__all__ = [
    "RANDOM_COUNT",
    "Texts",
    "load_texts",
    "own_count",
    "source_problems",
    "tokenised_texts",
]

RANDOM_COUNT = 4
"""Random sentences, where no limit is given."""
_HELD = "held-out"
_SHORTEST = 3
_SHOWN = 48
_DIGITS = 18
_MOST_RANDOM = 10_000


@dataclass(frozen=True)
class Texts:
    """names: what a sentence is called in tables. ids: token identities, cut to the network's
    length. wanted: class of each, where the source knows. cut: sentences that were too long.
    lines: the line of each in its file, from 1. notes: what a user should know of the texts."""

    source: str
    names: tuple[str, ...]
    ids: tuple[NDArray[np.int64], ...]
    wanted: tuple[str, ...] | None
    cut: int
    lines: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def _held(source: str) -> tuple[str, str] | None:
    """The corpus, "" for the network's own, and what follows the word; None without it."""
    name, found, rest = source.rpartition(_HELD)
    good = found and (not name or name.endswith(":")) and (not rest or rest.startswith(":"))
    return (name.removesuffix(":"), rest.removeprefix(":")) if good else None


def source_problems(source: str) -> list[Problem]:
    """What is wrong with an input whatever the network is: told with everything else."""
    held = _held(source)
    if held is not None:
        if held[1] and not (_is_count(held[1]) and int(held[1])):
            what = f"{held[1]!r} is no number of texts"
            return [Problem(what, "give 1 or more, such as bbc:held-out:20", source)]
        return []
    if source.startswith("random:"):
        seed = source.removeprefix("random:")
        if _is_count(seed):
            return []
        return [Problem(f"{seed[:40]!r} is no seed", "write random:0", "--input")]
    if source == "-":
        return []
    remedy = "give a text file, - for standard input, bbc:held-out:20, sentiment:held-out:20 or "
    problems = Problems()
    problems.check(check_file, source, remedy + "random:0")
    return [replace(p, what=p.what.replace("such file", "such input")) for p in problems]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def own_count(source: str) -> int | None:
    """The number of texts that an input names itself, such as 20 of bbc:held-out:20."""
    held = _held(source)
    return int(held[1]) if held is not None and _is_count(held[1]) else None


def load_texts(
    source: str | Path | Sequence[str], package: Package, limit: int | None = None
) -> Texts:
    """The sentences of an input (see ``source_problems``), or texts, at most ``limit`` of them.

    Held-out texts are those of the fold that the package's notes name, evenly spread over the fold,
    as it lies in the order of its classes. Raises InputError.
    """
    if isinstance(source, Path):
        source = str(source)
    if not isinstance(source, str):
        texts = source if isinstance(source, list | tuple) else ()
        if not texts or not all(isinstance(text, str) for text in texts):
            what = f"no sentences in an input of the type {type(source).__name__}"
            raise InputError(Problem(what, "give what --input takes, or a list of texts"))
        return _tokenised("given texts", package, list(source)[:limit], None)
    problems = source_problems(source)
    if limit is not None and limit > _MOST_RANDOM and source.startswith("random:"):
        what = f"{limit:,} random sentences"
        problems.append(Problem(what, f"give at most {_MOST_RANDOM:,}", "--limit"))
    if problems:
        raise InputError(problems)
    if source.startswith("random:"):
        return _random(source, package, RANDOM_COUNT if limit is None else limit)
    held = _held(source)
    if held is not None:
        count = int(held[1]) if held[1] else None
        return _held_out(source, held[0], package, count, limit)
    return _lines(source, package, limit)


def _random(source: str, package: Package, count: int) -> Texts:
    network = package.network
    rng = np.random.default_rng(int(source.removeprefix("random:")))
    shortest = min(_SHORTEST, network.length)
    ids = tuple(
        rng.integers(0, network.words.shape[0], rng.integers(shortest, network.length + 1))
        for _ in range(count)
    )
    return Texts(source, tuple(f"random {i + 1}" for i in range(count)), ids, None, 0)


def _tokenised(
    source: str, package: Package, texts: Sequence[str], wanted: tuple[str, ...] | None
) -> Texts:
    if package.tokeniser is None:
        remedy = "quantise a classifier folder that has a tokenizer.json, or give random:0"
        raise InputError(Problem("the network's file has no tokeniser", remedy, source))
    from shiftforge.quant.text.lines import cut_note
    from shiftforge.quant.text.tokeniser import encode, read_tokeniser, window

    network = package.network
    remedy = "quantise the classifier again"
    tokeniser = read_tokeniser(package.tokeniser, f"{source}: the network's tokeniser", remedy)
    whole = encode(tokeniser, texts)
    names = tuple(_short(" ".join(text.split())) for text in texts)
    ids = tuple(window(own, network.length) for own in whole)
    outside = max(int(own.max(initial=0)) for own in whole)
    if outside >= network.words.shape[0]:
        what = f"the tokeniser gives token {outside}, the network has {network.words.shape[0]}"
        raise InputError(Problem(what, "quantise the classifier with its own tokeniser", source))
    cut = sum(len(own) > network.length for own in whole)
    told = cut_note(whole, network.length)
    return Texts(source, names, ids, wanted, cut, notes=(told,) if told else ())


def tokenised_texts(source: str, package: Package, texts: Sequence[str]) -> Texts:
    """Texts of a source through the package's tokeniser. Raises InputError where it has none."""
    return _tokenised(source, package, texts, None)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _lines(source: str, package: Package, limit: int | None) -> Texts:
    from shiftforge.quant.text.lines import read_lines

    lines = read_lines(source)
    taken = lines.found[:limit]
    made = _tokenised(source, package, [line.text for line in taken], None)
    told = lines.note()
    notes = (*((told,) if told else ()), *made.notes)
    return replace(made, lines=tuple(line.number for line in taken), notes=notes)


def _noted(notes: dict[str, Any], name: str) -> int | None:
    value = notes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _held_out(
    source: str, name: str, package: Package, count: int | None, limit: int | None
) -> Texts:
    from shiftforge.quant.albert.training.texts import chosen_fold
    from shiftforge.quant.text.specs import open_corpus

    notes = dict(package.notes or {})
    fold, own = _noted(notes, "fold"), notes.get("corpus")
    if fold is None or not isinstance(own, str):
        what = "the network's notes do not say which texts were held out"
        remedy = "quantise a folder of `shiftforge train albert`, or give a file of texts"
        raise InputError(Problem(what, remedy, source))
    corpus = open_corpus(name or own)
    if corpus.classes != package.network.classes:
        what = (
            f"classes {', '.join(corpus.classes)}; the network has "
            f"{', '.join(package.network.classes)}"
        )
        raise InputError(Problem(what, "give texts of the corpus it was trained on", source))
    held = chosen_fold(corpus, fold, _noted(notes, "split") or 0).held_out
    most = min(x for x in (len(held), count, limit) if x is not None)
    chosen = held[np.linspace(0, len(held) - 1, most).astype(int)]
    wanted = tuple(corpus.classes[corpus.labels[i]] for i in chosen)
    return _tokenised(source, package, [corpus.texts[i] for i in chosen], wanted)
