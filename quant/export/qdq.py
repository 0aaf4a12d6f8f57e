"""The integer graph as an ONNX model of QuantizeLinear and DequantizeLinear around float operators.

Every scale is a power of two and zero points are 0, so that the float32 model holds the integers
exactly as long as an accumulator stays below 2^24 in units of its own scale; where one may not, the
convolution is summed by parts (`wide_sums.py`). QuantizeLinear rounds half to even, as the graph
does. The constant of a pool (multiplier / 2**shift) is applied in float64: a sum times the
multiplier has up to 31 bits.
Operators of opset 13: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.export.onnx_metadata import write_metadata
from shiftforge.quant.export.onnx_nodes import conv_geometry, load
from shiftforge.quant.export.pool_rounding import pool_rounded
from shiftforge.quant.export.qdq_builder import Builder, codes_name
from shiftforge.quant.export.qdq_maps import add_map
from shiftforge.quant.export.wide_sums import EXACT_BITS, is_wide, wide_conv
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Concat,
    Conv,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.quant.graph.windows import distinct_counts

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["codes_name", "export_onnx"]


def export_onnx(model: QuantizedModel, *, every_tensor: bool = False) -> ModelProto:
    """The QDQ model: input codes (N, C, H, W), int8 or uint8, to the output's real values, float32.

    every_tensor: make each tensor's codes (see `codes_name`) an output too, for comparisons.
    Weights are int8 with one scale a channel, biases int32. Preprocessing, labels, names and the
    functions of tables are in the model's metadata. Raises InputError where the package
    onnx is missing, and listing every node that float32 might not compute exactly.
    """
    load("onnx")
    problems = _problems(model)
    if problems:
        raise InputError(problems)
    builder = Builder(model)
    builder.dequantise(model.input)
    for node in model.nodes:
        match node:
            case Conv():
                if is_wide(node, model.tensors[node.input].grid):
                    wide_conv(builder, node)
                else:
                    _conv(builder, node)
            case Add():
                _add(builder, node)
            case Pool():
                _pool(builder, node)
            case MaxPool() | AveragePool() | Concat() | Slice() | Shuffle() | Table() | Upsample():
                add_map(builder, node)
            case _:
                assert_never(node)
    made = builder.finish(every_tensor)
    told = model.meta.get("functions")
    known = told if isinstance(told, dict) else {}
    functions = {n.output: known[n.name] for n in model.nodes if n.name in known}
    write_metadata(made, model, functions=functions)
    return made


def _problems(model: QuantizedModel) -> list[Problem]:
    found = []
    for name, tensor in model.tensors.items():
        narrow = tensor.grid.bits <= 8
        if not narrow and name not in model.outputs:
            remedy = "quantise it to 8 bits or less"
            found.append(Problem(f"a tensor of {tensor.grid.bits} bits", remedy, name))
    for node in model.nodes:
        where = f"{node.name} ({node.source})"
        found += [Problem(what, remedy, where) for what, remedy in _inexact(model, node)]
    return found


def _inexact(model: QuantizedModel, node: Node) -> list[tuple[str, str]]:
    """What float32 might not compute exactly of a node, each with its remedy."""
    found = []
    match node:
        case Conv():
            if node.multiplier is not None and not _is_shift(node):
                what = "multipliers that are no powers of two"
                found.append((what, "quantise with requant shift"))
        case Add():
            apart = abs(model.tensors[node.a].grid.exponent - model.tensors[node.b].grid.exponent)
            if apart + 9 > EXACT_BITS:
                what = f"inputs whose steps are 2^{apart} apart"
                found.append((what, "calibrate the two maps together"))
        case AveragePool():
            x = model.tensors[node.input]
            most = distinct_counts(node, x.height, x.width)[-1]
            if (most * max(x.grid.qmax, -x.grid.qmin)).bit_length() > EXACT_BITS:
                what = f"a sum of {most} codes; float32 holds 24 bits"
                found.append((what, "average over fewer places"))
        case Pool() | MaxPool() | Concat() | Slice() | Shuffle() | Table() | Upsample():
            pass  # a pool's constant is applied in float64; the others compute nothing
        case _:
            assert_never(node)
    return found


def _is_shift(node: Conv) -> bool:
    """Whether the multipliers are powers of two, and so the same as shifts by z."""
    if node.multiplier is None:
        return True
    return bool((node.multiplier & (node.multiplier - 1) == 0).all())


def _conv(build: Builder, node: Conv) -> None:
    weight_scale = np.ldexp(1.0, node.z.astype(np.int64)).astype(np.float32)
    source = build.model.tensors[node.input].grid.exponent
    weight = _channels(build, f"{node.name}.weight", node.weight, weight_scale)
    bias_scale = np.ldexp(1.0, source + node.z.astype(np.int64)).astype(np.float32)
    bias = _channels(build, f"{node.name}.bias", node.bias, bias_scale)
    value = build.op(
        "Conv",
        [node.input, weight, bias],
        f"{node.name}.sum",
        **conv_geometry(node),
    )
    build.requantise(value, node.output, node.lo, node.hi)


def _channels(build: Builder, name: str, codes: NDArray[Any], scale: NDArray[np.float32]) -> str:
    """A constant of integers with one scale for each of its first axis."""
    zero = build.constant(f"{name}.zero", np.zeros(scale.shape, dtype=codes.dtype))
    inputs = [
        build.constant(f"{name}.codes", codes),
        build.constant(f"{name}.scale", scale),
        zero,
    ]
    return build.op("DequantizeLinear", inputs, name, axis=0)


def _add(build: Builder, node: Add) -> None:
    value = build.op("Add", [node.a, node.b], f"{node.name}.sum")
    build.requantise(value, node.output, node.lo, node.hi)


def _pool(build: Builder, node: Pool) -> None:
    axes = build.constant("rows.and.columns", np.array([2, 3], dtype=np.int64))
    total = build.op("ReduceSum", [node.input, axes], f"{node.name}.total", keepdims=1)
    pool_rounded(build, node, total, np.ldexp(float(node.multiplier), -node.shift))
