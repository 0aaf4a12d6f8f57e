"""Runs a whole integer network with the reference blocks: every tensor of every frame."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Grid,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.sim.golden.conv.add import add
from shiftforge.sim.golden.conv.conv import check_accumulator_width, convolve
from shiftforge.sim.golden.conv.moves import concat, look_up, shuffle, slice_channels, upsample
from shiftforge.sim.golden.conv.pool import pool
from shiftforge.sim.golden.conv.requantise import (
    requantise_multiplier,
    requantise_shift,
    shift_amounts,
)
from shiftforge.sim.golden.conv.windows import average_pool, max_pool

__all__ = ["accumulator_key", "code_type", "run_golden"]

# Elements of the largest tensor that are worked on at once: small enough for the caches.
_CHUNK_ELEMENTS = 1 << 20


def run_golden(
    model: QuantizedModel, codes: NDArray[Any], *, accumulators: bool = False
) -> dict[str, NDArray[Any]]:
    """Return every tensor of the network by name, the input included, exact for every input.

    codes: integer codes of the input tensor, (C, H, W) for one frame or (N, C, H, W) for N; the
    results keep that form. Each tensor has the smallest integer type that holds its grid: widen
    before subtracting two of them.
    accumulators: also return the accumulators of each convolution before requantisation, int64,
    under ``accumulator_key(node)``.
    Raises InputError for codes that do not fit the input tensor or a model that cannot be run,
    CheckFailed where an accumulator leaves its channel's ``acc_bits`` or a shape is not the
    declared one.
    """
    _check_model(model)
    frames = _check_codes(model, codes)
    single = codes.ndim == 3
    results = {
        name: np.empty((len(frames), *model.tensors[name].shape), code_type(tensor.grid))
        for name, tensor in _ordered_tensors(model)
    }
    kept: dict[str, list[NDArray[np.int64]]] = {}
    largest = max(int(np.prod(tensor.shape)) for _, tensor in _ordered_tensors(model))
    step = max(1, _CHUNK_ELEMENTS // largest)
    for start in range(0, len(frames), step):
        chunk = slice(start, start + step)
        results[model.input][chunk] = frames[chunk]
        for node in model.nodes:
            inputs = [results[name][chunk] for name in node.inputs]
            y = _run_node(model, node, inputs, kept if accumulators else None)
            expected = model.tensors[node.output].shape
            if y.shape[1:] != expected:
                raise CheckFailed(
                    f"{node.name} ({node.source}): computes {y.shape[1:]}, its output tensor "
                    f"{node.output!r} declares {expected}"
                )
            results[node.output][chunk] = y
    results.update({key: np.concatenate(parts) for key, parts in kept.items()})
    return {name: array[0] for name, array in results.items()} if single else results


def accumulator_key(node: Conv) -> str:
    """Name under which ``run_golden`` returns the accumulators of a convolution."""
    return f"{node.name}.acc"


def code_type(grid: Grid) -> np.dtype[Any]:
    """Smallest integer type that holds every code of a grid."""
    width = 8 if grid.bits <= 8 else 16 if grid.bits <= 16 else 32
    return np.dtype(f"{'int' if grid.signed else 'uint'}{width}")


def _run_node(
    model: QuantizedModel,
    node: Node,
    inputs: list[NDArray[Any]],
    kept: dict[str, list[NDArray[np.int64]]] | None,
) -> NDArray[np.int64]:
    out = model.tensors[node.output].grid
    exponents = [model.tensors[name].grid.exponent for name in node.inputs]
    match node:
        case Conv():
            acc = convolve(node, inputs[0])
            check_accumulator_width(node, acc)
            if kept is not None:
                kept.setdefault(accumulator_key(node), []).append(acc)
            if node.multiplier is not None and node.shift is not None:
                return requantise_multiplier(acc, node.multiplier, node.shift, node.lo, node.hi)
            right = shift_amounts(node.z, exponents[0], out.exponent)
            return requantise_shift(acc, right, node.lo, node.hi)
        case Add():
            grid_exponents = (exponents[0], exponents[1], out.exponent)
            return add(inputs[0], inputs[1], grid_exponents, node.lo, node.hi)
        case Pool():
            return pool(inputs[0], node.multiplier, node.shift, node.lo, node.hi)
        case MaxPool():
            return max_pool(node, inputs[0])
        case AveragePool():
            return average_pool(node, inputs[0])
        case Concat():
            return concat(inputs, exponents, out)
        case Slice():
            return slice_channels(node, inputs[0])
        case Shuffle():
            return shuffle(node, inputs[0])
        case Table():
            return look_up(node, inputs[0], model.tensors[node.input].grid)
        case Upsample():
            return upsample(node, inputs[0])
        case _:
            assert_never(node)


def _ordered_tensors(model: QuantizedModel) -> list[tuple[str, Any]]:
    names = [model.input, *(node.output for node in model.nodes)]
    return [(name, model.tensors[name]) for name in names]


def _check_model(model: QuantizedModel) -> None:
    """Refuse what this module would otherwise run wrongly; the graph's verifier checks the rest."""
    problems = []
    known = {model.input}
    for node in model.nodes:
        where = f"{node.name} ({node.source})"
        for name in node.inputs:
            if name not in known:
                problems.append(Problem(f"reads {name!r} before it exists", "reorder", where))
        if node.output in known:
            problems.append(Problem(f"writes {node.output!r} twice", "rename it", where))
        known.add(node.output)
        grid = model.tensors[node.output].grid if node.output in model.tensors else None
        if grid is None:
            problems.append(Problem(f"writes the unknown tensor {node.output!r}", "add it", where))
        elif isinstance(node, Conv | Add | Pool | AveragePool) and not (
            grid.qmin <= node.lo <= node.hi <= grid.qmax
        ):
            problems.append(
                Problem(
                    f"clamps to [{node.lo}, {node.hi}], outside its grid "
                    f"[{grid.qmin}, {grid.qmax}]",
                    "narrow the clamp",
                    where,
                )
            )
        if isinstance(node, Conv) and (node.multiplier is None) != (node.shift is None):
            problems.append(Problem("has a multiplier or a shift alone", "set both", where))
    if problems:
        raise InputError(problems)


def _check_codes(model: QuantizedModel, codes: NDArray[Any]) -> NDArray[Any]:
    tensor = model.tensors[model.input]
    where = f"input {model.input!r}"
    if not np.issubdtype(codes.dtype, np.integer):
        raise InputError(Problem(f"{codes.dtype} values", "give integer codes", where))
    if codes.ndim not in (3, 4) or codes.shape[-3:] != tensor.shape or not codes.size:
        raise InputError(
            Problem(
                f"codes of shape {codes.shape}",
                f"give {tensor.shape}, or (N, *{tensor.shape}) with N >= 1",
                where,
            )
        )
    low, high = int(codes.min()), int(codes.max())
    if low < tensor.grid.qmin or high > tensor.grid.qmax:
        raise InputError(
            Problem(
                f"codes span [{low}, {high}]",
                f"keep them inside [{tensor.grid.qmin}, {tensor.grid.qmax}]",
                where,
            )
        )
    return codes[None] if codes.ndim == 3 else codes
