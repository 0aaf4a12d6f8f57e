"""Runs sentences on the EdgeBERT unit's OpenCL kernels, layer by layer; the host takes the exit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert, IntegerLinear
from shiftforge.sim.edgebert.host import check_threshold, label_at, looked_up
from shiftforge.sim.edgebert.opencl.encoder import EncoderUnit
from shiftforge.sim.edgebert.opencl.memory import Image, Stored
from shiftforge.sim.edgebert.opencl.product import af_bits, multiply, value_bits
from shiftforge.sim.edgebert.opencl.sfu import add_norm, norm_table
from shiftforge.sim.edgebert.sentence_golden import (
    Codes,
    LayerResult,
    Sentence,
    Stages,
    layer_weights,
)
from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = ["ClassifierKernels"]


class ClassifierKernels:
    """The unit built for a device. text: its device text, if it is not to be the rendered one.
    seconds: of all kernels so far.

    The runtimes can hang or abort the process that they run in.
    """

    def __init__(
        self, design: UnitDesign, device: str, network: IntegerAlbert, unit: Unit,
        *, text: str | None = None,
    ) -> None:  # fmt: skip
        self.network, self.unit, self.config = network, unit, design.config
        self.encoder = EncoderUnit(design, device, text=text)
        self.seconds = 0.0

    def run(
        self,
        ids: NDArray[np.int64],
        threshold: int | None = None,
        types: NDArray[np.int64] | None = None,
    ) -> Sentence:
        """A sentence, as ``golden_sentence``. Raises InputError, and CheckFailed for a hang."""
        check_threshold(threshold)
        network = self.network
        embedding = self._embed(*looked_up(network, ids, types))
        x: Codes = embedding["input"]
        layers = []
        for index in range(network.layers):
            weights = layer_weights(network, index, len(ids))
            stages = self.encoder.run(x, weights, self.unit, skip=True)
            self.seconds += self.encoder.seconds
            x = stages["norm2"]
            logits, entropy, exits = self._off_ramp(index, x[:1], threshold)
            layers.append(LayerResult(stages, logits, entropy, exits))
            if exits:
                break
        return Sentence(embedding, tuple(layers), label_at(layers[-1].logits), self.encoder.skipped)

    def _channels(self, image: Image, linear: IntegerLinear, bias: int) -> int:
        m, f = self.config.man_bits, self.unit.fraction
        own = m if self.config.weights == "af" else 0
        shift = m + own - bias - linear.exponent.astype(np.int64) - f
        return image.channels(shift, linear.bias, len(linear.codes))

    def _product(
        self, image: Image, a: Stored, linear: IntegerLinear, bias: int, out: int, **fields: int
    ) -> Stored:
        weights = image.codes(linear.codes, value_bits(self.config))
        c = image.tensor(a.rows, len(linear.codes))
        multiply(
            image, a, weights, c, self._channels(image, linear, bias), out_bias=out,
            fraction=self.unit.fraction, **fields,
        )  # fmt: skip
        return c

    def _launch(self, image: Image) -> None:
        image.freeze()
        self.seconds += self.encoder.program.run(image)

    def _embed(self, word: Codes, place: Codes) -> Stages:
        network, bits = self.network, af_bits(self.config)
        bias, norm = network.embedding_biases, network.norms["embedding_norm"]
        image = Image(self.config.lanes)
        a, b = image.codes(word, bits), image.codes(place, bits)
        c = image.tensor(*word.shape)
        at = image.trace(c.vectors)
        add_norm(
            image, (a, bias["word"]), (b, bias["place"]), (at, bias["embedded"]),
            (c, bias["embedding_norm"]), NormNumbers(norm.gamma_fraction, network.epsilon),
            fraction=self.unit.fraction,
            table=image.table(norm_table(norm.gamma, norm.beta, image.lanes)),
        )  # fmt: skip
        x = self._product(
            image, c, network.linears["mapping"], bias["embedding_norm"], bias["input"]
        )
        self._launch(image)
        sums = image.read_rows(image.traced, at, *word.shape).astype(np.uint8)
        return {
            "word": image.read(a),
            "place": image.read(b),
            "embedded": sums,
            "embedding_norm": image.read(c),
            "input": image.read(x),
        }

    def _off_ramp(self, index: int, row: Codes, threshold: int | None) -> tuple[Codes, int, bool]:
        network, own = self.network, self.network.biases[index]
        image = Image(self.config.lanes)
        a = image.codes(row, af_bits(self.config))
        at = image.outcome()
        c = self._product(
            image, a, network.ramps[index], own["norm2"], own["logits"], entropy=1,
            threshold=threshold or 0, outcome=at,
        )  # fmt: skip
        image.trace(c.vectors)
        self._launch(image)
        entropy, exits = image.outcomes[at : at + 2].tolist()
        return image.read(c)[0], int(entropy), threshold is not None and bool(exits)
