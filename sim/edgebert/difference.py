"""Compares sentences, stage by stage: what ran, what it left, exit and label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.edgebert.sentence_golden import Sentence
from shiftforge.sim.golden.edgebert.encoder import STAGES

__all__ = ["Comparison", "Difference", "compare_sentences"]

_EMBEDDING = ("word", "place", "embedded", "embedding_norm", "input")
_SQUARE = ("scores", "probabilities")
_BY_COLUMN = ("q", "k", "v", "context")
_SKIPPED = "skipped heads"


@dataclass(frozen=True)
class Difference:
    """A stage that differs.

    layer: from 0; None for the embeddings. values: how many differ. at: index of the first one,
    in stages of heads of the first head that differs; got, want: its values. heads: attention
    heads in which values differ, () where the stage is not one of heads.
    """

    layer: int | None
    stage: str
    values: int
    at: tuple[int, ...]
    got: int
    want: int
    heads: tuple[int, ...] = ()

    @property
    def head(self) -> int | None:
        """Of the first value that differs."""
        return self.heads[0] if self.heads else None

    @property
    def place(self) -> str:
        """Head, row and column of the first value that differs, as far as the stage has them."""
        if self.stage == _SKIPPED:
            return f"head {self.head}"
        names = {1: ("column",), 2: ("row", "column"), 3: ("head", "row", "column")}
        named = zip(names.get(len(self.at), ()), self.at, strict=False)
        found = [f"{name} {index}" for name, index in named]
        if self.head is not None and len(self.at) == 2:
            found.insert(0, f"head {self.head}")
        return ", ".join(found)

    def __str__(self) -> str:
        where = "embeddings" if self.layer is None else f"layer {self.layer}"
        if not self.at:
            return f"{where}, {self.stage}: {self.got}, expected {self.want}"
        among = ""
        if self.heads:
            plural = "s" if len(self.heads) > 1 else ""
            among = f" in head{plural} {', '.join(map(str, self.heads))}"
        return (
            f"{where}, {self.stage}: {self.values} values differ{among}, the first at "
            f"{self.place}: {self.got}, expected {self.want}"
        )


@dataclass(frozen=True)
class Comparison:
    """values: compared integers. differences: of every stage that differs, in the order of
    computation; those in what ran have the stages "skipped heads", "exit", "exit layer" and
    "label"."""

    values: int
    differences: tuple[Difference, ...]

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(d.values for d in self.differences)


def _heads(
    stage: str, apart: NDArray[np.int64], shape: tuple[int, ...], heads: int
) -> NDArray[np.int64] | None:
    """The head of each value at ``apart`` (values, axes); None where the stage has no heads."""
    if stage in _SQUARE or stage == _SKIPPED:
        return apart[:, 0]
    if stage in _BY_COLUMN or stage == "vt":
        axis = 0 if stage == "vt" else 1
        found: NDArray[np.int64] = apart[:, axis] // (shape[axis] // heads)
        return found
    return None


def _difference(
    layer: int | None, stage: str, got: NDArray[Any], want: NDArray[Any], heads: int
) -> Difference | None:
    if got.shape != want.shape:
        return Difference(layer, f"shape of {stage}", want.size, (), got.size, want.size)
    apart = np.argwhere(got != want)
    if not len(apart):
        return None
    own = _heads(stage, apart, want.shape, heads)
    among = () if own is None else tuple(int(i) for i in np.unique(own))
    # A row holds several heads: the first value is the first head's.
    first = apart[0] if own is None else apart[own == among[0]][0]
    at = tuple(int(i) for i in first)
    return Difference(layer, stage, len(apart), at, int(got[at]), int(want[at]), among)


def compare_sentences(got: Sentence, want: Sentence) -> Comparison:
    """Looked-up codes, every stage of every layer that both ran, entropies, skipped heads, exit
    layer and label. Scores and probabilities of heads that neither computed are not compared."""
    pairs: list[tuple[int | None, str, Any, Any]] = []
    heads = len(want.layers[0].stages["scores"])
    ran = [h for h in range(heads) if h not in set(got.skipped) & set(want.skipped)]

    def add(
        layer: int | None, names: tuple[str, ...], a: Mapping[str, Any], b: Mapping[str, Any]
    ) -> None:
        pairs.extend((layer, name, a[name], b[name]) for name in names)

    add(None, _EMBEDDING, got.embedding, want.embedding)
    for index, (a, b) in enumerate(zip(got.layers, want.layers, strict=False)):
        if index == 0:
            pairs.append((0, _SKIPPED, _flags(got.skipped, heads), _flags(want.skipped, heads)))
        add(index, STAGES, a.stages, b.stages)
        pairs.append((index, "logits", a.logits, b.logits))
        pairs.append((index, "entropy", a.entropy, b.entropy))
        pairs.append((index, "exit", int(a.exits), int(b.exits)))
    last = len(want.layers) - 1
    pairs.append((last, "exit layer", got.exit_layer, want.exit_layer))
    pairs.append((last, "label", got.label, want.label))
    values, found = 0, []
    for layer, stage, a, b in pairs:
        left, right = np.asarray(a), np.asarray(b)
        unseen = right[0].size * (heads - len(ran)) if stage in _SQUARE else 0
        values += right.size - unseen
        one = _difference(layer, stage, left, right, heads)
        if one is not None:
            found.append(one)
    return Comparison(values, tuple(found))


def _flags(skipped: tuple[int, ...], heads: int) -> list[int]:
    return [int(head in skipped) for head in range(heads)]
