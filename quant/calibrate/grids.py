"""Activation grids: a power-of-two step for every tensor, from a calibration run in float.

Tensors are unsigned after relu and relu6 and signed elsewhere. The tensors that a residual addition
joins share one exponent, so that the addition needs no shift; each keeps its own signedness.
``grid_groups.py`` has what else shares a grid, an exponent or a sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.calibrate.grid_groups import grid_classes, residual_groups, signedness
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Grid, Preprocess
from shiftforge.quant.graph.verify import MAX_EXPONENT
from shiftforge.quant.quantisation import Method

__all__ = ["METHODS", "Method", "calibrate_grids", "input_grid", "residual_groups", "signedness"]

METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")

# Exponents tried below the one that covers the whole range; each halves the range.
_FINER = 5
# Share of the values that "percentile" keeps inside the range.
_PERCENTILE = 0.9999
# Values of a tensor that the error is measured on, at an even stride.
_SAMPLE = 1 << 20


@dataclass(frozen=True, eq=False)
class _Seen:
    """What calibration saw of one tensor: covering exponents, and the error of each finer one."""

    cover: int
    quantile: int
    errors: NDArray[np.float64]


def input_grid(preprocess: Preprocess, bits: int = 8) -> Grid:
    """Signed grid of the normalised input: the finest step that loses at most its own top code.

    ``max |v| <= (qmax + 1) * step`` over v = (p/255 - mean)/std, p in 0..255: with mean and std 0.5
    the step is 2^-7 and only +1.0 saturates, at 127/128.
    """
    ends = [
        abs((pixel - mean) / std)
        for mean, std in zip(preprocess.mean, preprocess.std, strict=True)
        for pixel in (0.0, 1.0)
    ]
    return Grid(bits, True, math.ceil(math.log2(max(ends) / (1 << (bits - 1)))))


def _cover(peak: float, bits: int, signed: bool) -> int:
    """Smallest exponent whose largest code, rounding included, reaches the peak."""
    top = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    return math.ceil(math.log2(peak / (top + 0.5))) if peak > 0 else -bits


def _observe(value: torch.Tensor, bits: int, signed: bool, method: Method) -> _Seen:
    peak = float(value.abs().max())
    flat = value.flatten()
    sample = flat[:: max(1, flat.numel() // _SAMPLE)].double()
    cover = _cover(peak, bits, signed)
    quantile = cover
    if method == "percentile":
        # torch.quantile refuses large inputs; a sort of the sample is exact.
        rank = min(sample.numel() - 1, int(_PERCENTILE * sample.numel()))
        quantile = _cover(float(sample.abs().sort().values[rank]), bits, signed)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    errors = []
    for exponent in range(cover, cover - _FINER - 1, -1):
        step = 2.0**exponent
        rounded = torch.round(sample / step).clamp(low, high) * step
        errors.append(float((rounded - sample).square().mean()))
    return _Seen(cover, quantile, np.array(errors))


def _exponent(seen: list[_Seen], method: Method) -> int:
    """One exponent for a group of tensors."""
    top = max(s.cover for s in seen)
    if method == "minmax":
        return top
    if method == "percentile":
        return max(s.quantile for s in seen)
    total = {}
    for exponent in range(top, top - _FINER - 1, -1):
        error = 0.0
        for s in seen:
            index = s.cover - exponent
            # Coarser than needed for this tensor: uniform rounding noise, step^2 / 12.
            error += s.errors[index] if index >= 0 else 4.0**exponent / 12
        total[exponent] = error
    return min(total, key=lambda e: (total[e], -e))


def _refuse_out_of_range(graph: FloatGraph, grids: Mapping[str, Grid]) -> None:
    """InputError naming every layer whose values vanish or explode beyond any grid."""
    problems = Problems()
    for node in graph.nodes:
        grid = grids.get(node.output)
        if grid is not None and abs(grid.exponent) > MAX_EXPONENT:
            size = "small" if grid.exponent < 0 else "large"
            problems.append(
                Problem(
                    f"its values are too {size} for any grid: exponent {grid.exponent} beyond "
                    f"+-{MAX_EXPONENT}",
                    "are these trained weights? calibrate batch norm or load a checkpoint",
                    f"{node.name} ({node.source})",
                )
            )
    problems.stop()


def calibrate_grids(
    graph: FloatGraph,
    images: NDArray[np.float32],
    *,
    bits: int = 8,
    method: Method = "mse",
    share_residual: bool = True,
    overrides: Mapping[str, Grid] | None = None,
) -> dict[str, Grid]:
    """Grids of all tensors but a classifier's output, which the weight exponents determine.

    images: normalised floats (N, C, H, W). bits: 2..8 of every tensor. method: "minmax" covers all
    that was seen; "percentile" covers 99.99 % of the magnitudes; "mse" takes the least squared
    error. At 8 bits a relu6 tensor that reaches 6 may get the step 2^-5, where 6 is code 192, or a
    finer one that saturates lower. The input's grid follows from the preprocessing.
    overrides: grids by tensor, in place of those found; a class of tensors on one grid takes what
    is given for its members, nothing where these differ.
    Raises InputError for bits or method out of range, and where the float network itself gives NaN
    or infinity or values so small or large that no grid holds them (the layers are named).
    """
    problems = Problems()
    if not 2 <= bits <= 8:
        problems.append(Problem(f"activations of {bits} bits", "use 2 to 8 bits"))
    if method not in METHODS:
        problems.append(Problem(f"unknown method {method!r}", "use one of " + ", ".join(METHODS)))
    problems.stop()
    signed = signedness(graph)
    seen: dict[str, _Seen] = {}
    for node, live in walk(graph, images):
        value = live[node.output]
        if not bool(torch.isfinite(value).all()):
            raise InputError(
                Problem(
                    "the float network gives NaN or infinity here",
                    "check the weights and the normalisation of the images",
                    node.source,
                )
            )
        seen[node.output] = _observe(value, bits, signed[node.output], method)
    skip = graph.wide_outputs()
    image, *groups = residual_groups(graph, additions=share_residual)
    grids: dict[str, Grid] = dict.fromkeys(image, input_grid(graph.preprocess))
    for group in groups:
        members = [name for name in group if name in seen and name not in skip]
        if not members:
            continue
        exponent = _exponent([seen[name] for name in members], method)
        for name in members:
            grids[name] = Grid(bits, signed[name], exponent)
    _refuse_out_of_range(graph, grids)
    for own in grid_classes(graph):
        given = {overrides[name] for name in own if name in overrides} if overrides else set()
        if len(given) == 1:
            grids.update(dict.fromkeys(own, given.pop()))
    return grids
