"""Post-training quantisation: a folded float network and some images to the integer network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import one_thread
from shiftforge.quant.calibrate.sequential import Options, Progress, round_network
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.quantisation import FirstLast, Quantisation, weight_formats

__all__ = ["FirstLast", "Quantisation", "calibration_subset", "quantize", "weight_formats"]

# Values of the largest activation map over all calibration images: keeps calibration near 2 GB.
_VALUES = 100_000_000


def calibration_subset(graph: FloatGraph, images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Evenly spaced images, as many as calibration holds in memory at this network's map sizes."""
    largest = max(int(np.prod(shape)) for shape in graph.shapes.values())
    most = max(1, _VALUES // largest)
    if len(images) <= most:
        return images
    return images[np.linspace(0, len(images) - 1, most).round().astype(np.int64)]


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
    problems += given.problems()
    problems += _unusable(graph)
    if problems or values is None:
        raise InputError(problems)
    formats = given.formats(graph)
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


def _unusable(graph: FloatGraph) -> list[Problem]:
    """Weights that are no numbers."""
    return [
        Problem("weights or biases hold NaN or infinity", "load the network again", node.source)
        for node in graph.nodes
        if isinstance(node, FloatConv)
        and not (np.isfinite(node.weight).all() and np.isfinite(node.bias).all())
    ]


def _silent(stage: str, done: int, total: int) -> None:
    """No progress wanted."""
