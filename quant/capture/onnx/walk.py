"""A graph's nodes in order: shapes by onnx's inference, constants by its reference evaluator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.quant.capture.onnx.call import Call
from shiftforge.quant.capture.raised import reason

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TypeProto

__all__ = ["MOST_VALUES", "Walk", "walk"]

# As capture has it of a frame, for a few frames.
MOST_VALUES = 1 << 26
_EVALUATED_FROM = {"DequantizeLinear": 19, "QuantizeLinear": 19}
"""Operators that the evaluator knows from a later opset on, where they mean the same."""
_MOVING = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
_RANDOM = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip


@dataclass(eq=False)
class Walk:
    """calls: nodes that are computed from the image, in order. names: by index of the nodes, their
    names or else their outputs'. problems: of nodes whose shape or value cannot be told.
    exponents: of constants that integers and scales of powers of two give, broadcast over them:
    each is a whole multiple of 2**exponent. scales: of constants whose scales are none, the first.
    """

    calls: list[Call] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    exponents: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)


def walk(model: ModelProto, image: str, shape: tuple[int, ...]) -> Walk:
    """Follow the graph from an image (N, ...) of a shape.

    Constants, and what is computed from them and from shapes alone, are known afterwards; a tensor
    of more than 2**26 values is a problem, found before it is made.
    """
    from onnx import numpy_helper

    found = Walk(shapes={image: shape})
    types = {image: _type_of(model, image, shape)}
    for tensor in model.graph.initializer:
        try:
            found.constants[tensor.name] = numpy_helper.to_array(tensor)
        except Exception as error:  # the library's own kinds, and numpy's
            what = f"its values cannot be read: {reason(error)}"
            found.problems.append(Problem(what, "export the network again", tensor.name))
            continue
        found.shapes[tensor.name] = tuple(tensor.dims)
    opset = next(own.version for own in model.opset_import if own.domain in ("", "ai.onnx"))
    for node in model.graph.node:
        known = node.op_type not in _RANDOM
        known = known and all(name in found.constants for name in node.input if name)
        if not all(name in found.shapes for name in node.input if name):
            continue  # it reads what is a problem already
        label = node.name or next(iter(node.output), node.op_type)
        if problem := _infer(model, node, label, found, types):
            found.problems.append(problem)
        elif node.op_type == "Shape":
            _fold_shape(node, found)
        elif known:
            if problem := _fold(model, node, label, found):
                found.problems.append(problem)
        else:
            found.calls.append(
                Call(
                    node.op_type, label, tuple(node.input), tuple(node.output),
                    dict(_attributes(node)), opset, found.constants, found.shapes,
                )
            )  # fmt: skip
    return found


def _type_of(model: ModelProto, image: str, shape: tuple[int, ...]) -> TypeProto:
    from onnx import helper

    kind = next(i.type.tensor_type.elem_type for i in model.graph.input if i.name == image)
    return helper.make_tensor_type_proto(kind, shape)


def _attributes(node: NodeProto) -> Iterator[tuple[str, Any]]:
    from onnx import helper

    for own in node.attribute:
        value = helper.get_attribute_value(own)
        yield own.name, value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _infer(
    model: ModelProto, node: NodeProto, label: str, found: Walk, types: dict[str, TypeProto]
) -> Problem | None:
    """Shapes of a node's outputs."""
    from onnx import defs, numpy_helper, shape_inference

    opset = next(own.version for own in model.opset_import if own.domain in ("", "ai.onnx"))
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        what = f"there is no operator {node.op_type!a} in opset {opset}"
        return Problem(what, "export with ONNX's own operators", label)
    data = {
        name: numpy_helper.from_array(found.constants[name], name)
        for name in node.input
        if name in found.constants and found.constants[name].size <= 1024
    }
    for name in node.input:
        if name in found.constants and name not in types:
            types[name] = _constant_type(found.constants[name])
    try:
        made = shape_inference.infer_node_outputs(
            schema, node, {name: types[name] for name in node.input if name}, data,
            opset_imports=list(model.opset_import), ir_version=model.ir_version,
        )  # fmt: skip
    except Exception as error:  # onnx's own kinds, of which some have no common base
        return Problem(f"its shape cannot be told: {reason(error)}", "mend its inputs", label)
    for name in node.output:
        if not name:
            continue
        own = made.get(name)
        dims = None if own is None else own.tensor_type.shape.dim
        known = dims is not None and own is not None and own.tensor_type.HasField("shape")
        if not known or dims is None or not all(d.HasField("dim_value") for d in dims):
            what = f"the shape of its output {name} depends on values"
            return Problem(what, "export with a fixed input size, and simplify it", label)
        shape = tuple(int(d.dim_value) for d in dims)
        if min(shape, default=1) < 0 or math.prod(shape) > MOST_VALUES:
            what = f"its output {name} has the shape {shape}"
            return Problem(what, f"keep tensors within {MOST_VALUES:,} values", label)
        assert own is not None
        types[name], found.shapes[name] = own, shape
    return None


