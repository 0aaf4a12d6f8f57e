"""The special functions of the EdgeBERT unit's kernels by themselves (docs/EDGEBERT_UNIT.md, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.kernel_commands import (
    GELU,
    SOFTMAX,
    add_norm,
    af_bits,
    multiply,
    norm_table,
)
from shiftforge.generator.edgebert.kernel_memory import Image, Stored
from shiftforge.generator.edgebert.kernels import auxiliary_words
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.program import UnitProgram

__all__ = ["Dvfs", "Outcome", "SpecialUnit"]

Codes = NDArray[np.uint8]
MOST_POINTS = 16


@dataclass(frozen=True)
class Dvfs:
    """The settings of the choice of voltage and frequency after layer 1 (2.8).

    table: predicted exit layers; scale: of an entropy to a row; frequencies: ascending, in 1/4096
    of the reference clock; cycles_left: until the target, may be negative.
    """

    table: Sequence[int]
    scale: int
    layers: int
    layer_cycles: int
    cycles_left: int
    frequencies: Sequence[int]


@dataclass(frozen=True)
class Outcome:
    """entropy: 16 fraction bits. layer, point, late: the choice, 0 without ``Dvfs``."""

    entropy: int
    exits: bool
    layer: int
    point: int
    late: bool


class SpecialUnit:
    """A unit whose special functions take values that the caller chooses.

    Fixed point reaches them through post-processing, as the bias of a product of zeros.
    """

    def __init__(self, design: UnitDesign, device: str, *, text: str | None = None) -> None:
        self.config, self.sfu = design.config, design.functions
        self.program = UnitProgram(design, device, text=text)

    def _zeros(self, image: Image, rows: int) -> Stored:
        return image.codes(np.zeros((rows, 1), np.int64), af_bits(self.config))

    def _columns(self, size: int, most: int, per_word: int = 0) -> None:
        room = min(most, self.config.c_rows // 2)
        if per_word:
            room = min(room, per_word * auxiliary_words(self.config))
        if not 1 <= size <= room:
            raise InputError(Problem(f"a row of {size} elements", f"1 to {room}"))

    def gelu(self, t: ArrayLike, out_bias: int) -> Codes:
        """The codes (N,) of GELU of int32 fixed point t (N,)."""
        values = np.asarray(t, dtype=np.int64)
        self._columns(len(values), self.config.c_rows // 2)
        image = Image(self.config.lanes)
        c = image.tensor(1, len(values))
        multiply(
            image, self._zeros(image, 1), self._zeros(image, len(values)), c,
            image.channels(0, values, len(values)), function=GELU, out_bias=out_bias,
            fraction=self.sfu.fraction,
        )  # fmt: skip
        image.trace(c.vectors)
        image.freeze()
        self.program.run(image)
        codes: Codes = image.read(c)[0]
        return codes

    def softmax(
        self, scores: ArrayLike, rows: int, out_bias: int, masks: ArrayLike | None = None
    ) -> Codes:
        """The codes (S, rows, L) of softmax, where all rows of matrix s are scores[s].

        scores: (S, L) int32 fixed point; masks: (S, L) mask tables over \\|i - j\\|.
        """
        values = np.asarray(scores, dtype=np.int64)
        length = values.shape[1]
        self._columns(length, self.sfu.row, 1)
        image = Image(self.config.lanes)
        a, b = self._zeros(image, rows), self._zeros(image, length)
        results = []
        for i, row in enumerate(values):
            c = image.tensor(rows, length)
            fields = {}
            if masks is not None:
                fields = {"masked": 1, "table": image.table(np.asarray(masks)[i])}
            multiply(
                image, a, b, c, image.channels(0, row, length), function=SOFTMAX,
                out_bias=out_bias, fraction=self.sfu.fraction, **fields,
            )  # fmt: skip
            results.append(c)
        image.trace(results[0].vectors)
        image.freeze()
        self.program.run(image)
        return np.stack([image.read(c) for c in results])

    def add_norm(
        self, a: tuple[ArrayLike, int], b: tuple[ArrayLike, int], sum_bias: int,
        gamma: ArrayLike, beta: ArrayLike, numbers: NormNumbers, *, out_bias: int,
    ) -> tuple[Codes, Codes]:  # fmt: skip
        """The codes (R, H) of A + B, given with their exponent biases, and of their layer norm."""
        left, right = np.asarray(a[0]), np.asarray(b[0])
        self._columns(left.shape[1], self.sfu.norm_row, 4)
        if left.shape != right.shape or left.shape[1] < 2:
            raise InputError(Problem(f"operands {left.shape}, {right.shape}", "give (R, H) twice"))
        image, bits = Image(self.config.lanes), af_bits(self.config)
        first, second = image.codes(left, bits), image.codes(right, bits)
        c = image.tensor(*left.shape)
        add_norm(
            image, (first, a[1]), (second, b[1]), (image.trace(c.vectors), sum_bias),
            (c, out_bias), numbers, fraction=self.sfu.fraction,
            table=image.table(norm_table(gamma, beta, image.lanes)),
        )  # fmt: skip
        image.freeze()
        self.program.run(image)
        sums = image.read_rows(image.traced, 0, *left.shape)
        return sums.astype(np.uint8), image.read(c)

    def entropy(
        self, logits: ArrayLike, threshold: int, dvfs: Dvfs | Sequence[Dvfs] | None = None
    ) -> list[Outcome]:
        """Entropy, exit and choice for each row of logits (S, C), int32 fixed point."""
        values = np.asarray(logits, dtype=np.int64)
        classes = values.shape[1]
        self._columns(classes, self.sfu.row, 1)
        choices = [dvfs] * len(values) if dvfs is None or isinstance(dvfs, Dvfs) else list(dvfs)
        image = Image(self.config.lanes)
        a, b = self._zeros(image, 1), self._zeros(image, classes)
        places = []
        for row, choice in zip(values, choices, strict=True):
            places.append(image.outcome())
            fields = {} if choice is None else self._choice(image, choice)
            at = image.rows(b.tiles * image.lanes)
            multiply(
                image, a, b, None, image.channels(0, row, classes), fixed=1, entropy=1, c_base=at,
                threshold=threshold, outcome=places[-1], fraction=self.sfu.fraction, **fields,
            )  # fmt: skip
        image.trace(b.tiles)
        image.freeze()
        self.program.run(image)
        found = [image.outcomes[at : at + 5].tolist() for at in places]
        return [Outcome(h, bool(e), layer, point, bool(late)) for h, e, layer, point, late in found]

    def _choice(self, image: Image, choice: Dvfs) -> dict[str, int]:
        if not 1 <= len(choice.table) <= self.sfu.predictor_rows or not (
            1 <= len(choice.frequencies) <= MOST_POINTS
        ):
            raise InputError(
                Problem(
                    f"{len(choice.table)} exit layers, {len(choice.frequencies)} points",
                    f"give 1 to {self.sfu.predictor_rows}, and 1 to {MOST_POINTS}",
                )
            )
        return {
            "rows": len(choice.table),
            "points": len(choice.frequencies),
            "table": image.table([*choice.table, *choice.frequencies]),
            "scale": choice.scale,
            "layers": choice.layers,
            "layer_cycles": choice.layer_cycles,
            "cycles_left": choice.cycles_left,
        }
