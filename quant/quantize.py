"""Post-training quantisation: a folded float network and some images to the integer network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.kept import Kept, kept_scales
from shiftforge.quant.calibrate.network import one_thread
from shiftforge.quant.calibrate.sequential import Options, Progress, round_network
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.labelled_input import frame_digests
from shiftforge.quant.graph.types import Grid, QuantizedModel, ShiftFormat
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.quantisation import FirstLast, Quantisation, weight_formats
from shiftforge.quant.second_terms import Images, Masks, prepare
from shiftforge.quant.second_words import WordPlanner

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
    planner: WordPlanner | None = None,
    progress: Progress | None = None,
) -> QuantizedModel:
    """Quantise a network after training.

    images: calibration images (N, height, width, channels) of the network's size, values 0..255;
    where all of them would need too much memory an evenly spaced part is taken. planner: of the
    words of weights on the array, for options that choose the weights of two terms. progress:
    called with (stage, done, total).
    Scales that the source brings and the integer graph can hold are kept (``calibrate.kept``).
    The same input gives the same model, however many cores there are (torch runs on one). Its
    facts hold the options and each node's signal to quantisation noise ratio in dB on the
    calibration images.
    Raises InputError for bad images or options, for a network no integer graph can hold, and for an
    SQNR (``min_sqnr``) that all second words together do not reach.
    """
    given = options or Quantisation()
    problems = Problems()
    frames = calibration_subset(graph, np.asarray(images))
    values = problems.check(normalise, frames, graph.preprocess)
    problems += given.problems()
    if given.selects and planner is None:
        problems.append(Problem("no planner of the array's words", "give one", "planner"))
    problems += _unusable(graph)
    if problems or values is None:
        raise InputError(problems)
    tell = progress if progress is not None else _silent
    formats = {} if given.selects else given.formats(graph)
    kept = kept_scales(graph, formats, given.activation_bits)
    tell("measuring activations", 0, 1)
    with one_thread():
        scaled = equalise(graph, values, mode=given.equalisation, held=kept.tensors)
        grids = calibrate_grids(
            scaled, values, bits=given.activation_bits, method=given.calibration,
            overrides=kept.grids,
        )  # fmt: skip
        tell("measuring activations", 1, 1)
    facts: dict[str, Any] = {
        "scheme": given.scheme,
        "activation_bits": given.activation_bits,
        "rounding": given.rounding,
        "bias_correction": given.bias_correction,
        "equalisation": given.equalisation,
        "requant": given.requant,
        "calibration": given.calibration,
        "calibration_images": len(values),
        "calibration_frames": frame_digests(np.asarray(frames, np.uint8)),
        "first_last": given.ends,
    }
    if graph.stored:
        facts["stored_scales"] = kept.facts()

    case = _Case(given, grids, kept, facts, tell)

    def rounded(allowed: Masks | None, output: Grid | None, some: Images | None) -> QuantizedModel:
        part = values if some is None else values[some]
        return _rounded(scaled, part, case, allowed, output)

    with one_thread():
        if given.selects and planner is not None:
            choice = prepare(scaled, values, frames, given, planner, rounded, tell)
            model = choice.with_shares(given.shares) if given.shares else choice.smallest()
        else:
            model = rounded(None, None, None)
    verify(model)
    return model


@dataclass(frozen=True, eq=False)
class _Case:
    """What every rounding of one network shares."""

    given: Quantisation
    grids: Mapping[str, Grid]
    kept: Kept
    facts: Mapping[str, Any]
    progress: Progress


def _rounded(
    graph: FloatGraph,
    values: NDArray[np.float32],
    case: _Case,
    allowed: Masks | None,
    output: Grid | None,
) -> QuantizedModel:
    """The integer network with the weights' masks, and the output's grid where it is given."""
    given, grids = case.given, case.grids
    formats = given.formats(graph)
    for name, mask in (allowed or {}).items():
        own = formats[name]
        if not mask.any() and isinstance(own, ShiftFormat):
            formats[name] = replace(own, terms=1, mode="S1")
    known = dict(grids) if output is None else {**grids, graph.output: output}
    how = Options(rounding=given.rounding, bias_correction=given.bias_correction)
    found = round_network(
        graph, values, formats, known, how, case.progress, allowed, case.kept.weights
    )
    noise = {name: round(value, 2) for name, value in found.sqnr.items()}
    return convert(
        graph, known, found.weights, formats, biases=found.biases, requant=given.requant,
        meta={**case.facts, "sqnr_db": noise},
    )  # fmt: skip


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
