"""Post-training quantisation: a folded float network and some images to the integer network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.calibrate.convert import Requant, convert
from shiftforge.quant.calibrate.equalise import Equalisation, equalise
from shiftforge.quant.calibrate.grids import Method, calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import one_thread
from shiftforge.quant.calibrate.sequential import Options, Progress, Rounding, round_network
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat, WeightFormat
from shiftforge.quant.graph.verify import verify

__all__ = ["FirstLast", "Quantisation", "calibration_subset", "quantize", "weight_formats"]

FirstLast: TypeAlias = Literal["wide", "same"]

# Values of the largest activation map over all calibration images: keeps calibration near 2 GB.
_VALUES = 100_000_000


def weight_formats(
    graph: FloatGraph, scheme: str, bits: int | None, terms: int | None, first_last: FirstLast
) -> dict[str, WeightFormat]:
    """Weight format of every convolution, by name.

    scheme "shift": bits 3 or 4 a term (default 4), terms 1 or 2 (default 2). scheme "int":
    bits 2..8 (default 8). first_last "wide" gives the first and the last convolution two terms, or
    8 bits.
    Raises InputError for what no format can be.
    """
    problems = Problems()
    if scheme not in ("shift", "int"):
        problems.append(Problem(f"unknown scheme {scheme!r}", 'use "shift" or "int"', "scheme"))
    if scheme == "int" and terms is not None:
        problems.append(Problem("terms given for integer weights", "leave terms out", "terms"))
    if first_last not in ("wide", "same"):
        problems.append(Problem(f"unknown choice {first_last!r}", "use wide or same", "first_last"))
    problems.stop()
    usual: WeightFormat
    wide: WeightFormat
    if scheme == "shift":
        count = 2 if terms is None else terms
        width = 4 if bits is None else bits
        usual = ShiftFormat(width, count, "S1" if count == 1 else "S2")
        wide = ShiftFormat(width, 2, "S2")
    else:
        usual, wide = IntFormat(8 if bits is None else bits), IntFormat(8)
    format_levels(usual)  # refuses bits and terms that do not exist
    names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
    ends = {names[0], names[-1]} if first_last == "wide" else set()
    return {name: wide if name in ends else usual for name in names}


def calibration_subset(graph: FloatGraph, images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Evenly spaced images, as many as calibration holds in memory at this network's map sizes."""
    largest = max(int(np.prod(shape)) for shape in graph.shapes.values())
    most = max(1, _VALUES // largest)
    if len(images) <= most:
        return images
    return images[np.linspace(0, len(images) - 1, most).round().astype(np.int64)]


@dataclass(frozen=True)
class Quantisation:
    """How a network is quantised after training.

    scheme, bits, terms, first_last: see ``weight_formats``. activation_bits: 2..8. rounding:
    "compensated" (error-compensating), "nearest", or "log" (the paper's, shift only). equalisation:
    "off", "exact" or "calibrated" (see calibrate.equalise). requant: "shift" or "multiplier".
    calibration: of the activation grids.
    """

    scheme: str = "shift"
    bits: int | None = None
    terms: int | None = None
    activation_bits: int = 8
    rounding: Rounding = "compensated"
    bias_correction: bool = True
    equalisation: Equalisation = "exact"
    requant: Requant = "shift"
    calibration: Method = "mse"
    first_last: FirstLast = "wide"

    def formats(self, graph: FloatGraph) -> dict[str, WeightFormat]:
        """Weight format of every convolution, by name. Raises InputError."""
        return weight_formats(graph, self.scheme, self.bits, self.terms, self.first_last)


def quantize(
    graph: FloatGraph,
    images: NDArray[np.generic],
    options: Quantisation | None = None,
    *,
    progress: Progress | None = None,
) -> QuantizedModel:
    """Quantise a network after training.

    images: calibration images (N, height, width, channels) of the network's size, values 0..255;
    where all of them would need too much memory an evenly spaced part is taken. progress: called
    with (stage, done, total).
    The same input gives the same model, however many cores there are (torch runs on one). Its
    facts hold the options and each node's signal to quantisation noise ratio in dB on the
    calibration images.
    Raises InputError for bad images or options and for a network no integer graph can hold.
    """
    given = options or Quantisation()
    problems = Problems()
    values = problems.check(
        normalise, calibration_subset(graph, np.asarray(images)), graph.preprocess
    )
    formats = problems.check(given.formats, graph)
    problems += _unusable(graph, given)
    if problems or values is None or formats is None:
        raise InputError(problems)
    tell = progress if progress is not None else _silent
    tell("measuring activations", 0, 1)
    how = Options(rounding=given.rounding, bias_correction=given.bias_correction)
    with one_thread():
        scaled = equalise(graph, values, mode=given.equalisation)
        grids = calibrate_grids(
            scaled, values, bits=given.activation_bits, method=given.calibration
        )
        tell("measuring activations", 1, 1)
        rounded = round_network(scaled, values, formats, grids, how, progress)
    facts: Mapping[str, Any] = {
        "scheme": given.scheme,
        "activation_bits": given.activation_bits,
        "rounding": given.rounding,
        "bias_correction": given.bias_correction,
        "equalisation": given.equalisation,
        "requant": given.requant,
        "calibration": given.calibration,
        "calibration_images": len(values),
        "first_last": given.first_last,
        "sqnr_db": {name: round(value, 2) for name, value in rounded.sqnr.items()},
    }
    model = convert(
        scaled, grids, rounded.weights, formats, biases=rounded.biases, requant=given.requant,
        meta=facts,
    )  # fmt: skip
    verify(model)
    return model


def _unusable(graph: FloatGraph, options: Quantisation) -> list[Problem]:
    """A rounding that cannot be, and weights that are no numbers."""
    problems = []
    if options.rounding not in ("compensated", "nearest", "log"):
        what = f"unknown rounding {options.rounding!r}"
        problems.append(Problem(what, "use compensated, nearest or log", "rounding"))
    elif options.rounding == "log" and options.scheme == "int":
        problems.append(Problem("log rounding of integer weights", "use nearest", "rounding"))
    for node in graph.nodes:
        if isinstance(node, FloatConv) and not (
            np.isfinite(node.weight).all() and np.isfinite(node.bias).all()
        ):
            what = "weights or biases hold NaN or infinity"
            problems.append(Problem(what, "load the network again", node.source))
    return problems


def _silent(stage: str, done: int, total: int) -> None:
    """No progress wanted."""
