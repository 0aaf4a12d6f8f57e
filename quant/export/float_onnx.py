"""A folded float network as an ONNX model, node by node, in float32."""

from __future__ import annotations

import json
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
from shiftforge.quant.export.onnx_moves import moved
from shiftforge.quant.export.onnx_nodes import OnnxNodes, conv_geometry
from shiftforge.quant.graph.jsonpreprocess import preprocess_to_json
from shiftforge.quant.graph.windows import counts

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["METADATA", "export_float"]

METADATA = "shiftforge."
"""What the keys of a model's own metadata begin with."""


def export_float(graph: FloatGraph) -> ModelProto:
    """float32 model with input (N, C, H, W), normalised, and the graph's outputs (N, C, H, W).

    Values are named as the graph's tensors. The preprocessing, the labels and the nodes' names and
    sources are in the model's metadata. Raises InputError where the package onnx is missing.
    """
    build = OnnxNodes()
    for node in graph.nodes:
        match node:
            case FloatConv():
                _conv(build, node)
            case FloatAdd():
                value = build.op("Add", [node.a, node.b], f"{node.output}.linear")
                _activated(build, value, node.output, node.activation)
            case FloatPool():
                build.op("GlobalAveragePool", [node.input], node.output)
            case FloatAveragePool():
                _average(build, node, graph.shapes[node.input])
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
    carried = {
        "preprocess": preprocess_to_json(graph.preprocess),
        "labels": list(graph.labels),
        "nodes": [[node.name, node.source] for node in graph.nodes],
    }
    for what, own in carried.items():
        model.metadata_props.add(key=f"{METADATA}{what}", value=json.dumps(own))
    return model


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


def _average(build: OnnxNodes, node: FloatAveragePool, shape: tuple[int, int, int]) -> None:
    """Sums by a depthwise convolution of ones, over the places that each window counts."""
    channels, height, width = shape
    ones = build.constant(f"{node.name}.ones", np.ones((channels, 1, *node.kernel), np.float32))
    total = build.op(
        "Conv",
        [node.input, ones],
        f"{node.name}.total",
        kernel_shape=list(node.kernel),
        strides=list(node.stride),
        pads=list(node.padding),
        group=channels,
    )
    each = counts(node, height, width).astype(np.float32)
    build.op("Div", [total, build.constant(f"{node.name}.counts", each)], node.output)
