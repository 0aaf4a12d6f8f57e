"""Pools, moves and tables of the integer graph as ONNX operators, exact in float32 and float64."""

from __future__ import annotations

from typing import assert_never

import numpy as np

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

__all__ = ["add_map", "pool_rounded"]


def add_map(build: Builder, node: MapNode) -> None:
    """Append the operators of a node, from its inputs' real values to its output's codes."""
    match node:
        case AveragePool():
            _average(build, node)
        case Table():
            _table(build, node)
        case MaxPool():
            _as_is(build, node.output, _maximum(build, node))
        case Concat():
            value = build.op("Concat", node.inputs, f"{node.name}.joined", axis=1)
            _as_is(build, node.output, value)
        case Slice():
            ends = [
                build.constant(f"{node.name}.{what}", np.array([number], np.int64))
                for what, number in (("start", node.start), ("stop", node.stop), ("axis", 1))
            ]
            _as_is(build, node.output, build.op("Slice", [node.input, *ends], f"{node.name}.cut"))
        case Shuffle():
            order = build.constant(f"{node.name}.order", np.array(node.order, np.int64))
            value = build.op("Gather", [node.input, order], f"{node.name}.moved", axis=1)
            _as_is(build, node.output, value)
        case Upsample():
            _as_is(build, node.output, _enlarged(build, node))
        case _:
            assert_never(node)


def _as_is(build: Builder, output: str, value: str) -> None:
    """Real values onto the output's grid."""
    grid = build.model.tensors[output].grid
    build.requantise(value, output, grid.qmin, grid.qmax)


def _maximum(build: Builder, node: MaxPool) -> str:
    return build.op(
        "MaxPool",
        [node.input],
        f"{node.name}.largest",
        kernel_shape=list(node.kernel),
        strides=list(node.stride),
        pads=list(node.padding),
    )


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


def pool_rounded(build: Builder, node: AveragePool, total: str, factor: np.ndarray) -> None:
    """A sum of real values times what makes codes of a sum of codes, rounded and clamped."""
    proto = build.onnx.TensorProto
    source, grid = build.model.tensors[node.input], build.model.tensors[node.output].grid
    wide = build.op("Cast", [total], f"{node.name}.wide", to=proto.DOUBLE)
    held = build.constant(f"{node.name}.factor", np.ldexp(factor, -source.grid.exponent))
    scaled = build.op("Mul", [wide, held], f"{node.name}.scaled")
    rounded = build.op("Round", [scaled], f"{node.name}.rounded")
    ends = [
        build.constant(f"double.{code}", np.array(code, dtype=np.float64))
        for code in (node.lo, node.hi)
    ]
    value = build.op("Clip", [rounded, *ends], f"{node.name}.clamped")
    kind = proto.INT8 if grid.signed else proto.UINT8
    build.op("Cast", [value], codes_name(node.output), to=kind)
    build.dequantise(node.output)


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


def _enlarged(build: Builder, node: Upsample) -> str:
    x = build.model.tensors[node.input]
    fh, fw = node.factor
    if node.mode == "nearest":
        scales = build.constant(f"{node.name}.scales", np.array([1, 1, fh, fw], np.float32))
        return build.op(
            "Resize",
            [node.input, "", scales],
            f"{node.name}.larger",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    # Zeros behind every value: (N, C, H, 1, W, 1) padded to (N, C, H, fh, W, fw).
    def shape(what: str, sizes: list[int]) -> str:
        return build.constant(f"{node.name}.{what}", np.array(sizes, np.int64))

    apart = shape("apart", [0, x.channels, x.height, 1, x.width, 1])
    value = build.op("Reshape", [node.input, apart], f"{node.name}.apart.map")
    pads = shape("pads", [0, 0, 0, 0, 0, 0, 0, 0, 0, fh - 1, 0, fw - 1])
    value = build.op("Pad", [value, pads], f"{node.name}.padded")
    joined = shape("joined", [0, x.channels, x.height * fh, x.width * fw])
    value = build.op("Reshape", [value, joined], f"{node.name}.joined.map")
    out = build.model.tensors[node.output]
    ends = [
        shape("first", [0, 0]), shape("last", [out.height, out.width]), shape("axes", [2, 3])
    ]  # fmt: skip
    return build.op("Slice", [value, *ends], f"{node.name}.larger")
