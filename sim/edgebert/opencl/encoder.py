"""One ALBERT encoder layer on the EdgeBERT unit's kernels (docs/EDGEBERT_UNIT.md, 3).

The layer is one program of 8 + 2 * heads commands and one launch. Scores, the input of GELU and the
sums never leave the unit in hardware; the build for checks copies them to a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.job import FUNCTIONS
from shiftforge.generator.edgebert.kernels import auxiliary_words
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.memory import Image, Stored
from shiftforge.sim.edgebert.opencl.product import af_bits, multiply, value_bits
from shiftforge.sim.edgebert.opencl.program import UnitProgram
from shiftforge.sim.edgebert.opencl.sfu import add_norm, norm_table
from shiftforge.sim.golden.edgebert.encoder import STAGES, LayerWeights, Linear, Norm, Unit

__all__ = ["EncoderUnit", "check_layer"]

GELU, SOFTMAX = FUNCTIONS.index("gelu"), FUNCTIONS.index("softmax")


@dataclass(frozen=True, eq=False)
class _Traced:
    """Where a stage lies in the trace: rows, columns."""

    at: int
    rows: int
    columns: int


class EncoderUnit:
    """A unit with its special functions, built for a device.

    text: the device text, if it is not to be the rendered one. strict_depth: channels as deep as
    in hardware. stall_s: see ``UnitProgram``. seconds: of the last layer's kernels; skipped: heads
    that it left out.
    """

    def __init__(
        self,
        design: UnitDesign,
        device: str,
        *,
        text: str | None = None,
        strict_depth: bool = False,
        stall_s: float = 20.0,
    ) -> None:
        self.design = design
        self.program = UnitProgram(
            design, device, text=text, strict_depth=strict_depth, stall_s=stall_s
        )
        self.seconds = 0.0
        self.skipped: tuple[int, ...] = ()

    def run(
        self, x: ArrayLike, layer: LayerWeights, unit: Unit, *, skip: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Every stage of one layer for the input codes x (L, H), as golden's ``encoder_layer``.

        skip: heads whose span mask is 0 throughout get no commands; their context stays 0.
        Raises InputError where layer and unit do not suit, CheckFailed where the kernels stop or
        hang.
        """
        codes = np.asarray(x, dtype=np.int64)
        check_layer(self.design, codes, layer, unit)
        plan = _LayerImage(self.design.config, codes, layer, unit, skip)
        self.skipped = tuple(sorted(set(range(layer.heads)) - set(plan.heads)))
        self.seconds = self.program.run(plan.image)
        return plan.stages()


