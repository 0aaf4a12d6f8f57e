"""A model's graph as JSON, beside its arrays: the writing half of the model file."""

from __future__ import annotations

import hashlib
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.jsonchoices import write_choices
from shiftforge.quant.graph.jsonpreprocess import preprocess_to_json
from shiftforge.quant.graph.jsonweights import Arrays, write_weights
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Clamped,
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

__all__ = ["CHOICES_SCHEMA", "MAPS_SCHEMA", "SCHEMA", "arrays_digest", "to_json"]

SCHEMA = 1
CHOICES_SCHEMA = 2
"""Of files with channel orders or variants, which readers of schema 1 would leave out."""
MAPS_SCHEMA = 3
"""Of files with other nodes than convolutions, additions and global averages, or more outputs."""


def arrays_digest(arrays: Arrays) -> str:
    """SHA-256 over the name, type, shape and bytes of every array, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def to_json(model: QuantizedModel) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(graph, arrays) of a verified model.

    arrays: those of ``write_weights`` under "int/<conv>" and "variant/<k>/<conv>"; the floats
    "float/<conv>.weight" and ".bias"; the orders "order/<tensor>".
    """
    arrays: dict[str, NDArray[Any]] = {}
    nodes: list[dict[str, Any]] = []
    for node in model.nodes:
        nodes.append(
            _node_to_json(node, arrays)
            | {"name": node.name, "source": node.source, "output": node.output}
            | ({"lo": node.lo, "hi": node.hi} if isinstance(node, Clamped) else {})
        )
    for name, values in model.floats.items():
        arrays[f"float/{name}"] = np.ascontiguousarray(values)
    choices = write_choices(model, arrays)
    graph: dict[str, Any] = {
        "schema": _schema(model),
        "name": model.name,
        "input": model.input,
        "output": model.output,
        **({"more_outputs": list(model.more_outputs)} if model.more_outputs else {}),
        **({"host": dict(model.host)} if model.host else {}),
        "preprocess": preprocess_to_json(model.preprocess),
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
        **choices,
        "arrays": sorted(arrays),
        "arrays_sha256": arrays_digest(arrays),
    }
    return graph, arrays


def _schema(model: QuantizedModel) -> int:
    """The oldest version that holds the model."""
    older = all(isinstance(node, Conv | Add | Pool) for node in model.nodes)
    if not older or model.more_outputs or model.host:
        return MAPS_SCHEMA
    return CHOICES_SCHEMA if model.orders or model.variants else SCHEMA


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
        case MaxPool():
            return {"op": "max_pool", "input": node.input, **_windows(node)}
        case AveragePool():
            return {
                "op": "average_pool",
                "input": node.input,
                **_windows(node),
                "counted": list(node.counted),
                "constants": [number for constant in node.constants for number in constant],
            }
        case Concat():
            return {"op": "concat", "inputs": list(node.inputs)}
        case Slice():
            return {"op": "slice", "input": node.input, "start": node.start, "stop": node.stop}
        case Shuffle():
            return {"op": "shuffle", "input": node.input, "order": list(node.order)}
        case Table():
            return {"op": "table", "input": node.input, "codes": list(node.codes)}
        case Upsample():
            return {
                "op": "upsample",
                "input": node.input,
                "factor": list(node.factor),
                "mode": node.mode,
                "trailing": list(node.trailing),
            }
        case _:
            assert_never(node)


def _windows(node: MaxPool | AveragePool) -> dict[str, Any]:
    return {
        "kernel": list(node.kernel),
        "stride": list(node.stride),
        "padding": list(node.padding),
    }


def _conv_to_json(conv: Conv, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {
        "op": "conv",
        "input": conv.input,
        "shape": list(conv.weight.shape),
        "stride": conv.stride,
        "padding": list(conv.padding),
        "dilation": conv.dilation,
        "groups": conv.groups,
        **write_weights(conv, f"int/{conv.name}", arrays),
    }
