"""One sentence through the integer classifier in the reference, every stage under its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.network.integer import IntegerAlbert, IntegerLinear, IntegerNorm
from shiftforge.sim.edgebert.host import check_tokens
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import af_to_fixed, af_values, fixed_to_af
from shiftforge.sim.golden.edgebert.encoder import (
    STAGES,
    LayerWeights,
    Linear,
    Norm,
    Unit,
    encoder_layer,
    linear,
)
from shiftforge.sim.golden.edgebert.entropy import ENTROPY_FRACTION, entropy
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants

__all__ = [
    "LayerResult",
    "Sentence",
    "embed",
    "golden_sentence",
    "label_of",
    "layer_weights",
    "linear_of",
    "norm_of",
    "off_ramp",
    "operands",
    "threshold_of",
    "word_rows",
]

Codes = NDArray[np.uint8]
Stages = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LayerResult:
    """stages: of the layer, by name. logits: AF codes (classes,). entropy: 16 fraction bits."""

    stages: Mapping[str, NDArray[Any]]
    logits: Codes
    entropy: int
    exits: bool


@dataclass(frozen=True, eq=False)
class Sentence:
    """embedding: the codes looked up (``word``, ``place``) and the stages before the layers.
    layers: those that ran, up to the exit or the last. label: the class with the largest logit
    code there, the first of equals. skipped: heads that were not computed; their scores are given
    as 0."""

    embedding: Mapping[str, NDArray[Any]]
    layers: tuple[LayerResult, ...]
    label: int
    skipped: tuple[int, ...] = ()

    @property
    def exit_layer(self) -> int:
        """Layers that ran, 1 or more."""
        return len(self.layers)


def linear_of(layer: IntegerLinear, weights: str) -> Linear:
    """The reference's form of a linear layer."""
    exponent: Any = int(layer.exponent[0]) if weights == "af" else layer.exponent.astype(np.int64)
    kind: Any = weights
    return Linear(layer.codes, kind, exponent, layer.bias.astype(np.int64))


def norm_of(network: IntegerAlbert, name: str) -> Norm:
    """The reference's form of a layer norm."""
    norm: IntegerNorm = network.norms[name]
    return Norm(norm.gamma, norm.beta, norm.gamma_fraction, network.epsilon)


def layer_weights(network: IntegerAlbert, index: int, length: int | None = None) -> LayerWeights:
    """The shared weights with the exponent biases of one layer; span masks up to ``length``
    tokens."""
    spans = None if network.spans is None else network.spans[:, :length].astype(np.int64)
    parts = {n: linear_of(layer, network.weights) for n, layer in network.linears.items()}
    return LayerWeights(
        network.heads, parts["q"], parts["k"], parts["v"], parts["output"],
        norm_of(network, "norm1"), parts["ffn1"], parts["ffn2"], norm_of(network, "norm2"),
        dict(network.biases[index]), spans,
    )  # fmt: skip


def word_rows(network: IntegerAlbert, ids: NDArray[np.int64]) -> Codes:
    """Codes (L, E) of words, from the table's bit mask and values.

    Written apart from the table's own look-up: bit by bit, as docs/ALBERT.md has it.
    """
    mask, values = network.words.mask, network.words.values
    ones = np.unpackbits(mask, axis=1).sum(axis=1, dtype=np.int64)
    before = np.concatenate([np.zeros(1, dtype=np.int64), ones]).cumsum()
    out = np.zeros((len(ids), network.words.columns), dtype=np.uint8)
    for row, word in enumerate(ids):
        at = before[word]
        for byte, bits in enumerate(mask[word].tolist()):
            for bit in range(8):
                if bits >> bit & 1:
                    out[row, 8 * byte + bit] = values[at]
                    at += 1
    return out


def operands(
    network: IntegerAlbert, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None
) -> tuple[Codes, Codes]:
    """The codes of words and places (L, E) of a sentence. Raises InputError."""
    kinds = check_tokens(network, ids, types)
    return word_rows(network, ids), network.place[kinds, np.arange(len(ids))]


def embed(network: IntegerAlbert, word: Codes, place: Codes, unit: Unit) -> Stages:
    """``word``, ``place``, ``embedded``, ``embedding_norm`` and ``input``, which the first layer
    takes."""
    bias, f, fmt = network.embedding_biases, unit.fraction, unit.fmt
    total = add_af(word, bias["word"], place, bias["place"], bias["embedded"], fmt)
    norm = norm_of(network, "embedding_norm")
    constants = norm_constants(total.shape[1], f, norm.epsilon)
    rows = af_to_fixed(total, bias["embedded"], f, fmt)
    t = layer_norm(rows, norm.gamma, norm.beta, norm.gamma_fraction, constants)
    normed = fixed_to_af(t, f, bias["embedding_norm"], fmt)
    mapping = linear_of(network.linears["mapping"], network.weights)
    x = fixed_to_af(linear(normed, bias["embedding_norm"], mapping, unit), f, bias["input"], fmt)
    return {"word": word, "place": place, "embedded": total, "embedding_norm": normed,
            "input": x}  # fmt: skip


def off_ramp(
    network: IntegerAlbert, index: int, row: Codes, unit: Unit
) -> tuple[NDArray[np.int64], Codes]:
    """Logits (classes,) in fixed point, and as codes, of the first token's row (1, hidden)."""
    bias = network.biases[index]
    ramp = linear_of(network.ramps[index], network.weights)
    t = linear(row, bias["norm2"], ramp, unit)
    return t[0], fixed_to_af(t, unit.fraction, bias["logits"], unit.fmt)[0]


def label_of(logits: Codes) -> int:
    """The class with the largest logit, the first of equals."""
    return int(np.argmax(af_values(logits, 0)))


def threshold_of(nats: float) -> int:
    """An entropy in nats with 16 fraction bits; below 0 for a threshold that no sentence meets."""
    return round(nats * (1 << ENTROPY_FRACTION))


def golden_sentence(
    network: IntegerAlbert,
    ids: NDArray[np.int64],
    unit: Unit,
    threshold: int | None = None,
    types: NDArray[np.int64] | None = None,
) -> Sentence:
    """A sentence in the reference.

    ids: token identities (L,). threshold: exit after the first layer whose entropy is no higher
    (16 fraction bits); None runs all layers. Raises InputError.
    """
    embedding = embed(network, *operands(network, ids, types), unit)
    x = embedding["input"]
    layers = []
    for index in range(network.layers):
        stages = encoder_layer(x, layer_weights(network, index, len(ids)), unit, skip=True)
        x = stages["norm2"]
        fixed, logits = off_ramp(network, index, x[:1], unit)
        h = int(entropy(fixed[None], unit.fraction)[0])
        exits = threshold is not None and h <= threshold
        layers.append(LayerResult({s: stages[s] for s in STAGES}, logits, h, exits))
        if exits:
            break
    tables = [] if network.spans is None else list(network.spans)
    skipped = tuple(head for head, table in enumerate(tables) if not table.max())
    return Sentence(embedding, tuple(layers), label_of(layers[-1].logits), skipped)
