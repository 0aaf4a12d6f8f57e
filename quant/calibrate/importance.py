"""What a weight's rounding error costs in the network's output.

Rounding changes a layer's weights W (O, K) by e and its outputs before the activation by
``e_o x_p`` at each position p. To first order the logits change by
``d = sum_o sum_p g_op (e_o x_p)``, g_op being their derivatives by output o at p. With v a vector
of independent random signs, E (v . d)^2 = |d|^2, so that one back-propagation of v . logits an
image stands for those of all logits (Hutchinson). Taking the terms of different positions and
outputs as uncorrelated, over images

    E |d|^2 = sum_o s_o e_o H e_o^T,    s_o = E sum_p (d(v . logits) / d a_op)^2,

with H = E (x - mean x)(x - mean x)^T, centred because a constant error is made good in the bias.
Its diagonal gives each weight's own part, s_o H_kk e_ok^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from shiftforge.quant.calibrate.network import activate, pad, walk
from shiftforge.quant.calibrate.rounding import moments
from shiftforge.quant.calibrate.wide import WIDEST, WideInputs, input_diagonal
from shiftforge.quant.capture.evaluate import computed
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.formats.encode import choose_exponent, format_levels, nearest
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["PROBES", "Gains", "Importance", "importance", "sensitivities", "two_term_gains"]

Gains: TypeAlias = NDArray[np.float64]
"""Of every weight, in the shape of the weights."""

PROBES = 4
# Values of all maps that one chunk of images may have: about 1 GB with the gradients.
_VALUES = 1 << 25
# Magnitudes below this are 0 in every format.
_LEAST = 2.0**-110


@dataclass(frozen=True, eq=False)
class Importance:
    """By convolution name. inputs: (groups, K), the diagonal of H. outputs: (O,), s."""

    inputs: Mapping[str, NDArray[np.float64]]
    outputs: Mapping[str, NDArray[np.float64]]


def importance(graph: FloatGraph, images: NDArray[np.float32], probes: int = PROBES) -> Importance:
    """Of all convolutions, from normalised images (N, C, H, W). Deterministic on one thread."""
    inputs: dict[str, NDArray[np.float64]] = {}
    for node, live in walk(graph, images):
        if isinstance(node, FloatConv):
            inputs[node.name] = _input_powers(node, live[node.input]).numpy()
    return Importance(inputs, sensitivities(graph, images, probes))


def _input_powers(node: FloatConv, x: torch.Tensor) -> torch.Tensor:
    """The diagonal of H, (groups, K)."""
    width = node.weight[0].size
    if width > WIDEST:
        return input_diagonal(WideInputs(node, x, x), node.groups, width)
    found = moments(node, x, x)
    return found.hessian.diagonal(dim1=1, dim2=2).clamp(min=0) / found.samples


def sensitivities(
    graph: FloatGraph, images: NDArray[np.float32], probes: int = PROBES
) -> dict[str, NDArray[np.float64]]:
    """s (O,) of every convolution: mean over images and probes of sum_p (d(v . logits)/d a_op)^2.

    images: normalised (N, C, H, W), of which only a chunk is differentiated at a time.
    """
    signs = torch.Generator().manual_seed(0)
    size = 2 * sum(int(np.prod(shape)) for shape in graph.shapes.values())
    chunk = max(1, _VALUES // size)
    total = {
        node.name: torch.zeros(node.weight.shape[0], dtype=torch.float64)
        for node in graph.nodes
        if isinstance(node, FloatConv)
    }
    for first in range(0, len(images), chunk):
        logits, before = _forward(graph, torch.from_numpy(images[first : first + chunk]))
        for probe in range(probes):
            v = torch.randint(0, 2, logits.shape, generator=signs).to(logits.dtype) * 2 - 1
            slopes = torch.autograd.grad(
                (v * logits).sum(),
                list(before.values()),
                retain_graph=probe + 1 < probes,
                allow_unused=True,
            )
            for name, slope in zip(before, slopes, strict=True):
                if slope is not None:
                    total[name] += slope.double().square().sum((0, 2, 3))
    return {name: (own / (probes * len(images))).numpy() for name, own in total.items()}


def _forward(
    graph: FloatGraph, images: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The output, and every convolution's output before its activation, for differentiation."""
    values, before = {graph.input: images}, {}
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            value = functional.conv2d(
                pad(values[node.input], node.padding),
                torch.from_numpy(node.weight),
                torch.from_numpy(node.bias),
                node.stride,
                0,
                node.dilation,
                node.groups,
            )
            before[node.name] = value if value.requires_grad else value.requires_grad_()
            values[node.output] = activate(value, node.activation)
        else:
            values[node.output] = computed(node, values)
    return torch.cat([values[name].flatten(1) for name in graph.outputs], 1), before


def two_term_gains(
    graph: FloatGraph,
    found: Importance,
    bits: int,
    decrease: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, Gains]:
    """By convolution, how much less each weight's part is with two terms: (O, I // groups, kh, kw).

    bits: of a term. Both errors are those of rounding to the nearest level at the scale that is
    best for one term, so that no gain is below 0. decrease: of each row's e H e^T from one term to
    two as the weights are really rounded (``held_out_decrease``); the gains of a row then have that
    sum, and keep their proportions.
    """
    one, two = (format_levels(ShiftFormat(bits, n, "SEL" if n == 2 else "S1")) for n in (1, 2))
    gains = {}
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            weight = np.where(np.abs(node.weight) < _LEAST, 0, node.weight.astype(np.float64))
            z = choose_exponent(weight, one).astype(np.int64)[:, None, None, None]
            scaled = np.ldexp(weight, -z)
            errors = [np.square(np.ldexp(scaled - nearest(scaled, n), z)) for n in (one, two)]
            rows = np.repeat(found.inputs[node.name], len(weight) // node.groups, axis=0)
            each = found.outputs[node.name][:, None] * rows
            gain = (errors[0] - errors[1]) * each.reshape(weight.shape)
            if decrease is not None:
                real = found.outputs[node.name] * np.maximum(decrease[node.name], 0)
                total = gain.sum((1, 2, 3))
                factor = np.divide(real, total, out=np.zeros_like(real), where=total > 0)
                gain *= factor[:, None, None, None]
            gains[node.name] = np.nan_to_num(gain, nan=0.0, posinf=0.0)
    return gains
