"""The reading half of the model file: a JSON graph and its arrays, neither of them trusted."""

from __future__ import annotations

from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.jsonchoices import read_orders, read_variants
from shiftforge.quant.graph.jsonform import CHOICES_SCHEMA, MAPS_SCHEMA, SCHEMA, arrays_digest
from shiftforge.quant.graph.jsonmaps import read_map
from shiftforge.quant.graph.jsonpreprocess import preprocess_from_json
from shiftforge.quant.graph.jsonweights import Arrays, read_weights
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    Node,
    Pool,
    QuantizedModel,
    Tensor,
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
    known = (SCHEMA, CHOICES_SCHEMA, MAPS_SCHEMA)
    if top.has("schema") and top.raw("schema") not in known:
        raise InputError(
            Problem(
                f"schema version {top.raw('schema')!r}, this release reads {SCHEMA} to "
                f"{MAPS_SCHEMA}",
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

    preprocess = preprocess_from_json(top.child("preprocess"))
    tensors: dict[str, Tensor] = {}
    for fields in top.children("tensors"):
        tensor = _tensor(fields)
        if tensor.name in tensors:
            fields.note(f"tensor {tensor.name!r} is listed twice")
        tensors[tensor.name] = tensor
    nodes = tuple(
        node for fields in top.children("nodes") if (node := _node(fields, arrays, problems))
    )
    orders, variants = read_orders(arrays), read_variants(top, nodes, arrays, problems)
    if top.raw("schema") == SCHEMA and (orders or variants):
        top.note(f"channel orders or variants in a file of schema version {SCHEMA}")
    if top.raw("schema") != MAPS_SCHEMA:
        for node in nodes:
            if not isinstance(node, Conv | Add | Pool):
                what = f"{node.name!r} is in a file of schema version {top.raw('schema')}"
                top.note(f"the {type(node).__name__} {what}, which knows none")
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
        orders=orders,
        variants=variants,
        meta=top.mapping("meta"),
        more_outputs=top.texts("more_outputs") if top.has("more_outputs") else (),
        host=_host(top),
    )
    problems.stop()
    return model


def _host(top: Fields) -> dict[str, str]:
    """The functions that are left to the host, by output; `verify` judges them."""
    told = top.mapping("host") if top.has("host") else {}
    if not all(isinstance(kind, str) for kind in told.values()):
        top.note("field 'host' is not an object of texts")
        return {}
    return dict(told)


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
    op = f.raw("op")
    if op not in ("add", "pool", "conv"):
        return read_map(f, str(op), name, source, output)
    lo, hi = f.integer("lo"), f.integer("hi")
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
    shape = f.integers("shape", 4)
    top, left, bottom, right = f.integers("padding", 4)
    own = read_weights(f, f"int/{name}", shape, arrays, f"{name} ({source})", problems)
    if own is None:
        return None
    return Conv(
        name=name,
        source=source,
        input=f.text("input"),
        output=output,
        stride=f.integer("stride"),
        padding=(top, left, bottom, right),
        dilation=f.integer("dilation"),
        groups=f.integer("groups"),
        lo=lo,
        hi=hi,
        **vars(own),
    )
