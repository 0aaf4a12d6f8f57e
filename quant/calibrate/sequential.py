"""Weights rounded layer by layer, each layer seeing what those before it really give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.calibrate.bias import bias_shift
from shiftforge.quant.calibrate.convert import exponent_floor
from shiftforge.quant.calibrate.network import activate, preactivation, run_node
from shiftforge.quant.calibrate.rounding import Moments, compensate, moments, retarget
from shiftforge.quant.calibrate.wide import WIDEST, WideInputs, round_wide
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.formats.encode import choose_exponent, encode, format_levels
from shiftforge.quant.graph.types import Grid, ShiftFormat, WeightFormat
from shiftforge.quant.quantisation import Rounding

__all__ = [
    "Options",
    "Progress",
    "Rounded",
    "Rounding",
    "round_network",
    "round_weights",
    "seen_inputs",
]

Progress: TypeAlias = Callable[[str, int, int], None]


_LEAST = 2.0**-110
# Weights whose exponents are chosen at once: several float64 copies of these are held.
_VALUES = 1 << 24


@dataclass(frozen=True)
class Options:
    """How weights are rounded.

    asymmetric: aim at the float network's outputs from the quantised inputs (ridge regression)
    rather than at the float weights. span: weight exponents tried around the one of least plain
    error. sweeps: of coordinate descent after the compensating pass.
    """

    rounding: Rounding = "compensated"
    bias_correction: bool = True
    asymmetric: bool = True
    damping: float = 0.01
    target_damping: float = 1.0
    span: tuple[int, int] = (-1, 1)
    sweeps: int = 2


@dataclass(frozen=True, eq=False)
class Rounded:
    """Integer weights and exponents, corrected biases (float64) and dB per convolution."""

    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.int8]]]
    biases: dict[str, NDArray[np.float64]]
    sqnr: dict[str, float]


def on_grid(x: torch.Tensor, grid: Grid | None) -> torch.Tensor:
    """Real values rounded half to even onto a grid and saturated; unchanged where there is none."""
    if grid is None:
        return x
    step = 2.0**grid.exponent
    return (x / step).round_().clamp_(grid.qmin, grid.qmax).mul_(step)


def sqnr_db(wanted: torch.Tensor, given: torch.Tensor) -> float:
    """10 log10 of signal over error power; at most 200 dB, -200 where there is no signal."""
    power = float(torch.linalg.vector_norm(wanted))
    error = float(torch.linalg.vector_norm(wanted - given))
    if not 1e-15 < power < 1e15:  # squares beyond float32
        power = float(torch.linalg.vector_norm(wanted, dtype=torch.float64))
        error = float(torch.linalg.vector_norm(wanted - given, dtype=torch.float64))
    if power == 0:
        return -200.0
    return min(200.0, 20 * float(np.log10(power / error))) if error > 0 else 200.0


def seen_inputs(
    node: FloatConv, floats: torch.Tensor, quantised: torch.Tensor
) -> Moments | WideInputs:
    """What compensated rounding needs of a convolution's inputs (N, C, H, W) in both networks."""
    if node.weight[0].size > WIDEST:
        return WideInputs(node, floats, quantised)
    return moments(node, floats, quantised)


