"""Compares sentences, stage by stage: what ran, what it left, exit and label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.albert.golden import Sentence
from shiftforge.sim.golden.edgebert.encoder import STAGES

__all__ = ["Comparison", "Difference", "compare_sentences"]

_EMBEDDING = ("embedded", "embedding_norm", "input")


@dataclass(frozen=True)
class Difference:
    """layer: None for the embeddings. at: index of the first value that differs."""

    layer: int | None
    stage: str
    values: int
    at: tuple[int, ...]
    got: int
    want: int

    def __str__(self) -> str:
        where = "embeddings" if self.layer is None else f"layer {self.layer}"
        return (
            f"{where}, {self.stage}: {self.values} values differ, the first at {self.at}: "
            f"{self.got}, expected {self.want}"
        )


@dataclass(frozen=True)
class Comparison:
    """values: compared integers. differences: of every stage that differs, in the order of
    computation; a difference in exits or the label is one of stage "exit layer" or "label"."""

    values: int
    differences: tuple[Difference, ...]

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(d.values for d in self.differences)


def _difference(
    layer: int | None, stage: str, got: NDArray[Any], want: NDArray[Any]
) -> Difference | None:
    if got.shape != want.shape:
        return Difference(layer, f"shape of {stage}", want.size, (), got.size, want.size)
    apart = np.argwhere(got != want)
    if not len(apart):
        return None
    at = tuple(int(i) for i in apart[0])
    return Difference(layer, stage, len(apart), at, int(got[at]), int(want[at]))


def compare_sentences(got: Sentence, want: Sentence) -> Comparison:
    """Every stage of every layer that both ran, entropies, exit layer and label."""
    pairs: list[tuple[int | None, str, Any, Any]] = []

    def add(
        layer: int | None, names: tuple[str, ...], a: Mapping[str, Any], b: Mapping[str, Any]
    ) -> None:
        pairs.extend((layer, name, a[name], b[name]) for name in names)

    add(None, _EMBEDDING, got.embedding, want.embedding)
    for index, (a, b) in enumerate(zip(got.layers, want.layers, strict=False)):
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
        values += right.size
        one = _difference(layer, stage, left, right)
        if one is not None:
            found.append(one)
    return Comparison(values, tuple(found))
