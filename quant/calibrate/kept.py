"""Which scales of a quantised source stay: grids of maps, and weights as whole numbers.

A grid stays where all that shares a grid with it (``grid_groups.py``) has the same or none, and it
has no more bits than activations may have. Weights stay where their whole numbers are levels of the
layer's format. A result that leaves in 32 bits has no grid to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.calibrate.convert import exponent_floor
from shiftforge.quant.calibrate.grid_groups import residual_groups
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import Grid, WeightFormat

__all__ = ["KEPT_NOTHING", "Kept", "kept_scales", "told"]

_LINES, _NAMES = 8, 6


@dataclass(frozen=True, eq=False)
class Kept:
    """grids: by tensor. weights: (w_int, z) by convolution. changed: what has new ones, by tensor
    or convolution, with the reason. tensors: those whose channels nothing may scale.
    """

    grids: Mapping[str, Grid] = field(default_factory=dict)
    weights: Mapping[str, tuple[NDArray[np.int8], NDArray[np.int8]]] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    tensors: frozenset[str] = frozenset()

    def facts(self) -> dict[str, Any]:
        """For the model's own record."""
        return {
            "maps": {name: grid.exponent for name, grid in self.grids.items()},
            "weights": list(self.weights),
            "requantised": dict(self.changed),
        }


KEPT_NOTHING = Kept()


def told(facts: Mapping[str, Any]) -> list[str]:
    """Lines for the user on what ``Kept.facts`` says."""
    lines = [
        f"stored scales: those of {len(facts['maps'])} maps and the integer weights of "
        f"{len(facts['weights'])} layers are kept"
    ]
    reasons: dict[str, list[str]] = {}
    for name, why in facts["requantised"].items():
        reasons.setdefault(why, []).append(name)
    for why, names in list(reasons.items())[:_LINES]:
        more = f" and {len(names) - _NAMES} others" if len(names) > _NAMES else ""
        lines.append(f"requantised: {', '.join(names[:_NAMES])}{more}: {why}")
    if len(reasons) > _LINES:
        rest = sum(map(len, list(reasons.values())[_LINES:]))
        lines.append(f"requantised: {rest} more (--json lists them all)")
    return lines


def kept_scales(graph: FloatGraph, formats: Mapping[str, WeightFormat], bits: int) -> Kept:
    """What of ``graph.stored`` stays.

    formats: of weights by convolution, none where they are chosen later; bits: of activations at
    most.
    """
    stored = graph.stored
    if not stored:
        return KEPT_NOTHING
    grids, changed = dict[str, Grid](), dict(stored.left)
    wide = graph.wide_outputs()
    for group in residual_groups(graph, additions=False):
        given = {stored.grids[name] for name in group if name in stored.grids and name not in wide}
        why = ""
        if len(given) > 1:
            why = "it shares a grid with maps that are stored on others"
        elif any(grid.bits > bits for grid in given):
            why = f"its grid has more than {bits} bits"
        for name in group:
            if why and name in stored.grids:
                changed[name] = why
            elif given and not why:
                grids[name] = next(iter(given))
    weights = {}
    for node in graph.nodes:
        if not isinstance(node, FloatConv):
            continue
        z = stored.exponents.get(node.name)
        if z is None:
            changed.setdefault(node.name, "its weights are not stored as whole numbers of a scale")
            continue
        if node.name not in formats:
            changed[node.name] = "its terms are chosen weight by weight"
            continue
        codes = np.rint(np.ldexp(node.weight.astype(np.float64), -z[:, None, None, None]))
        if not np.isin(codes, format_levels(formats[node.name])).all():
            changed[node.name] = "its integer weights are no levels of the chosen format"
        elif (
            node.input in grids
            and (z < exponent_floor(node.bias, grids[node.input], grids.get(node.output))).any()
        ):
            changed[node.name] = "its weights' scales are too small beside its bias or result"
        else:
            weights[node.name] = codes.astype(np.int8), z.astype(np.int8)
    held = {*grids, *(graph.input,)}
    for node in graph.nodes:
        if node.name in weights:
            held |= {*node.inputs, node.output}
    return Kept(grids, weights, changed, frozenset(held))
