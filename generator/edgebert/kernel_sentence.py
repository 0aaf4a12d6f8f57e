"""A whole network for the EdgeBERT unit's kernels: memory, and the launches of a sentence.

The memory does not depend on the sentence: every tensor has room for the longest one. Between the
launches the host looks at an off-ramp's outcome and stops after the first one that exits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.encoder import MATRICES
from shiftforge.generator.edgebert.kernel_commands import (
    add_norm,
    multiply,
    norm_table,
    value_bits,
)
from shiftforge.generator.edgebert.kernel_layer import (
    LayerData,
    LayerPlaces,
    LayerStep,
    NormData,
    Traced,
    channels_of,
    layer_commands,
)
from shiftforge.generator.edgebert.kernel_memory import Commands, Image, Stored
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["Launch", "SentenceKernels"]


@dataclass(frozen=True, eq=False)
class Launch:
    """Commands that run without the host. kind: "embedding", "layer" or "off-ramp"; layer: its
    index. traced: stages in the trace, by name."""

    kind: Literal["embedding", "layer", "off-ramp"]
    layer: int
    commands: Commands
    traced: Mapping[str, Traced]


def _layer_data(network: IntegerAlbert) -> LayerData:
    norms = {
        name: NormData(norm.gamma, norm.beta, NormNumbers(norm.gamma_fraction, network.epsilon))
        for name, norm in network.norms.items()
    }
    return LayerData(
        network.heads,
        {name: network.linears[name] for name in MATRICES},
        {name: norms[name] for name in ("norm1", "norm2")},
        network.spans,
        frozenset(network.skipped),
    )


class SentenceKernels:
    """A network's memory on a unit.

    image: frozen, without a sentence; runs take ``image.fresh()``. constants: vectors and strips of
    the weights, which lie before all else. word, place: the tensors that take a sentence, at their
    largest (see ``operand``). logits: AF codes (1, classes). outcome: word of the entropy's
    outcome. Raises InputError where the network does not suit the unit.
    """

    def __init__(self, design: UnitDesign, network: IntegerAlbert) -> None:
        self.design, self.network = design, network
        config, bits = design.config, value_bits(design.config)
        tokens, embedding = network.length, network.words.columns
        self.image = image = Image(config.lanes)
        self.layer = LayerPlaces(image, config, _layer_data(network), tokens)
        self.mapping = image.codes(network.linears["mapping"].codes, bits)
        self.ramps = [image.codes(ramp.codes, bits) for ramp in network.ramps]
        self.constants = image.taken
        norm = network.norms["embedding_norm"]
        self.norm_table = image.table(norm_table(norm.gamma, norm.beta, image.lanes))
        biases, fraction = network.embedding_biases, network.fraction
        self.mapping_channels = channels_of(
            image, config, network.linears["mapping"], biases["embedding_norm"], fraction
        )
        self.channels = [self.layer.channels(image, own, fraction) for own in network.biases]
        self.ramp_channels = [
            channels_of(image, config, ramp, own["norm2"], fraction)
            for ramp, own in zip(network.ramps, network.biases, strict=True)
        ]
        self.word, self.place, self._normed = (image.tensor(tokens, embedding) for _ in range(3))
        self._states = [image.tensor(tokens, network.hidden) for _ in range(2)]
        self.layer.place_stages(image)
        self.logits = image.tensor(1, len(network.classes))
        self.outcome = image.outcome()
        image.freeze()

    def operand(self, which: Stored, tokens: int) -> Stored:
        """A tensor of one part for a sentence of so many tokens."""
        return replace(which, rows=tokens)

    def state(self, layer: int, tokens: int) -> Stored:
        """The input of a layer; that of the layer past the last is the network's output."""
        return self.operand(self._states[layer % 2], tokens)

    @property
    def normed(self) -> Stored:
        """The layer norm of the embeddings, at its largest."""
        return self._normed

    def launches(self, tokens: int, threshold: int | None = None) -> list[Launch]:
        """The launches of a sentence of so many tokens, in order.

        threshold: of the exit, 16 fraction bits; None runs all layers. Raises InputError.
        """
        if not 1 <= tokens <= self.network.length:
            what = f"a sentence of {tokens} tokens"
            raise InputError(Problem(what, f"give 1 to {self.network.length}", "sentence"))
        return self.commands(tokens, threshold)

    def commands(self, tokens: int, threshold: int | None = None) -> list[Launch]:
        """The same of any length: the fields of a command are sums of a constant, a multiple of
        the tokens and one of their row tiles, whether or not so many tokens have room."""
        found = [self._embedding(tokens)]
        for index in range(self.network.layers):
            found.append(self._layer(index, tokens))
            found.append(self._off_ramp(index, threshold))
        return found

    def _embedding(self, tokens: int) -> Launch:
        network, into = self.network, Commands(self.image.lanes)
        bias, norm = network.embedding_biases, network.norms["embedding_norm"]
        word, place, normed = (
            self.operand(which, tokens) for which in (self.word, self.place, self._normed)
        )
        at = into.trace(normed.vectors)
        add_norm(
            into, (word, bias["word"]), (place, bias["place"]), (at, bias["embedded"]),
            (normed, bias["embedding_norm"]), NormNumbers(norm.gamma_fraction, network.epsilon),
            fraction=network.fraction, table=self.norm_table,
        )  # fmt: skip
        multiply(
            into, normed, self.mapping, self.state(0, tokens), self.mapping_channels,
            out_bias=bias["input"], fraction=network.fraction,
        )  # fmt: skip
        traced = {"embedded": Traced(at, tokens, network.words.columns)}
        return Launch("embedding", 0, into, traced)

    def step(self, index: int, tokens: int) -> LayerStep:
        """One layer of a sentence of so many tokens."""
        return LayerStep(
            tokens,
            self.state(index, tokens),
            self.state(index + 1, tokens),
            self.network.biases[index],
            self.channels[index],
            self.network.fraction,
        )

    def _layer(self, index: int, tokens: int) -> Launch:
        into = Commands(self.image.lanes)
        step = self.step(index, tokens)
        return Launch("layer", index, into, layer_commands(into, self.layer, step))

    def _off_ramp(self, index: int, threshold: int | None) -> Launch:
        into = Commands(self.image.lanes)
        multiply(
            into, self.state(index + 1, 1), self.ramps[index], self.logits,
            self.ramp_channels[index], out_bias=self.network.biases[index]["logits"],
            fraction=self.network.fraction, entropy=1, threshold=threshold or 0,
            outcome=self.outcome, trace=into.trace(self.logits.vectors),
        )  # fmt: skip
        return Launch("off-ramp", index, into, {})
