"""An ONNX file, screened: what a message claims is held against the bytes that there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import read_bytes
from shiftforge.quant.capture.loaders.screen import MAX_BYTES
from shiftforge.quant.capture.onnx.external import load_external
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.export.onnx_nodes import load

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

__all__ = ["FIRST_OPSET", "MOST_NODES", "read_onnx"]

FIRST_OPSET = 11
MOST_NODES = 5_000
"""Of a graph: the deepest published networks have some hundreds, and thousands take minutes."""
_OWN_DOMAINS = {"", "ai.onnx"}
_AGAIN = "export the network again"


def read_onnx(path: Path) -> ModelProto:
    """The model of a file, its external data loaded, passed by onnx's own checker.

    External data is read from regular files in the model's folder alone. Raises InputError with
    everything that is wrong: no ONNX, another domain's operators, functions of the model's own, an
    opset before 11 or after the newest that the package onnx knows, too many nodes.
    """
    onnx = load("onnx")
    from google.protobuf.message import DecodeError

    where = str(path)
    data = read_bytes(path, most=MAX_BYTES, remedy="give an ONNX model of at most 2 GiB")
    model: ModelProto = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        what = f"it is not an ONNX model: {reason(error)}"
        raise InputError(Problem(what, "give a file written by onnx.save", where)) from error
    if not model.graph.node and not model.opset_import:
        what = "it is not an ONNX model: it has no graph and no opset"
        raise InputError(Problem(what, "give a file written by onnx.save", where))
    if len(model.graph.node) <= MOST_NODES and not _is_text(model):
        raise InputError(Problem("a name in it is no UTF-8", _AGAIN, where))
    problems = Problems(_foreign(model, where))
    problems.stop()
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            problems.check(load_external, tensor, path.parent)
        elif tensor.HasField("segment"):
            problems.append(Problem("a tensor in segments", _AGAIN, tensor.name or where))
    problems.stop()
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's own kinds, and protobuf's for what is too large
        what = f"onnx's checker refuses it: {reason(error, whole=True)}"
        raise InputError(Problem(what, _AGAIN, where)) from error
    return model


def _is_text(message: Any) -> bool:
    """Whether every text of a message and of those inside is one: a damaged one is bytes."""
    for field, value in message.ListFields():
        many = value if hasattr(value, "append") else (value,)
        if field.type == field.TYPE_STRING and not all(isinstance(own, str) for own in many):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(_is_text, many)):
            return False
    return True


def _foreign(model: ModelProto, where: str) -> list[Problem]:
    """What no graph is taken with, told before any tensor is looked at."""
    from onnx.defs import onnx_opset_version

    found = []
    graph, newest = model.graph, onnx_opset_version()
    versions = {own.domain: own.version for own in model.opset_import}
    own = [versions[name] for name in sorted(_OWN_DOMAINS & versions.keys())]
    if not own:
        found.append(Problem("it imports no opset of ONNX's own operators", _AGAIN, where))
    for version in own:
        if not FIRST_OPSET <= version <= newest:
            what = f"opset {version} is not from {FIRST_OPSET} to {newest}"
            remedy = "onnx.version_converter.convert_version(model, 17) may bring it there"
            found.append(Problem(what, remedy, where))
    if model.functions:
        names = ", ".join(sorted(f"{f.domain}::{f.name}" for f in model.functions)[:4])
        what = f"it brings {len(model.functions)} functions of its own ({names})"
        remedy = "onnx.inliner.inline_local_functions(model) puts them into the graph"
        found.append(Problem(what, remedy, where))
    if len(graph.node) > MOST_NODES:
        what = f"a graph of {len(graph.node):,} nodes"
        found.append(Problem(what, f"give one of at most {MOST_NODES:,}", where))
        return found
    if graph.sparse_initializer:
        found.append(Problem("sparse initialisers", "store them dense", where))
    for node in graph.node:
        if node.domain not in _OWN_DOMAINS:
            what = f"the operator {node.op_type} is of the domain {node.domain!a}"
            remedy = "export with ONNX's own operators"
            found.append(Problem(what, remedy, node.name or (node.output or [""])[0]))
    return found


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor that a graph holds; no operator that is taken has graphs of its own."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from _of_attribute(attribute)


def _of_attribute(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