def _constant_type(value: NDArray[Any]) -> TypeProto:
    from onnx import helper

    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def _fold_shape(node: NodeProto, found: Walk) -> None:
    given = dict(_attributes(node))
    sizes = found.shapes[node.input[0]][slice(given.get("start", 0), given.get("end"))]
    found.constants[node.output[0]] = np.array(sizes, np.int64)


def _fold(model: ModelProto, node: NodeProto, label: str, found: Walk) -> Problem | None:
    """A node that reads constants alone, computed."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    if any(own.HasField("g") or own.graphs for own in node.attribute):
        return Problem(f"a {node.op_type} with graphs of its own", "export without it", label)
    feeds = {name: found.constants[name] for name in node.input if name}
    taken, made = (
        [helper.make_tensor_value_info(name, 0, None) for name in names]
        for names in (feeds, [name for name in node.output if name])
    )
    graph = helper.make_graph([node], "constant", taken, made)
    opsets = list(model.opset_import)
    if node.op_type in _EVALUATED_FROM:
        opset = max(_EVALUATED_FROM[node.op_type], *(own.version for own in opsets))
        opsets = [helper.make_opsetid("", opset)]
    alone = helper.make_model(graph, opset_imports=opsets)
    try:
        with np.errstate(all="ignore"):
            values = ReferenceEvaluator(alone).run(None, feeds)
    except Exception as error:  # whatever numpy and the evaluator raise
        what = f"{node.op_type} of constants cannot be computed: {reason(error)}"
        return Problem(what, "simplify the model, or export it again", label)
    named = [name for name in node.output if name]
    for name, value in zip(named, values, strict=True):
        found.constants[name] = np.asarray(value)
    _follow_scale(node, found)
    return None


def _follow_scale(node: NodeProto, found: Walk) -> None:
    """Which power of two a constant made of integers is a multiple of."""
    made, given = node.output[0], dict(_attributes(node))
    if node.op_type == "DequantizeLinear":
        scale, rank = found.constants[node.input[1]], found.constants[made].ndim
        if scale.ndim > 1 or not np.isfinite(scale).all() or not (scale > 0).all():
            return
        mantissas, exponents = np.frexp(scale.astype(np.float64))
        if (mantissas != 0.5).any():
            found.scales[made] = float(scale.reshape(-1)[np.argmax(mantissas != 0.5)])
            return
        shape = [1] * rank
        axis = int(given.get("axis", 1))
        if scale.size > 1:
            if not -rank <= axis < rank:
                return
            shape[axis] = scale.size
        found.exponents[made] = (exponents.astype(np.int64) - 1).reshape(shape)
    elif node.op_type in _MOVING and node.input[0] in found.exponents:
        known = found.exponents[node.input[0]]
        if node.op_type == "Transpose" and known.ndim == found.constants[made].ndim:
            found.exponents[made] = known.transpose(given.get("perm"))
        elif known.size == 1:
            found.exponents[made] = known.reshape(())
    elif node.op_type in _MOVING and node.input[0] in found.scales:
        found.scales[made] = found.scales[node.input[0]]
