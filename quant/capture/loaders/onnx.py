"""An ONNX model: float, opset 11 to the newest, or with QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import parse_json
from shiftforge.quant.capture.carried import labels_of
from shiftforge.quant.capture.loaders.factory import load_module
from shiftforge.quant.capture.onnx.codes import recovered, with_scales
from shiftforge.quant.capture.onnx.file import read_onnx
from shiftforge.quant.capture.onnx.module import network_of
from shiftforge.quant.capture.onnx.tried import shape_problems
from shiftforge.quant.capture.onnx.walk import walk
from shiftforge.quant.capture.overrides import NOTHING, Overrides
from shiftforge.quant.capture.renamed import renamed
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.export.onnx_metadata import METADATA
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.jsonpreprocess import preprocess_from_json
from shiftforge.quant.graph.verify import HOST_FUNCTIONS

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

__all__ = ["load_onnx", "load_proto"]


def load_onnx(
    path: Path, *, resolution: int | None = None, overrides: Overrides = NOTHING
) -> FloatGraph:
    """The folded graph of an ONNX file; arguments as ``load_source`` has them."""
    return load_proto(read_onnx(path), path.stem, resolution=resolution, overrides=overrides)


def load_proto(
    model: ModelProto,
    name: str,
    *,
    resolution: int | None = None,
    overrides: Overrides = NOTHING,
) -> FloatGraph:
    """The folded graph of a checked model, called name.

    The first axis of its input is the frames'; one that DequantizeLinear alone reads may hold int8
    or uint8. What ``export_float`` wrote into the metadata is the
    preprocessing, and the labels; else pixels are normalised to [-1, 1]. Sizes that the model
    leaves open are those of overrides. An input of two or three axes is a map whose last sides
    are 1. Raises InputError with every node that has no counterpart.
    """
    image = _image(model, name)
    shape = _input_shape(image, name, resolution, overrides)
    outputs = [own.name for own in model.graph.output]
    said = _metadata(model, name)
    found = recovered(walk(model, image.name, shape), outputs, said.get("functions", {}))
    network = network_of(found, image.name, outputs)
    Problems(shape_problems(network, found)).stop()
    own = {what: said[what] for what in ("preprocess", "labels") if said.get(what)}
    sides = (*shape[1:], 1, 1, 1)[:3]
    taken = replace(overrides, resolution=None)
    if overrides.input_shape is None and resolution is None:
        own["input_shape"] = sides
    else:
        taken = replace(taken, input_shape=(sides[0], sides[1], sides[2]))
    for what, value in own.items():
        setattr(network, what, value)
    graph = load_module(network, f"onnx:{name}", overrides=taken)
    graph = _renamed(with_scales(graph, found), said.get("nodes", []))
    told = {n: kind for n, kind in said.get("host", {}).items() if n in graph.outputs}
    if told and all(kind in HOST_FUNCTIONS for kind in told.values()):
        graph = replace(graph, host={**told, **graph.host})
    producer = model.producer_name or "an unknown producer"
    meta = {**graph.meta, "module": f"ONNX by {producer}"}
    return replace(graph, meta=meta)


def _metadata(model: ModelProto, name: str) -> dict[str, Any]:
    """What ``export_float`` wrote, by the names there; what is not of its form is a problem."""
    problems, found = Problems(), dict[str, Any]()
    for entry in model.metadata_props:
        what = entry.key.removeprefix(METADATA)
        if entry.key == what:
            continue
        where = f"{name}: metadata {entry.key}"
        value = problems.check(parse_json, entry.value, where)
        if what == "preprocess":
            found[what] = preprocess_from_json(Fields(value, where, problems))
        elif what == "labels":
            found[what] = problems.check(labels_of, value, where)
        elif what == "nodes":
            found[what] = value if isinstance(value, list) else []
        elif what in ("functions", "host"):
            found[what] = value if isinstance(value, dict) else {}
    problems.stop()
    return found


def _renamed(graph: FloatGraph, nodes: Sequence[Any]) -> FloatGraph:
    """The graph with the names and sources that it was exported with, where they are its own."""
    fits = all(
        isinstance(own, list) and len(own) == 2 and all(isinstance(n, str) for n in own) and own[0]
        for own in nodes
    )
    if not fits or len(nodes) != len(graph.nodes) or len({n for n, _ in nodes}) != len(nodes):
        return graph
    names = {node.output: n for node, (n, _) in zip(graph.nodes, nodes, strict=True)}
    return renamed(graph, names, [source for _, source in nodes])


def _image(model: ModelProto, name: str) -> ValueInfoProto:
    """The one input that is no initialiser."""
    from onnx import TensorProto

    given = {tensor.name for tensor in model.graph.initializer}
    inputs: list[ValueInfoProto] = [own for own in model.graph.input if own.name not in given]
    if len(inputs) != 1:
        what = f"the network takes {len(inputs)} tensors"
        raise InputError(Problem(what, "give it one image", name))
    kind = inputs[0].type.tensor_type.elem_type
    readers = [node for node in model.graph.node if inputs[0].name in node.input]
    codes = kind in (TensorProto.INT8, TensorProto.UINT8) and readers
    if kind != TensorProto.FLOAT and not (
        codes and all(node.op_type == "DequantizeLinear" for node in readers)
    ):
        what = f"its input {inputs[0].name} holds {TensorProto.DataType.Name(kind).lower()}"
        raise InputError(Problem(what, "export it for frames of float32", name))
    return inputs[0]


def _input_shape(
    image: ValueInfoProto, name: str, resolution: int | None, overrides: Overrides
) -> tuple[int, ...]:
    """Frames, channels and sides. Frames left open are one."""
    own = image.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in own.shape.dim]
    problems = Problems()
    if not own.HasField("shape") or not 2 <= len(dims) <= 4:
        what = f"its input {image.name} has {len(dims)} axes"
        raise InputError(Problem(what, "give frames (N, C, H, W)", name))
    said = overrides.input_shape
    if said is not None:
        dims[1:] = said[: len(dims) - 1]
    if resolution is not None and len(dims) == 4:
        dims[2:] = resolution, resolution
    dims[0] = dims[0] or 1
    if not all(n >= 1 for n in dims[1:]):
        what = f"its input {image.name} leaves sizes open ({dims[1:]})"
        problems.append(Problem(what, "give --input-shape C,H,W", name))
    problems.stop()
    return tuple(int(n) for n in dims)
