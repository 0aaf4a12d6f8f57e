"""A folded float network as an ONNX model, node by node, in float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

import numpy as np

from shiftforge.quant.capture.types import (
    Activation,
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMaxPool,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.export.onnx_functions import expression
from shiftforge.quant.export.onnx_metadata import write_metadata
from shiftforge.quant.export.onnx_moves import moved
from shiftforge.quant.export.onnx_nodes import OnnxNodes, conv_geometry

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["export_float"]


def export_float(graph: FloatGraph) -> ModelProto:
    """float32 model with input (N, C, H, W), normalised, and the graph's outputs (N, C, H, W).

    Values are named as the graph's tensors; zeros between values that one convolution reads have
    none: the two are one transposed convolution. The preprocessing, the labels and the nodes' names
    and sources are in the model's metadata. Raises InputError where the package onnx is missing.
    """
    build = OnnxNodes()
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    enlarged: dict[str, FloatUpsample] = {}
    for node in graph.nodes:
        match node:
            case FloatConv() if node.input in enlarged:
                _transposed(build, enlarged[node.input], node, graph.shapes)
            case FloatConv():
                _conv(build, node)
            case FloatUpsample() if _only_reader(graph, node, readers):
                enlarged[node.output] = node
            case FloatAdd():
                value = build.op("Add", [node.a, node.b], f"{node.output}.linear")
                _activated(build, value, node.output, node.activation)
            case FloatPool():
                build.op("GlobalAveragePool", [node.input], node.output)
            case FloatAveragePool():
                _average(build, node)
            case FloatTable():
                expression(build, node.function, node.input, node.output)
            case FloatMaxPool() | FloatConcat() | FloatSlice() | FloatShuffle() | FloatUpsample():
                _, height, width = graph.shapes[node.output]
                shape = graph.shapes[node.inputs[0]]
                moved(build, node, shape, (height, width), node.output)
            case _:
                assert_never(node)
    helper, kind = build.onnx.helper, build.onnx.TensorProto.FLOAT
    values = [
        helper.make_tensor_value_info(name, kind, ["N", *graph.shapes[name]])
        for name in (graph.input, *graph.outputs)
    ]
    model = build.made(graph.name, values[:1], values[1:])
    write_metadata(model, graph)
    return model


def _only_reader(
    graph: FloatGraph, up: FloatUpsample, readers: Mapping[str, int]
) -> FloatConv | None:
    """The convolution that makes a transposed one of zeros between values; None where none does."""
    if up.mode != "zeros" or up.output in graph.outputs or readers[up.output] != 1:
        return None
    (reader,) = (node for node in graph.nodes if up.output in node.inputs)
    return reader if isinstance(reader, FloatConv) and _is_transposed(up, reader) else None


def _conv(build: OnnxNodes, node: FloatConv) -> None:
    weights = [
        build.constant(f"{node.name}.{what}", values)
        for what, values in (("weight", node.weight), ("bias", node.bias))
    ]
    value = build.op(
        "Conv",
        [node.input, *weights],
        f"{node.output}.linear",
        **conv_geometry(node),
    )
    _activated(build, value, node.output, node.activation)


def _activated(build: OnnxNodes, value: str, output: str, activation: Activation) -> None:
    if activation == "none":
        build.op("Identity", [value], output)
    elif activation == "relu":
        build.op("Relu", [value], output)
    else:
        ends = [
            build.constant(f"number.{number:g}", np.array(number, np.float32))
            for number in (0.0, 6.0)
        ]
        build.op("Clip", [value, *ends], output)


def _average(build: OnnxNodes, node: FloatAveragePool) -> None:
    """Counted padding becomes zeros of the map; the pool leaves out what it pads by itself."""
    value, counted = node.input, node.counted
    whole = counted == node.padding
    if any(counted) and not whole:
        top, left, bottom, right = counted
        pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        sides = build.constant(f"{node.name}.counted", pads)
        value = build.op("Pad", [value, sides], f"{node.name}.padded")
    rest = node.padding if whole else [p - c for p, c in zip(node.padding, counted, strict=True)]
    build.op(
        "AveragePool",
        [value],
        node.output,
        kernel_shape=list(node.kernel),
        strides=list(node.stride),
        pads=list(rest),
        count_include_pad=int(whole),
    )


def _transposed(
    build: OnnxNodes, up: FloatUpsample, node: FloatConv, shapes: Mapping[str, tuple[int, int, int]]
) -> None:
    """Zeros between values and a convolution over them: a transposed convolution.

    Rows of the whole sum are cropped by what the convolution does not pad.
    """
    _, *size = shapes[up.input]
    begin, end, extra = [], [], []
    for axis in (0, 1):
        reach = node.dilation * (node.weight.shape[2 + axis] - 1)
        whole = (size[axis] - 1) * up.factor[axis] + reach + 1
        first = reach - node.padding[axis]
        last = whole - first - shapes[node.output][1 + axis]
        begin.append(first)
        end.append(max(last, 0))
        extra.append(max(-last, 0))
    outputs, inputs, kh, kw = node.weight.shape
    # (O, I // G, kh, kw) as (I, O // G, kh, kw), turned about both axes.
    grouped = node.weight.reshape(node.groups, outputs // node.groups, inputs, kh, kw)
    weight = grouped.transpose(0, 2, 1, 3, 4).reshape(-1, outputs // node.groups, kh, kw)
    weights = [
        build.constant(f"{node.name}.{what}", values)
        for what, values in (
            ("weight", np.ascontiguousarray(weight[:, :, ::-1, ::-1])), ("bias", node.bias),
        )
    ]  # fmt: skip
    value = build.op(
        "ConvTranspose",
        [up.input, *weights],
        f"{node.output}.linear",
        strides=list(up.factor),
        pads=[*begin, *end],
        output_padding=extra,
        dilations=[node.dilation] * 2,
        group=node.groups,
    )
    _activated(build, value, node.output, node.activation)


def _is_transposed(up: FloatUpsample, node: FloatConv) -> bool:
    """Whether both are one transposed convolution of ONNX's: nothing but its sums, all of them."""
    reach = [node.dilation * (k - 1) for k in node.weight.shape[2:]]
    return node.stride == 1 and all(p <= r for p, r in zip(node.padding, reach * 2, strict=True))
