"""Runs sentences on the EdgeBERT unit's OpenCL kernels, layer by layer; the host takes the exit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.kernel_commands import af_bits
from shiftforge.generator.edgebert.kernel_layer import Traced
from shiftforge.generator.edgebert.kernel_memory import Image
from shiftforge.generator.edgebert.kernel_sentence import Launch, SentenceKernels
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.host import check_threshold, label_at, looked_up
from shiftforge.sim.edgebert.opencl.encoder import check_layer, read_layer
from shiftforge.sim.edgebert.opencl.program import UnitProgram
from shiftforge.sim.edgebert.sentence_golden import LayerResult, Sentence, Stages, layer_weights
from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = ["ClassifierKernels"]


class ClassifierKernels:
    """The unit built for a device, with a network's memory as its project's data hold it.

    text: the device text, if it is not to be the rendered one. seconds: of all kernels so far.
    The runtimes can hang or abort the process that they run in.
    """

    def __init__(
        self, design: UnitDesign, device: str, network: IntegerAlbert, unit: Unit,
        *, text: str | None = None,
    ) -> None:  # fmt: skip
        self.design, self.network, self.unit = design, network, unit
        x = np.zeros((network.length, network.hidden), dtype=np.int64)
        for index in range(network.layers):
            check_layer(design, x, layer_weights(network, index), unit)
        self.kernels = SentenceKernels(design, network)
        self.program = UnitProgram(design, device, text=text)
        self.seconds = 0.0

    def run(
        self,
        ids: NDArray[np.int64],
        threshold: int | None = None,
        types: NDArray[np.int64] | None = None,
    ) -> Sentence:
        """A sentence, as ``golden_sentence``. Raises InputError, and CheckFailed for a hang."""
        check_threshold(threshold)
        word, place = looked_up(self.network, ids, types)
        kernels, bits = self.kernels, af_bits(self.design.config)
        image = kernels.image.fresh()
        image.write(kernels.operand(kernels.word, len(ids)), word, bits)
        image.write(kernels.operand(kernels.place, len(ids)), place, bits)
        embedding: Stages = {}
        stages: Stages = {}
        layers: list[LayerResult] = []
        for launch in kernels.launches(len(ids), threshold):
            self._launch(image, launch)
            if launch.kind == "embedding":
                embedding = self._embedding(image, len(ids), launch.traced["embedded"])
            elif launch.kind == "layer":
                stages = self._layer(image, len(ids), launch.layer, launch.traced)
            else:
                entropy, exits = image.outcomes[kernels.outcome : kernels.outcome + 2].tolist()
                logits = image.read(kernels.logits)[0]
                done = threshold is not None and bool(exits)
                layers.append(LayerResult(stages, logits, int(entropy), done))
                if done:
                    break
        skipped = tuple(sorted(kernels.layer.data.skipped))
        return Sentence(embedding, tuple(layers), label_at(layers[-1].logits), skipped)

    def _launch(self, image: Image, launch: Launch) -> None:
        image.load(launch.commands)
        self.seconds += self.program.run(image)

    def _embedding(self, image: Image, tokens: int, sums: Traced) -> Stages:
        kernels = self.kernels
        names = {"word": kernels.word, "place": kernels.place, "embedding_norm": kernels.normed}
        found = {n: image.read(kernels.operand(at, tokens)) for n, at in names.items()}
        embedded = image.read_rows(image.traced, sums.at, sums.rows, sums.columns)
        return {
            "word": found["word"],
            "place": found["place"],
            "embedded": embedded.astype(np.uint8),
            "embedding_norm": found["embedding_norm"],
            "input": image.read(kernels.state(0, tokens)),
        }

    def _layer(
        self, image: Image, tokens: int, index: int, traced: Mapping[str, Traced]
    ) -> dict[str, NDArray[Any]]:
        step = self.kernels.step(index, tokens)
        return read_layer(image, self.kernels.layer, step, traced)
