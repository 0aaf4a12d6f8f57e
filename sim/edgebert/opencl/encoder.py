"""One ALBERT encoder layer on the EdgeBERT unit's kernels (docs/EDGEBERT_UNIT.md, 3).

The layer is one program of 8 + 2 * heads commands and one launch. Scores, the input of GELU and the
sums never leave the unit in hardware; the build for checks copies them to a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.encoder import MATRICES
from shiftforge.generator.edgebert.kernel_commands import af_bits
from shiftforge.generator.edgebert.kernel_layer import (
    LayerData,
    LayerPlaces,
    LayerStep,
    NormData,
    Traced,
    layer_commands,
)
from shiftforge.generator.edgebert.kernel_memory import Image
from shiftforge.generator.edgebert.kernels import auxiliary_words
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.program import UnitProgram
from shiftforge.sim.golden.edgebert.encoder import STAGES, LayerWeights, Unit

__all__ = ["EncoderUnit", "check_layer", "read_layer"]


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
        image, config = Image(self.design.config.lanes), self.design.config
        data = _data(layer, skip)
        places = LayerPlaces(image, config, data, len(codes))
        source = image.codes(codes, af_bits(config))
        places.place_stages(image)
        target = image.tensor(*codes.shape)
        channels = places.channels(image, layer.biases, unit.fraction)
        step = LayerStep(len(codes), source, target, layer.biases, channels, unit.fraction)
        traced = layer_commands(image, places, step)
        image.freeze()
        self.skipped = tuple(sorted(data.skipped))
        self.seconds = self.program.run(image)
        return read_layer(image, places, step, traced)


def _data(layer: LayerWeights, skip: bool) -> LayerData:
    """A layer of the reference, for the kernels."""
    skipped = []
    if skip and layer.spans is not None:
        skipped = [head for head, table in enumerate(layer.spans) if not np.any(table)]
    norms = {"norm1": layer.norm1, "norm2": layer.norm2}
    return LayerData(
        layer.heads,
        {name: getattr(layer, name) for name in MATRICES},
        {
            name: NormData(n.gamma, n.beta, NormNumbers(n.gamma_fraction, n.epsilon))
            for name, n in norms.items()
        },
        layer.spans,
        frozenset(skipped),
    )


def read_layer(
    image: Image, places: LayerPlaces, step: LayerStep, traced: Mapping[str, Traced]
) -> dict[str, NDArray[Any]]:
    """Every stage of a layer after its run, in golden's order; scores of heads that were left out
    are 0."""
    tokens, heads = step.tokens, places.data.heads

    def shown(where: Traced) -> NDArray[Any]:
        return image.read_rows(image.traced, where.at, where.rows, where.columns)

    out: dict[str, NDArray[Any]] = {
        name: image.read(places.at(name, tokens)) for name in places.stages
    }
    out["norm2"] = image.read(step.target)
    out["vt"] = out["v"]
    out["v"] = np.ascontiguousarray(out["vt"].T)
    out["ffn1"] = shown(traced["ffn1"])
    for name in ("add1", "add2"):
        out[name] = shown(traced[name]).astype(np.uint8)
    square = (heads, tokens, tokens)
    out["scores"] = np.zeros(square, dtype=image.traced.dtype)
    out["probabilities"] = np.zeros(square, dtype=np.uint8)
    for head in places.data.computed:
        out["scores"][head] = shown(traced[f"scores {head}"])
        out["probabilities"][head] = out[f"probabilities {head}"]
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
