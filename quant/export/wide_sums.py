"""Convolutions whose accumulators float32 does not hold: sums of parts that it does, in float64.

The inputs of a sum are cut where the largest magnitude that a part can reach would pass 2^24; each
part is an exact float32 convolution, and the parts, the bias and the rounding are float64, exact up
to 2^53.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.export.onnx_nodes import conv_geometry
from shiftforge.quant.export.qdq_builder import Builder, codes_name
from shiftforge.quant.formats.accumulator import accumulator_bound
from shiftforge.quant.graph.types import Conv, Grid

__all__ = ["EXACT_BITS", "is_wide", "wide_conv"]

# float32 holds every integer of up to so many bits.
EXACT_BITS = 24


def is_wide(node: Conv, source: Grid) -> bool:
    """Whether an accumulator may leave what float32 holds exactly; source: the input's grid."""
    bound = accumulator_bound(node.weight, node.bias, source)
    return bool(bound.max() > 1 << EXACT_BITS)


def parts(node: Conv, source: Grid) -> list[slice]:
    """Runs of the inputs (I/g, kh, kw) of a sum, flattened, whose sums stay below 2^24."""
    rows = np.abs(node.weight.astype(np.int64)).reshape(len(node.weight), -1)
    reach = np.cumsum(rows * max(source.qmax, -source.qmin), axis=1)
    found, start, before = [], 0, np.zeros(len(rows), np.int64)
    while start < rows.shape[1]:
        inside = ((reach - before[:, None]) <= 1 << EXACT_BITS).all(axis=0)
        stop = max(start + 1, int(np.count_nonzero(inside)))
        found.append(slice(start, stop))
        before = reach[:, stop - 1]
        start = stop
    return found


def wide_conv(build: Builder, node: Conv) -> None:
    """Append a convolution by parts, up to its output's codes and real values."""
    proto = build.onnx.TensorProto
    source = build.model.tensors[node.input].grid
    scale = np.ldexp(1.0, node.z.astype(np.int64))
    taps = node.weight.shape[2] * node.weight.shape[3]
    total = ""
    for k, part in enumerate(parts(node, source)):
        first, last = part.start // taps, -(-part.stop // taps)
        mask = np.zeros(node.weight[0].size, np.int8)
        mask[part] = 1
        weight: NDArray[Any] = node.weight * mask.reshape(node.weight.shape[1:])
        value, stem = node.input, f"{node.name}.part{k}"
        if node.groups == 1 and last - first < node.weight.shape[1]:
            weight = weight[:, first:last]
            value = _channels(build, node, stem, (first, last))
        inputs = [
            build.constant(f"{stem}.codes", np.ascontiguousarray(weight)),
            build.constant(f"{node.name}.scale", scale.astype(np.float32)),
            build.constant(f"{node.name}.zero", np.zeros(scale.shape, np.int8)),
        ]
        held = build.op("DequantizeLinear", inputs, f"{stem}.weight", axis=0)
        own = build.op(
            "Conv",
            [value, held],
            f"{stem}.sum",
            **conv_geometry(node),
        )
        own = build.op("Cast", [own], f"{stem}.wide", to=proto.DOUBLE)
        total = own if not total else build.op("Add", [total, own], f"{stem}.total")
    bias = np.ldexp(node.bias.astype(np.float64) * scale, source.exponent)
    given = build.constant(f"{node.name}.bias", bias.reshape(1, -1, 1, 1))
    total = build.op("Add", [total, given], f"{node.name}.sum")
    _round(build, total, node)


def _channels(build: Builder, node: Conv, stem: str, part: tuple[int, int]) -> str:
    """The input's channels first <= c < last."""
    ends = [
        build.constant(f"{stem}.{what}", np.array([number], np.int64))
        for what, number in (("first", part[0]), ("last", part[1]), ("axis", 1))
    ]
    return build.op("Slice", [node.input, *ends], f"{stem}.inputs")


def _round(build: Builder, value: str, node: Conv) -> None:
    """float64 real values to codes, and back to float32 real values."""
    proto, name = build.onnx.TensorProto, node.output
    grid = build.model.tensors[name].grid
    factor = build.constant(f"double.scale.{-grid.exponent}", np.ldexp(1.0, -grid.exponent))
    scaled = build.op("Mul", [value, factor], f"{node.name}.scaled")
    rounded = build.op("Round", [scaled], f"{node.name}.rounded")
    ends = [
        build.constant(f"double.{code}", np.array(code, dtype=np.float64))
        for code in (node.lo, node.hi)
    ]
    if grid.bits <= 8:
        clamped = build.op("Clip", [rounded, *ends], f"{node.name}.clamped")
        kind = proto.INT8 if grid.signed else proto.UINT8
        build.op("Cast", [clamped], codes_name(name), to=kind)
        build.dequantise(name)
        return
    build.doubles.add(name)
    clamped = build.op("Clip", [rounded, *ends], codes_name(name))
    step = build.constant(f"double.scale.{grid.exponent}", np.ldexp(1.0, grid.exponent))
    real = build.op("Mul", [clamped, step], f"{node.name}.real")
    build.op("Cast", [real], name, to=proto.FLOAT)
