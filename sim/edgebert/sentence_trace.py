"""A sentence's trace, stage by stage: what ran, what it left, exit and label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.edgebert.sentence_golden import Sentence
from shiftforge.sim.golden.edgebert.encoder import STAGES
from shiftforge.sim.trace import Comparison, Groups, Stage, Trace, compare

__all__ = ["OUTPUTS", "compare_sentences", "sentence_trace"]

OUTPUTS = ("logits", "entropy", "exit", "exit layer", "label")
"""Stages that every run has, also one that keeps none of the layers' tensors."""
_EMBEDDING = ("word", "place", "embedded", "embedding_norm", "input")
_SQUARE = ("scores", "probabilities")
_BY_COLUMN = ("q", "k", "v", "context")
_AXES = {0: (), 1: ("column",), 2: ("row", "column"), 3: ("head", "row", "column")}


def sentence_trace(
    sentence: Sentence,
    *,
    ran: int | None = None,
    sample: int | None = None,
    prefix: str = "",
    rest: Mapping[str, NDArray[Any]] | None = None,
    heads: int | None = None,
) -> Trace:
    """Looked-up codes, every stage of every layer that ran, skipped heads, entropies, exits and
    label.

    ran: heads whose scores and probabilities count, all by default. prefix: of the labels. rest:
    of a sentence that broke off, the stages of the layer after its last that could be read; it has
    no exit layer and no label then. heads: of the network, where no layer tells.
    """
    heads = heads or len(sentence.layers[0].stages["scores"])
    found: list[Stage] = []

    def add(layer: int | None, name: str, values: Any, where: str = "") -> None:
        array = np.asarray(values)
        counted = None
        if name in _SQUARE and ran is not None:
            counted = array[0].size * ran
        where = where or ("embeddings" if layer is None else f"layer {layer}")
        found.append(
            Stage(
                name,
                ("head",) if name == "skipped heads" else _AXES[array.ndim],
                lambda: array,
                layer,
                sample,
                f"{prefix}{where}, {name}",
                groups=_groups(name, array, heads),
                counted=counted,
            )
        )

    for name in _EMBEDDING:
        if name in sentence.embedding:
            add(None, name, sentence.embedding[name])
    for index, layer in enumerate(sentence.layers):
        if index == 0:
            add(0, "skipped heads", [int(head in sentence.skipped) for head in range(heads)])
        for name in STAGES:
            add(index, name, layer.stages[name])
        add(index, "logits", layer.logits)
        add(index, "entropy", layer.entropy)
        add(index, "exit", int(layer.exits))
    if rest is not None:
        for name in (stage for stage in STAGES if stage in rest):
            add(len(sentence.layers), name, rest[name])
        return found
    # Told at the layer where this sentence left.
    for name, value in (("exit layer", sentence.exit_layer), ("label", sentence.label)):
        add(None, name, value, f"layer {len(sentence.layers) - 1}")
    return found


def _groups(stage: str, array: NDArray[Any], heads: int) -> Groups | None:
    """How the values of a stage belong to heads."""
    if stage in _SQUARE or stage == "skipped heads":
        return Groups("head", 0)
    if stage in _BY_COLUMN or stage == "vt":
        axis = 0 if stage == "vt" else 1
        return Groups("head", axis, array.shape[axis] // heads)
    return None


def compare_sentences(got: Sentence, want: Sentence) -> Comparison:
    """Every stage of every layer that both ran. Scores and probabilities of heads that neither
    computed do not count."""
    heads = len(want.layers[0].stages["scores"])
    ran = heads - len(set(got.skipped) & set(want.skipped))
    return compare(sentence_trace(want, ran=ran), sentence_trace(got, ran=ran))
