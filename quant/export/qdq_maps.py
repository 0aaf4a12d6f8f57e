"""Pools, moves and tables of the integer graph as ONNX operators, exact in float32 and float64."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from shiftforge.quant.export.onnx_moves import moved
from shiftforge.quant.export.pool_rounding import pool_rounded
from shiftforge.quant.export.qdq_builder import Builder, codes_name
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    MaxPool,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.quant.graph.verify_maps import MapNode
from shiftforge.quant.graph.windows import counts

__all__ = ["add_map"]


def add_map(build: Builder, node: MapNode) -> None:
    """Append the operators of a node, from its inputs' real values to its output's codes."""
    match node:
        case AveragePool():
            _average(build, node)
        case Table():
            _table(build, node)
        case MaxPool() | Concat() | Slice() | Shuffle() | Upsample():
            x, out = build.model.tensors[node.inputs[0]], build.model.tensors[node.output]
            value = moved(build, node, x.shape, (out.height, out.width), f"{node.name}.moved")
            build.requantise(value, node.output, out.grid.qmin, out.grid.qmax)
        case _:
            assert_never(node)


def _average(build: Builder, node: AveragePool) -> None:
    """Sums by a convolution of ones, exact in float32, times one constant each in float64."""
    x = build.model.tensors[node.input]
    ones = np.ones((x.channels, 1, *node.kernel), np.float32)
    total = build.op(
        "Conv",
        [node.input, build.constant(f"{node.name}.ones", ones)],
        f"{node.name}.total",
        kernel_shape=list(node.kernel),
        strides=list(node.stride),
        pads=list(node.padding),
        group=x.channels,
    )
    by_count = {count: np.ldexp(float(m), -s) for count, m, s in node.constants}
    each = counts(node, x.height, x.width)
    factor = np.vectorize(lambda n: by_count[int(n)], otypes=[np.float64])(each)
    pool_rounded(build, node, total, factor)


def _table(build: Builder, node: Table) -> None:
    """Codes looked up by codes: Gather in a list of entries."""
    proto = build.onnx.TensorProto
    source, grid = build.model.tensors[node.input].grid, build.model.tensors[node.output].grid
    wide = build.op("Cast", [codes_name(node.input)], f"{node.name}.wide", to=proto.INT64)
    least = build.constant(f"{node.name}.least", np.array(source.qmin, np.int64))
    place = build.op("Sub", [wide, least], f"{node.name}.place")
    kind = np.int8 if grid.signed else np.uint8
    entries = build.constant(f"{node.name}.entries", np.array(node.codes, kind))
    build.op("Gather", [entries, place], codes_name(node.output), axis=0)
    build.dequantise(node.output)