class _LayerImage:
    """A layer's memory image and where its stages lie."""

    def __init__(
        self, config: UnitConfig, x: NDArray[np.int64], layer: LayerWeights, unit: Unit,
        skip: bool,
    ) -> None:  # fmt: skip
        self.config, self.layer, self.unit = config, layer, unit
        self.image = image = Image(config.lanes)
        self.length, self.hidden = x.shape
        self.width = self.hidden // layer.heads
        self.stored: dict[str, Stored] = {}
        self.heads: dict[int, tuple[_Traced, Stored]] = {}
        self.traced: dict[str, _Traced] = {}
        bias = layer.biases
        source = image.codes(x, af_bits(config))
        for name, linear in (("q", layer.q), ("k", layer.k)):
            self._linear(name, source, "input", linear, layer.heads)
        self._linear("v", source, "input", layer.v, transposed=True)
        context = image.tensor(self.length, self.hidden, layer.heads)
        self.stored["context"] = context
        for head in range(layer.heads):
            if not skip or layer.spans is None or np.any(layer.spans[head]):
                self._attention(head, context.part(head))
        self._linear("attention_output", context, "context", layer.output)
        self._norm("add1", "norm1", (source, bias["input"]), "attention_output", layer.norm1)
        self._linear("gelu", self.stored["norm1"], "norm1", layer.ffn1, traced="ffn1")
        self._linear("ffn2", self.stored["gelu"], "gelu", layer.ffn2)
        self._norm("add2", "norm2", (self.stored["norm1"], bias["norm1"]), "ffn2", layer.norm2)
        image.freeze()

    def _trace(self, rows: int, columns: int) -> _Traced:
        n = self.image.lanes
        return _Traced(self.image.trace(-(-rows // n) * -(-columns // n) * n), rows, columns)

    def _linear(
        self, name: str, a: Stored, a_name: str, linear: Linear, parts: int = 1,
        *, transposed: bool = False, traced: str = "",
    ) -> None:  # fmt: skip
        image, config, f = self.image, self.config, self.unit.fraction
        n, m = len(linear.codes), config.man_bits
        if linear.kind == "af":
            shift: Any = 2 * m - self.layer.biases[a_name] - int(np.asarray(linear.exponent)) - f
        else:
            shift = m - self.layer.biases[a_name] - f - np.asarray(linear.exponent, dtype=np.int64)
        weights = image.codes(linear.codes, value_bits(config))
        rows, columns = (n, self.length) if transposed else (self.length, n)
        c = self.stored[name] = image.tensor(rows, columns, parts)
        fields = {}
        if traced:
            self.traced[traced] = self._trace(self.length, n)
            fields = {"function": GELU, "trace": self.traced[traced].at}
        multiply(
            image, a, weights, c, image.channels(shift, linear.bias, n), fraction=f,
            out_bias=self.layer.biases[name], transposed=int(transposed), **fields,
        )  # fmt: skip

    def _attention(self, head: int, context: Stored) -> None:
        image, bias, f = self.image, self.layer.biases, self.unit.fraction
        half = (self.width.bit_length() - 1) // 2
        twice = 2 * self.config.man_bits
        codes = int(self.config.takes_codes)
        traced = self._trace(self.length, self.length)
        probabilities = image.tensor(self.length, self.length)
        fields = {"function": SOFTMAX, "trace": traced.at, "fraction": f, "codes": codes}
        if self.layer.spans is not None:
            # past its end a mask is zero
            table = np.zeros(self.length, np.int64)
            given = np.asarray(self.layer.spans[head])[: self.length]
            table[: len(given)] = given
            fields |= {"masked": 1, "table": image.table(table)}
        q, k = self.stored["q"].part(head), self.stored["k"].part(head)
        shift = twice - bias["q"] - bias["k"] - f + half
        multiply(
            image, q, k, probabilities, image.channels(shift, 0, self.length),
            out_bias=bias["probabilities"], **fields,
        )  # fmt: skip
        values = self.stored["v"].band(head * self.width, self.width)
        shift = twice - bias["probabilities"] - bias["v"] - f
        multiply(
            image, probabilities, values, context, image.channels(shift, 0, self.width),
            out_bias=bias["context"], fraction=f, codes=codes,
        )  # fmt: skip
        self.heads[head] = traced, probabilities

    def _norm(self, added: str, name: str, a: tuple[Stored, int], b: str, norm: Norm) -> None:
        bias = self.layer.biases
        self.traced[added] = self._trace(self.length, self.hidden)
        c = self.stored[name] = self.image.tensor(self.length, self.hidden)
        add_norm(
            self.image, a, (self.stored[b], bias[b]), (self.traced[added].at, bias[added]),
            (c, bias[name]), NormNumbers(norm.gamma_fraction, norm.epsilon),
            fraction=self.unit.fraction,
            table=self.image.table(norm_table(norm.gamma, norm.beta, self.image.lanes)),
        )  # fmt: skip

    def stages(self) -> dict[str, NDArray[Any]]:
        """Every stage after a run, in golden's order."""
        image = self.image

        def shown(where: _Traced) -> NDArray[Any]:
            return image.read_rows(image.traced, where.at, where.rows, where.columns)

        out: dict[str, NDArray[Any]] = {name: image.read(at) for name, at in self.stored.items()}
        out["vt"] = out["v"]
        out["v"] = np.ascontiguousarray(out["vt"].T)
        out |= {name: shown(at) for name, at in self.traced.items()}
        for name in ("add1", "add2"):
            out[name] = out[name].astype(np.uint8)
        square = (self.layer.heads, self.length, self.length)
        out["scores"] = np.zeros(square, dtype=image.traced.dtype)
        out["probabilities"] = np.zeros(square, dtype=np.uint8)
        for head, (traced, probabilities) in self.heads.items():
            out["scores"][head] = shown(traced)
            out["probabilities"][head] = image.read(probabilities)
        return {stage: out[stage] for stage in STAGES}


def check_layer(design: UnitDesign, x: NDArray[np.int64], layer: LayerWeights, unit: Unit) -> None:
    """Raise InputError with all that keeps a layer from running on a unit."""
    config, sfu = design.config, design.functions
    problems = []

    def check(good: bool, what: str, remedy: str) -> None:
        if not good:
            problems.append(Problem(what, remedy))

    if x.ndim != 2 or not x.size:
        raise InputError(Problem(f"the input has the shape {x.shape}", "give codes (L, H)"))
    length, hidden = x.shape
    width, n = hidden // layer.heads, config.lanes
    half = (width.bit_length() - 1) // 2
    power = width * layer.heads == hidden and width == 1 << (2 * half)
    check(power, f"head width {hidden}/{layer.heads}", "fold the scale; use a power of 4")
    check(width % n == 0, f"head width {width}", f"use a multiple of the {n} lanes")
    ours = (n, config.accumulator, sfu.fraction, config.af_bits, config.exp_bits)
    theirs = (unit.n, unit.mode, unit.fraction, unit.fmt.bits, unit.fmt.exp_bits)
    check(ours == theirs, f"the unit is built for {ours}, asked for {theirs}", "use one unit")
    passes = config.terms if config.takes_codes else 0
    check(unit.passes_terms == passes, f"{unit.passes_terms} terms a pass", f"use {passes}")
    check(
        config.weights == "af" or config.takes_codes,
        "the unit multiplies no activations",
        "use attention='passes'",
    )
    kind = "af" if config.weights == "af" else f"shift{config.terms}"
    linears = {"q": layer.q, "k": layer.k, "v": layer.v, "output": layer.output}
    linears |= {"ffn1": layer.ffn1, "ffn2": layer.ffn2}
    depths = {**dict.fromkeys(linears, hidden), "ffn2": len(layer.ffn1.codes)}
    for name, linear in linears.items():
        check(linear.kind == kind, f"{name} has {linear.kind} weights", f"the unit takes {kind}")
        check(linear.codes.shape[1] == depths[name], f"{name} takes {linear.codes.shape[1]} inputs",
              f"give it {depths[name]}")  # fmt: skip
    for stage in ("input", *STAGES):
        if stage not in ("vt", "scores", "ffn1"):
            check(stage in layer.biases, f"no exponent bias for {stage}", "give -64 to 63")
    longest = max(hidden, length, len(layer.ffn1.codes))
    room = min(config.a_rows, config.b_rows, config.c_rows) // 2
    check(-(-longest // n) * n <= room, f"rows of {longest} leave the unit's buffers", f"{room}")
    words = auxiliary_words(config)
    row, norm_row = min(sfu.row, words), min(sfu.norm_row, 4 * words)
    check(length <= row, f"{length} tokens", f"at most {row}")
    check(2 <= hidden <= norm_row, f"layer norm over {hidden}", f"2 to {norm_row}")
    if problems:
        raise InputError(problems)
