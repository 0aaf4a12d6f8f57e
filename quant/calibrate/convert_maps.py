"""What pools, moves and looks up maps, from the float graph to the integer one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.function import Function, text
from shiftforge.quant.capture.function_values import values
from shiftforge.quant.capture.map_nodes import map_node
from shiftforge.quant.capture.types import FloatAveragePool, FloatMap, FloatTable
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import Grid
from shiftforge.quant.graph.verify_maps import MapNode
from shiftforge.quant.graph.windows import distinct_counts

__all__ = ["convert_map", "table_codes"]


def convert_map(
    node: FloatMap, shapes: Mapping[str, tuple[int, int, int]], grids: Mapping[str, Grid]
) -> MapNode:
    """The integer node. shapes, grids: of all tensors. Raises InputError where there is none."""
    target = grids[node.output]

    def constants(pool: FloatAveragePool) -> tuple[tuple[int, int, int], ...]:
        return _constants(pool, shapes[pool.input], grids[pool.input], target)

    def entries(table: FloatTable) -> tuple[int, ...]:
        place = f"{table.name} ({table.source})"
        return table_codes(table.function, grids[table.input], target, place)

    return map_node(node, target, constants, entries)


def _constants(
    node: FloatAveragePool, shape: tuple[int, int, int], source: Grid, target: Grid
) -> tuple[tuple[int, int, int], ...]:
    try:
        return tuple(
            (count, *pool_constant(count, source, target))
            for count in distinct_counts(node, *shape[1:])
        )
    except InputError as error:
        raise InputError(Problem(p.what, p.remedy, node.name) for p in error.problems) from error


def table_codes(function: Function, source: Grid, target: Grid, place: str) -> tuple[int, ...]:
    """``clamp(rhe(f(x * 2**source.exponent) / 2**target.exponent))`` of every code x, ascending.

    Computed in float64; infinite values saturate. Raises InputError where f has no value.
    """
    x = torch.arange(source.qmin, source.qmax + 1, dtype=torch.float64)
    found = values(function, torch.ldexp(x, torch.tensor(source.exponent))).numpy()
    missing = np.flatnonzero(np.isnan(found))
    if missing.size:
        at = float(np.ldexp(float(x[int(missing[0])]), source.exponent))
        what = f"{text(function)} has no value at {at:g}, which the map before it may hold"
        raise InputError(Problem(what, "clip the map before it, or write another function", place))
    with np.errstate(over="ignore"):
        scaled = np.rint(np.ldexp(found, -target.exponent))
    return tuple(int(code) for code in np.clip(scaled, target.qmin, target.qmax))
