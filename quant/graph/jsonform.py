"""A model's graph as JSON, beside its arrays: the writing half of the model file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.formats import packing
from shiftforge.quant.graph.resizing import resize_to_json
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Node,
    Pool,
    QuantizedModel,
    ShiftFormat,
)

__all__ = ["SCHEMA", "Arrays", "arrays_digest", "codes_digest", "to_json"]

SCHEMA = 1
Arrays = Mapping[str, NDArray[Any]]


def arrays_digest(arrays: Arrays) -> str:
    """SHA-256 over the name, type, shape and bytes of every array, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def codes_digest(codes: NDArray[Any]) -> str:
    """SHA-256 of the bytes of packed codes."""
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
            **resize_to_json(p.resize),
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
        "codes_sha256": codes_digest(codes),
    }
