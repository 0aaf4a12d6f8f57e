"""From a prepared model to the folded network: batch norm goes into the convolutions first, then
weights are quantised again, and every tensor gets its integer grid.

What comes out computes the integer graph itself (`QuantNetwork`, exact); it may be trained further
by the same loop, and `convert` writes it down without a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.convert import exponent_floor
from shiftforge.quant.calibrate.grids import calibrate_grids, signedness
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Grid, Preprocess
from shiftforge.quant.schemes.base import ActivationQuantiser, Site
from shiftforge.quant.schemes.folded import ParametrisedWeight
from shiftforge.quant.schemes.levels import ScaledIntegers
from shiftforge.quant.schemes.network import QuantNetwork
from shiftforge.quant.schemes.prepare import INPUT_QUANTISER, strip
from shiftforge.quant.schemes.training import sites

__all__ = ["fold"]


def _learned_grids(model: nn.Module, graph: FloatGraph) -> dict[str, Grid]:
    """Grids of tensors whose readers all learned the same power-of-two step."""
    signed = signedness(graph)
    wanted: dict[str, set[Grid | str]] = {}
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            inputs = getattr(model.get_submodule(node.source), INPUT_QUANTISER, None)
            grid = inputs.grid() if isinstance(inputs, ActivationQuantiser) else "float"
            wanted.setdefault(node.input, set()).add(grid)
    found = {}
    for name, grids in wanted.items():
        grid = next(iter(grids))
        if len(grids) == 1 and isinstance(grid, Grid) and grid.signed == signed[name]:
            found[name] = grid
    return found


def _quantised(node: FloatConv, trained: Site, grids: Mapping[str, Grid]) -> ParametrisedWeight:
    weight = torch.from_numpy(np.array(node.weight, dtype=np.float32))
    quantiser = trained.quantiser.scheme.weight_quantiser(weight, node.name)
    if isinstance(quantiser, ScaledIntegers):
        floor = exponent_floor(node.bias, grids[node.input], grids.get(node.output))
        least = np.ldexp(np.ones(len(floor), np.float32), floor)
        quantiser.limit_scale(torch.from_numpy(least))
    quantiser.follow(trained.quantiser, weight)
    return ParametrisedWeight(weight, quantiser)


def fold(
    model: nn.Module,
    preprocess: Preprocess,
    images: NDArray[np.generic],
    *,
    name: str = "network",
    labels: Sequence[str] = (),
    activation_bits: int = 8,
) -> QuantNetwork:
    """The folded network of a prepared model, on the CPU; the model is left as it is.

    images: for calibration, values 0..255, (N, height, width, channels). Grids are those that the
    activation quantisers learned where a tensor's readers agree on a power of two, and of least
    squared error at activation_bits elsewhere. Each layer's scheme begins anew from the folded
    weights with what its quantiser learned (thresholds and such).
    Raises InputError for operators that cannot be mapped, layers left float (the integer graph has
    none), and images that do not fit preprocess.
    """
    own = sites(model)
    shape = (preprocess.channels, preprocess.height, preprocess.width)
    plain = strip(model).cpu().eval()
    graph = capture(plain, shape, preprocess, name, labels)
    bare = [n for n in graph.nodes if isinstance(n, FloatConv) and n.source not in own]
    if bare:
        raise InputError(
            [
                Problem(
                    "the layer is float, the integer graph has no float layers",
                    'prepare it with a scheme, the first and last layers with "wide"',
                    node.source,
                )
                for node in bare
            ]
        )
    found = calibrate_grids(
        graph,
        normalise(images, preprocess),
        bits=activation_bits,
        overrides=_learned_grids(model, graph),
    )
    quantisers = {
        node.name: _quantised(node, own[node.source], found)
        for node in graph.nodes
        if isinstance(node, FloatConv)
    }
    return QuantNetwork(graph, found, quantisers, {}, exact=True)