def round_weights(
    node: FloatConv,
    found: Moments | WideInputs | None,
    fmt: WeightFormat,
    options: Options,
    allowed: NDArray[np.bool_] | None = None,
    floor: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(w_int, z) of one convolution.

    found: of ``seen_inputs``, for compensated rounding. allowed: the weights that may have two
    terms where not all of them may. floor: (O,), the smallest exponents allowed.
    """
    levels = format_levels(fmt)
    single = replace(fmt, terms=1, mode="S1") if isinstance(fmt, ShiftFormat) else fmt
    few = format_levels(single)
    # No exponent of a format reaches weights this small: they become 0 whatever is done.
    least = np.full(len(node.weight), -128, dtype=np.int64) if floor is None else floor
    rows = max(1, _VALUES // node.weight[0].size)
    parts = [slice(k, k + rows) for k in range(0, len(node.weight), rows)]
    found_z = [
        choose_exponent(
            np.where(np.abs(node.weight[part]) < _LEAST, np.float32(0), node.weight[part]),
            levels, few, None if allowed is None else allowed[part],
        )
        for part in parts
    ]  # fmt: skip
    z = np.maximum(np.concatenate(found_z), least).astype(np.int8)
    if options.rounding != "compensated" or found is None:
        how: Literal["nearest", "log"] = "log" if options.rounding == "log" else "nearest"
        plain = encode(node.weight, z, fmt, how)
        if allowed is not None:
            plain = np.where(allowed, plain, encode(node.weight, z, single, how))
        return plain, z
    out = node.weight.shape[0]
    shape = (node.groups, out // node.groups)
    low, high = options.span
    exponents = torch.from_numpy(z.astype(np.int64)).reshape(shape)
    bound = torch.from_numpy(least).reshape(shape)
    candidates = torch.stack(
        [torch.maximum(exponents + step, bound) for step in range(high, low - 1, -1)]
    )
    scales = torch.ldexp(torch.ones(candidates.shape, dtype=torch.float64), candidates)
    marks = None if allowed is None else torch.from_numpy(allowed).reshape(*shape, -1)
    if isinstance(found, WideInputs):
        rounded, choice = round_wide(
            found, torch.from_numpy(node.weight).reshape(*shape, -1), scales, _magnitudes(levels),
            coarse=_magnitudes(few), allowed=marks, asymmetric=options.asymmetric,
            damping=(options.damping, options.target_damping), sweeps=options.sweeps,
        )  # fmt: skip
        return _taken(node, rounded, candidates, choice)
    weight = torch.from_numpy(node.weight.astype(np.float64)).reshape(*shape, -1)
    if options.asymmetric:
        weight = retarget(weight, found, options.target_damping)
    # A network that was pruned stays so: words of zeros take no cycle.
    pruned = torch.from_numpy(node.weight == 0).reshape(*shape, -1)
    rounded, choice = compensate(
        weight, found.hessian, scales, _magnitudes(levels), coarse=_magnitudes(few), allowed=marks,
        zero=pruned, damping=options.damping, sweeps=options.sweeps,
    )  # fmt: skip
    return _taken(node, rounded, candidates, choice)


def _taken(
    node: FloatConv, rounded: torch.Tensor, candidates: torch.Tensor, choice: torch.Tensor
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(w_int, z) of rounded levels and the chosen exponents."""
    chosen = candidates.gather(0, choice.unsqueeze(0)).reshape(len(node.weight))
    w_int = rounded.reshape(node.weight.shape).numpy().astype(np.int8)
    return w_int, chosen.numpy().astype(np.int8)


def _magnitudes(levels: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(levels[levels >= 0].astype(np.float64))


def _floor(node: FloatConv, grids: Mapping[str, Grid]) -> NDArray[np.int64]:
    """Smallest weight exponents that the integer graph can hold; no limit without an input grid."""
    if node.input not in grids:
        return np.full(node.weight.shape[0], -128, dtype=np.int64)
    return exponent_floor(node.bias, grids[node.input], grids.get(node.output))


def round_network(
    graph: FloatGraph,
    images: NDArray[np.float32],
    formats: Mapping[str, WeightFormat],
    grids: Mapping[str, Grid] | None,
    options: Options | None = None,
    progress: Progress | None = None,
    allowed: Mapping[str, NDArray[np.bool_]] | None = None,
    kept: Mapping[str, tuple[NDArray[np.int8], NDArray[np.int8]]] | None = None,
) -> Rounded:
    """Round all weights onto their formats' levels, walking the float and the quantised network.

    images: normalised floats (N, C, H, W). formats: by convolution name. grids: of the activations,
    by tensor name, a tensor without one staying float; None quantises the weights alone.
    allowed: by convolution name, which of the weights of a format of two terms may have two; all
    of them where there is none. kept: (w_int, z) by convolution that are not rounded again; their
    biases stay, too.
    Deterministic: the same input gives the same weights.
    """
    chosen = options or Options()
    by_tensor, masks = grids or {}, allowed or {}
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    floats = {graph.input: torch.from_numpy(images)}
    quantised = {graph.input: on_grid(floats[graph.input], by_tensor.get(graph.input))}
    result = Rounded({}, {}, {})
    with torch.no_grad():
        for done, node in enumerate(graph.nodes):
            grid = by_tensor.get(node.output)
            if isinstance(node, FloatConv):
                xf, xq = floats[node.input], quantised[node.input]
                own = (kept or {}).get(node.name)
                if own is None:
                    floor = _floor(node, by_tensor)
                    seen = seen_inputs(node, xf, xq) if chosen.rounding == "compensated" else None
                    mask = masks.get(node.name)
                    w_int, z = round_weights(node, seen, formats[node.name], chosen, mask, floor)
                else:
                    w_int, z = own
                real = np.ldexp(w_int.astype(np.float32), z.astype(np.int64)[:, None, None, None])
                bias = torch.from_numpy(node.bias)
                wanted = preactivation(node, xf, torch.from_numpy(node.weight), bias)
                given = preactivation(node, xq, torch.from_numpy(real), bias)
                shift = bias_shift(wanted, given)
                if chosen.bias_correction and own is None:
                    given += shift.float()[:, None, None]
                    result.biases[node.name] = node.bias.astype(np.float64) + shift.numpy()
                else:
                    result.biases[node.name] = node.bias.astype(np.float64)
                result.weights[node.name] = (w_int, z)
                floats[node.output] = activate(wanted, node.activation)
                quantised[node.output] = on_grid(activate(given, node.activation), grid)
            else:
                floats[node.output] = run_node(node, floats)
                quantised[node.output] = on_grid(run_node(node, quantised), grid)
            result.sqnr[node.name] = sqnr_db(floats[node.output], quantised[node.output])
            for name in node.inputs:
                readers[name] -= 1
                if readers[name] == 0:
                    del floats[name], quantised[name]
            if progress is not None:
                progress("rounding weights", done + 1, len(graph.nodes))
    return result
