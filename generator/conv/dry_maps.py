"""Pools, moves and tables of a network that is not calibrated yet: dry nodes, and their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from shiftforge.quant.capture.function import text
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
    MaxPool,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)
from shiftforge.quant.graph.verify_maps import MapNode
from shiftforge.quant.graph.windows import distinct_counts

__all__ = ["dry_map", "map_words"]


def dry_map(node: FloatMap, tensors: Mapping[str, Tensor]) -> MapNode:
    """The integer node of any values: constants of 1, entries of 0."""
    name, source, grid = node.name, node.source, tensors[node.output].grid
    match node:
        case FloatMaxPool():
            return MaxPool(
                name, source, node.input, node.output, node.kernel, node.stride, node.padding
            )
        case FloatAveragePool():
            x = tensors[node.input]
            constants = tuple((n, 1, 0) for n in distinct_counts(node, x.height, x.width))
            return AveragePool(
                name, source, node.input, node.output, node.kernel, node.stride, node.padding,
                node.counted, constants, grid.qmin, grid.qmax,
            )  # fmt: skip
        case FloatConcat():
            return Concat(name, source, node.inputs, node.output)
        case FloatSlice():
            return Slice(name, source, node.input, node.output, node.start, node.stop)
        case FloatShuffle():
            return Shuffle(name, source, node.input, node.output, node.order)
        case FloatTable():
            entries = (0,) * (1 << tensors[node.input].grid.bits)
            return Table(name, source, node.input, node.output, entries)
        case FloatUpsample():
            return Upsample(
                name, source, node.input, node.output, node.factor, node.mode, node.trailing
            )
        case _:
            assert_never(node)


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
