"""The integer graph as a JSON object beside named arrays, and back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Literal, assert_never, cast

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.formats import packing, shift, uniform
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    IntFormat,
    Node,
    Pool,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
    WeightFormat,
)

__all__ = ["SCHEMA", "Arrays", "arrays_digest", "from_json", "to_json"]

SCHEMA = 1
Arrays = Mapping[str, NDArray[Any]]
_REMEDY = "make the model file anew"


def arrays_digest(arrays: Arrays) -> str:
    """SHA-256 over the name, type, shape and bytes of every array, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _codes_digest(codes: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes).data).hexdigest()


def to_json(model: QuantizedModel) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(graph, arrays) of a verified model.

    arrays: "int/<conv>.codes" (packed shift codes, uint8, or int8 weights), ".z", ".bias",
    ".acc_bits", where present ".multiplier" and ".shift"; "float/<conv>.weight" and ".bias".
    """
    arrays: dict[str, NDArray[Any]] = {}
    nodes: list[dict[str, Any]] = []
    for node in model.nodes:
        nodes.append(
            _node_to_json(node, arrays)
            | {
                "name": node.name,
                "source": node.source,
                "output": node.output,
                "lo": node.lo,
                "hi": node.hi,
            }
        )
    for name, values in model.floats.items():
        arrays[f"float/{name}"] = np.ascontiguousarray(values)
    p = model.preprocess
    graph: dict[str, Any] = {
        "schema": SCHEMA,
        "name": model.name,
        "input": model.input,
        "output": model.output,
        "preprocess": {
            "channels": p.channels,
            "height": p.height,
            "width": p.width,
            "mean": list(p.mean),
            "std": list(p.std),
        },
        "tensors": [
            {
                "name": t.name,
                "shape": list(t.shape),
                "bits": t.grid.bits,
                "signed": t.grid.signed,
                "exponent": t.grid.exponent,
            }
            for _, t in sorted(model.tensors.items())
        ],
        "nodes": nodes,
        "labels": list(model.labels),
        "meta": dict(model.meta),
        "arrays": sorted(arrays),
        "arrays_sha256": arrays_digest(arrays),
    }
    return graph, arrays


def _node_to_json(node: Node, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """What a kind of node has of its own."""
    match node:
        case Conv():
            return _conv_to_json(node, arrays)
        case Add():
            return {"op": "add", "a": node.a, "b": node.b}
        case Pool():
            return {
                "op": "pool",
                "input": node.input,
                "multiplier": node.multiplier,
                "shift": node.shift,
            }
        case _:
            assert_never(node)


def _conv_to_json(conv: Conv, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    fmt = conv.format
    if isinstance(fmt, ShiftFormat):
        codes: NDArray[Any] = packing.pack(conv.weight, fmt)
        described: dict[str, Any] = {
            "kind": "shift",
            "bits": fmt.bits,
            "terms": fmt.terms,
            "mode": fmt.mode,
        }
    else:
        codes = np.ascontiguousarray(conv.weight)
        described = {"kind": "int", "bits": fmt.bits}
    stem = f"int/{conv.name}"
    arrays[f"{stem}.codes"] = codes
    for name, values in (
        ("z", conv.z),
        ("bias", conv.bias),
        ("acc_bits", conv.acc_bits),
        ("multiplier", conv.multiplier),
        ("shift", conv.shift),
    ):
        if values is not None:
            arrays[f"{stem}.{name}"] = np.ascontiguousarray(values)
    return {
        "op": "conv",
        "input": conv.input,
        "shape": list(conv.weight.shape),
        "format": described,
        "stride": conv.stride,
        "padding": list(conv.padding),
        "dilation": conv.dilation,
        "groups": conv.groups,
        "requant": "shift" if conv.multiplier is None else "multiplier",
        "codes_sha256": _codes_digest(codes),
    }


def from_json(graph: Any, arrays: Arrays) -> QuantizedModel:
    """The model of a JSON graph and its arrays. Raises InputError with every fault found.

    The result has the right Python types throughout; whether it is a valid model is `verify`'s
    question.
    """
    problems = Problems()
    top = Fields(graph, "graph", problems)
    if top.has("schema") and top.raw("schema") != SCHEMA:
        raise InputError(
            Problem(
                f"schema version {top.raw('schema')!r}, this release reads {SCHEMA}",
                "use the release that wrote the file, or make the model anew",
            )
        )
    top.integer("schema")
    listed = top.texts("arrays")
    for name in sorted(set(listed) ^ set(arrays)):
        state = "missing" if name in listed else "not in the graph's list"
        problems.append(Problem(f"array {name!r} is {state}", _REMEDY))
    if not problems and top.text("arrays_sha256") != arrays_digest(arrays):
        problems.append(Problem("the arrays do not have the SHA-256 that the file states", _REMEDY))

    pre = top.child("preprocess")
    preprocess = Preprocess(
        pre.integer("channels"),
        pre.integer("height"),
        pre.integer("width"),
        pre.reals("mean"),
        pre.reals("std"),
    )
    tensors: dict[str, Tensor] = {}
    for fields in top.children("tensors"):
        tensor = _tensor(fields)
        if tensor.name in tensors:
            fields.note(f"tensor {tensor.name!r} is listed twice")
        tensors[tensor.name] = tensor
    nodes = tuple(
        node for fields in top.children("nodes") if (node := _node(fields, arrays, problems))
    )
    model = QuantizedModel(
        name=top.text("name"),
        preprocess=preprocess,
        input=top.text("input"),
        output=top.text("output"),
        tensors=tensors,
        nodes=nodes,
        labels=top.texts("labels"),
        floats={
            name.removeprefix("float/"): values
            for name, values in sorted(arrays.items())
            if name.startswith("float/")
        },
        meta=top.mapping("meta"),
    )
    problems.stop()
    return model


def _tensor(f: Fields) -> Tensor:
    bits = f.integer("bits")
    if not 2 <= bits <= 32:
        f.note(f"grid of {bits} bits, grids have 2..32")
        bits = 2
    channels, height, width = f.integers("shape", 3)
    return Tensor(
        f.text("name"), channels, height, width, Grid(bits, f.flag("signed"), f.integer("exponent"))
    )


def _node(f: Fields, arrays: Arrays, problems: list[Problem]) -> Node | None:
    name, source, output = f.text("name"), f.text("source"), f.text("output")
    lo, hi = f.integer("lo"), f.integer("hi")
    op = f.raw("op")
    if op == "add":
        return Add(name, source, f.text("a"), f.text("b"), output, lo, hi)
    if op == "pool":
        return Pool(
            name,
            source,
            f.text("input"),
            output,
            f.integer("multiplier"),
            f.integer("shift"),
            lo,
            hi,
        )
    if op != "conv":
        f.note(f"unknown operation {op!r}")
        return None
    shape = f.integers("shape", 4)
    fmt = _format(f.child("format"))
    top, left, bottom, right = f.integers("padding", 4)
    parts = ["z", "bias", "acc_bits"]
    if f.text("requant") == "multiplier":
        parts += ["multiplier", "shift"]
    found = {part: arrays.get(f"int/{name}.{part}") for part in parts}
    codes = arrays.get(f"int/{name}.codes")
    for part, values in {"codes": codes, **found}.items():
        if values is None:
            problems.append(Problem(f"array 'int/{name}.{part}' is missing", _REMEDY, name))
    weight = None
    if codes is not None and fmt is not None:
        if _codes_digest(codes) != f.text("codes_sha256"):
            problems.append(
                Problem(
                    "the weight codes do not have the SHA-256 that the file states",
                    _REMEDY,
                    f"{name} ({source})",
                )
            )
        else:
            weight = _weight(codes, fmt, shape, f"{name} ({source})", problems)
    ready = {part: values for part, values in found.items() if values is not None}
    if weight is None or fmt is None or len(ready) < len(found):
        return None
    return Conv(
        name=name,
        source=source,
        input=f.text("input"),
        output=output,
        weight=weight,
        z=ready["z"],
        bias=ready["bias"],
        format=fmt,
        stride=f.integer("stride"),
        padding=(top, left, bottom, right),
        dilation=f.integer("dilation"),
        groups=f.integer("groups"),
        lo=lo,
        hi=hi,
        acc_bits=ready["acc_bits"],
        multiplier=ready.get("multiplier"),
        shift=ready.get("shift"),
    )


def _format(f: Fields) -> WeightFormat | None:
    kind, bits = f.raw("kind"), f.integer("bits")
    found: WeightFormat
    if kind == "int":
        found = IntFormat(bits)
        problems = uniform.check_format(found)
    elif kind == "shift":
        mode = cast(Literal["S1", "S2", "SEL", "FLT"], f.text("mode"))
        found = ShiftFormat(bits, f.integer("terms"), mode)
        problems = shift.check_format(found)
    else:
        f.note(f"unknown weight format {kind!r}")
        return None
    for problem in problems:
        f.note(problem.what)
    return None if problems else found


def _weight(
    codes: NDArray[Any],
    fmt: WeightFormat,
    shape: tuple[int, ...],
    where: str,
    problems: list[Problem],
) -> NDArray[np.int8] | None:
    dtype = np.uint8 if isinstance(fmt, ShiftFormat) else np.int8
    if codes.dtype != dtype or min(shape) < 1:
        problems.append(
            Problem(f"weights of shape {shape} stored as {codes.dtype}", _REMEDY, where)
        )
        return None
    if isinstance(fmt, IntFormat):
        if codes.shape == shape:
            return codes
        problems.append(Problem(f"weights are {codes.shape}, not {shape}", _REMEDY, where))
        return None
    # A code has at least four bits, so a shape that cannot fit is refused before any allocation.
    if math.prod(shape) > 2 * codes.size:
        problems.append(Problem(f"too few codes for weights of shape {shape}", _REMEDY, where))
        return None
    try:
        return packing.unpack(codes, fmt, shape)
    except InputError as error:
        problems += [Problem(p.what, p.remedy, where) for p in error.problems]
        return None
