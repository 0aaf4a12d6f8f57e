"""Sentences as a file of token identities, which gives the same ones again without a tokeniser."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftforge.errors import InputError, Problem
from shiftforge.fields import read_fields
from shiftforge.jsontext import read_json
from shiftforge.quant.text.inputs import Texts

if TYPE_CHECKING:
    from shiftforge.quant.albert.network.file import Package

__all__ = ["read_tokens", "tokens_json"]

_REMEDY = "give a file of stored sentences, as it was written"
_MOST = 16 << 20
_MOST_NAME = 200


@dataclass(frozen=True)
class _Sentence:
    """name: as tables have it. ids: of its tokens."""

    name: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class _Stored:
    """The file."""

    sentences: tuple[_Sentence, ...]


def tokens_json(texts: Texts) -> bytes:
    """The file of some sentences."""
    pairs = zip(texts.names, texts.ids, strict=True)
    stored = _Stored(tuple(_Sentence(name, tuple(ids.tolist())) for name, ids in pairs))
    return (json.dumps(asdict(stored), ensure_ascii=False, indent=1) + "\n").encode()


def read_tokens(path: Path, package: Package, limit: int | None = None) -> Texts:
    """The sentences of such a file, at most ``limit``.

    Raises InputError for what is no such file, for no sentence, and naming each one that the
    network cannot take: empty, too long, or of tokens that it has not.
    """
    where = str(path)
    value = read_json(path, most=_MOST, remedy=_REMEDY)
    value = value if isinstance(value, dict) else {}
    found = read_fields(_Stored, value, where, _REMEDY).sentences[:limit]
    if not found:
        raise InputError(Problem("holds no sentence", _REMEDY, where))
    network = package.network
    words, problems = network.words.shape[0], []
    for index, own in enumerate(found):
        if not 1 <= len(own.ids) <= network.length:
            what = f"sentence {index + 1} has {len(own.ids):,} tokens, the network takes 1 to "
            problems.append(Problem(f"{what}{network.length:,}", _REMEDY, where))
        elif not all(0 <= token < words for token in own.ids):
            what = f"sentence {index + 1} has tokens that are none of the network's {words:,}"
            problems.append(Problem(what, _REMEDY, where))
        if not own.name.isprintable() or len(own.name) > _MOST_NAME:
            what = f"the name of sentence {index + 1} is no short line"
            problems.append(Problem(what, _REMEDY, where))
    if problems:
        raise InputError(problems)
    ids = tuple(np.array(own.ids, dtype=np.int64) for own in found)
    return Texts(where, tuple(own.name for own in found), ids, None, 0)
