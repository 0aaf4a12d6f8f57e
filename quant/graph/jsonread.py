"""The reading half of the model file: a JSON graph and its arrays, neither of them trusted."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.formats import packing, shift, uniform
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.jsonform import SCHEMA, Arrays, arrays_digest, codes_digest
from shiftforge.quant.graph.resizing import resize_from_json
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

__all__ = ["from_json"]

_REMEDY = "make the model file anew"


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
        resize_from_json(pre),
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
        if codes_digest(codes) != f.text("codes_sha256"):
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
        if f.raw("mode") == "FLT":
            what = "weights in the storage mode FLT, which this release does not read"
            f.note(what, "quantise the network again")
            return None
        mode = cast(Literal["S1", "S2", "SEL"], f.text("mode"))
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
