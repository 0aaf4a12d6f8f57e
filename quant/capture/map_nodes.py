"""What pools, moves and looks up maps: from the float graph's node to the integer graph's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

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
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    Grid,
    MaxPool,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.quant.graph.verify_maps import MapNode

__all__ = ["Constants", "Entries", "map_node"]

Constants: TypeAlias = Callable[[FloatAveragePool], tuple[tuple[int, int, int], ...]]
"""A pool's constants, ``AveragePool.constants``."""
Entries: TypeAlias = Callable[[FloatTable], tuple[int, ...]]
"""A table's entries, ``Table.codes``."""


def map_node(node: FloatMap, target: Grid, constants: Constants, entries: Entries) -> MapNode:
    """The integer node. target: the grid of its output. constants, entries: what calibration
    decides."""
    name, source = node.name, node.source
    match node:
        case FloatMaxPool():
            return MaxPool(
                name, source, node.input, node.output, node.kernel, node.stride, node.padding
            )
        case FloatAveragePool():
            return AveragePool(
                name, source, node.input, node.output, node.kernel, node.stride, node.padding,
                node.counted, constants(node), target.qmin, target.qmax,
            )  # fmt: skip
        case FloatConcat():
            return Concat(name, source, node.inputs, node.output)
        case FloatSlice():
            return Slice(name, source, node.input, node.output, node.start, node.stop)
        case FloatShuffle():
            return Shuffle(name, source, node.input, node.output, node.order)
        case FloatTable():
            return Table(name, source, node.input, node.output, entries(node))
        case FloatUpsample():
            return Upsample(
                name, source, node.input, node.output, node.factor, node.mode, node.trailing
            )
        case _:
            assert_never(node)
