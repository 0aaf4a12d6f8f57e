"""Cross-layer equalisation: a tensor's channel ranges are evened out before it gets its grid.

Every channel c of a tensor is multiplied by k[c], its producers' weights and biases with it, and
the weights that read it are divided by k[c]: the function stays the same wherever the activation
between them commutes with the factor. That holds exactly for "none" and "relu" with any k > 0. It
does not hold for relu6, whose clip would have to stand at 6 * k[c] in each channel while the
integer graph has one clamp a tensor. There the factor is taken in mode "calibrated" only:
1 <= k[c] and k[c] * max[c] <= 6, so that the clip acts on no value that the calibration images
produced; other images may saturate below 6.

k[c] = (max over channels / max[c]) ** strength, at most LIMIT. Tensors joined by residual
additions, and a pool's input and output, are scaled alike. Those that a table reads or makes, which
commutes with no factor, and those whose channels are joined, cut or shuffled stay as they are.
Weight scales being per output channel, a depthwise layer's weights gain nothing from this; the
per-tensor activation grids do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.capture.types import (
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    activation_of,
)
from shiftforge.quant.quantisation import Equalisation

__all__ = ["Equalisation", "channel_maxima", "equalise"]

LIMIT = 8.0


def channel_maxima(
    graph: FloatGraph, images: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Largest magnitude of each channel of each node's output; normalised images (N, C, H, W)."""
    return {
        node.output: live[node.output].abs().amax((0, 2, 3)).double().numpy()
        for node, live in walk(graph, images)
    }


_Fixed: TypeAlias = FloatConcat | FloatShuffle | FloatSlice | FloatTable


def _groups(graph: FloatGraph) -> list[set[str]]:
    """Tensors whose channels must be scaled alike: across all but convolutions."""
    groups: list[set[str]] = []
    for node in graph.nodes:
        tied = {node.output}
        if not isinstance(node, FloatConv):
            tied |= set(node.inputs)
        joined = [g for g in groups if g & tied]
        groups = [g for g in groups if not g & tied] + [tied.union(*joined)]
    return groups


def _factors(
    graph: FloatGraph,
    group: set[str],
    maxima: Mapping[str, NDArray[np.float64]],
    mode: Equalisation,
    strength: float,
    held: frozenset[str],
) -> NDArray[np.float64] | None:
    """Factors of one group's channels, or None where it must stay as it is."""
    inside = [node for node in graph.nodes if node.output in group]
    fixed = any(isinstance(n, _Fixed) and group & {*n.inputs, n.output} for n in graph.nodes)
    if fixed or group & {graph.input, *graph.outputs, *held}:
        return None
    kinds = {activation_of(node) for node in inside}
    if "relu6" in kinds and mode != "calibrated":
        return None
    peak = np.max([maxima[name] for name in group], axis=0)
    top = float(peak.max())
    if top == 0 or not np.isfinite(top):  # calibrate_grids names the layer that overflows
        return None
    factors = (top / np.maximum(peak, top / LIMIT)) ** strength
    return np.asarray(np.minimum(factors, top / np.maximum(peak, top / LIMIT)), dtype=np.float64)


def equalise(
    graph: FloatGraph,
    images: NDArray[np.float32],
    *,
    mode: Equalisation = "exact",
    strength: float = 0.5,
    held: frozenset[str] = frozenset(),
) -> FloatGraph:
    """The same network with evened channel ranges; see the module for what is exact.

    images: normalised floats (N, C, H, W). strength: 0 leaves the ranges, 1 makes all equal (within
    LIMIT). held: tensors that stay as they are. Raises InputError for an unknown mode or a strength
    outside [0, 1].
    """
    problems = Problems()
    if mode not in ("off", "exact", "calibrated"):
        problems.append(Problem(f"unknown equalisation {mode!r}", "use off, exact or calibrated"))
    if not 0 <= strength <= 1:
        problems.append(Problem(f"equalisation strength {strength}", "use 0 to 1"))
    problems.stop()
    if mode == "off":
        return graph
    maxima = channel_maxima(graph, images)
    scale: dict[str, NDArray[np.float64]] = {}
    for group in _groups(graph):
        factors = _factors(graph, group, maxima, mode, strength, held)
        if factors is not None:
            scale.update(dict.fromkeys(group, factors))
    nodes = [_rescaled(n, scale) if isinstance(n, FloatConv) else n for n in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def _rescaled(node: FloatConv, scale: Mapping[str, NDArray[np.float64]]) -> FloatConv:
    weight, bias = node.weight.astype(np.float64), node.bias.astype(np.float64)
    if node.output in scale:
        weight = weight * scale[node.output][:, None, None, None]
        bias = bias * scale[node.output]
    if node.input in scale:
        # Output channel o of group g reads input channels g * (I/g) ... (g + 1) * (I/g) - 1.
        reads = (scale[node.input]).reshape(node.groups, -1)
        each = np.repeat(reads, weight.shape[0] // node.groups, axis=0)
        weight = weight / each[:, :, None, None]
    return replace(node, weight=weight.astype(np.float32), bias=bias.astype(np.float32), rest=None)
