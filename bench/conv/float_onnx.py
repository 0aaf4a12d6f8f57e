"""A folded float network as an ONNX model, node by node: for timing ONNX Runtime."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph

__all__ = ["to_onnx"]

# The newest of both that every supported ONNX Runtime reads.
OPSET, IR_VERSION = 13, 8


def to_onnx(graph: FloatGraph) -> ModelProto:
    """float32 model with input (N, C, H, W) and the graph's output, (N, K, 1, 1)."""
    nodes, weights = [], []
    for node in graph.nodes:
        activation = getattr(node, "activation", "none")
        result = node.output if activation == "none" else f"{node.output}.linear"
        if isinstance(node, FloatConv):
            names = [f"{node.name}.weight", f"{node.name}.bias"]
            weights.append(numpy_helper.from_array(node.weight, names[0]))
            weights.append(numpy_helper.from_array(node.bias, names[1]))
            nodes.append(
                helper.make_node(
                    "Conv",
                    [node.input, *names],
                    [result],
                    name=node.name,
                    pads=node.padding,
                    strides=[node.stride] * 2,
                    dilations=[node.dilation] * 2,
                    group=node.groups,
                )
            )
        elif isinstance(node, FloatAdd):
            nodes.append(helper.make_node("Add", [node.a, node.b], [result], name=node.name))
        else:
            pool = "GlobalAveragePool"
            nodes.append(helper.make_node(pool, [node.input], [result], name=node.name))
        if activation == "relu":
            nodes.append(helper.make_node("Relu", [result], [node.output]))
        elif activation == "relu6":
            nodes.append(helper.make_node("Clip", [result, "zero", "six"], [node.output]))
    for name, value in (("zero", 0.0), ("six", 6.0)):
        weights.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *graph.shapes[name]])
        for name in (graph.input, graph.output)
    ]
    body = helper.make_graph(nodes, graph.name, ends[:1], ends[1:], weights)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)
    checker.check_model(model)
    return model
