"""Pools, moves and tables of a network that is not calibrated yet: dry nodes, and their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from shiftforge.quant.capture.function import text
from shiftforge.quant.capture.map_nodes import map_node
from shiftforge.quant.capture.types import (
    FloatAveragePool,
    FloatConcat,
    FloatMap,
    FloatMaxPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import Tensor
from shiftforge.quant.graph.verify_maps import MapNode
from shiftforge.quant.graph.windows import distinct_counts

__all__ = ["dry_map", "map_words"]


def dry_map(node: FloatMap, tensors: Mapping[str, Tensor]) -> MapNode:
    """The integer node of any values: constants between the tensors' grids, entries of 0."""

    def constants(pool: FloatAveragePool) -> tuple[tuple[int, int, int], ...]:
        x = tensors[pool.input]
        out = tensors[pool.output]
        counts = distinct_counts(pool, x.height, x.width)
        return tuple((n, *pool_constant(n, x.grid, out.grid)) for n in counts)

    def entries(table: FloatTable) -> tuple[int, ...]:
        return (0,) * (1 << tensors[table.input].grid.bits)

    return map_node(node, tensors[node.output].grid, constants, entries)


def map_words(node: FloatMap) -> str:
    """The operator in a few words, for the table of ``check``."""
    match node:
        case FloatMaxPool():
            return f"maximum {_sizes(node.kernel)}, stride {_sizes(node.stride)}"
        case FloatAveragePool():
            return f"average {_sizes(node.kernel)}, stride {_sizes(node.stride)}"
        case FloatConcat():
            return f"concat of {len(node.inputs)}"
        case FloatSlice():
            return f"channels {node.start} to {node.stop}"
        case FloatShuffle():
            return "channel shuffle"
        case FloatTable():
            return text(node.function)
        case FloatUpsample():
            return f"{node.mode} {_sizes(node.factor)}"
        case _:
            assert_never(node)


def _sizes(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]}x{sizes[1]}"
