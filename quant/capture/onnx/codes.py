"""A quantised ONNX model: brought to QuantizeLinear and DequantizeLinear, and its scales kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.onnx.call import Call
from shiftforge.quant.capture.onnx.module import DAMAGED, module_name
from shiftforge.quant.capture.onnx.parts import averages, joined, looked_up
from shiftforge.quant.capture.onnx.quantised import left_scales
from shiftforge.quant.capture.onnx.rewrite import Rewrite
from shiftforge.quant.capture.onnx.rounded import bounded, never_negative, rounded
from shiftforge.quant.capture.onnx.walk import Walk
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.types import FloatConv, FloatGraph

__all__ = ["recovered", "with_scales"]


def recovered(found: Walk, outputs: Sequence[str], functions: Mapping[str, Any]) -> Walk:
    """The walk with quantised forms in their usual one; as it was where no map is quantised.

    functions: of tables, by the value that they make. Raises InputError for numbers that do not fit
    together.
    """
    if not any(call.kind in ("QuantizeLinear", "DequantizeLinear") for call in found.calls):
        return found
    graph = Rewrite(found, outputs)
    graph.index()
    try:
        looked_up(graph, functions)
        for rewrite in (rounded, joined, averages, bounded, never_negative):
            rewrite(graph)
    except DAMAGED as error:
        what = f"its quantised form is damaged: {reason(error)}"
        raise InputError(Problem(what, "export the network again")) from error
    return replace(found, calls=graph.calls)


def with_scales(graph: FloatGraph, found: Walk) -> FloatGraph:
    """The captured graph with the exponents of its weights, and what is not kept."""
    left = left_scales(found.calls)
    exponents: dict[str, NDArray[np.int64]] = {}
    by_path: dict[str, list[Call]] = {}
    for call in found.calls:
        if call.kind in _OUTPUTS:
            by_path.setdefault(module_name(call.name), []).append(call)
    for node in graph.nodes:
        if not isinstance(node, FloatConv):
            continue
        for call in by_path.get(node.source, ()):
            weight = call.inputs[1]
            if weight in found.scales:
                what = f"the scale {found.scales[weight]:.6g} of its weights is no power of two"
                left[node.name] = what
            z = _of_outputs(call, found.exponents.get(weight))
            if z is not None and len(z) == len(node.weight) and _whole(node, z):
                exponents[node.name] = z
    return replace(graph, stored=replace(graph.stored, exponents=exponents, left=left))


_OUTPUTS = {"Conv": 0, "Gemm": 1, "MatMul": 1}
"""Which axis of the weights is the outputs'."""


def _of_outputs(call: Call, known: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """z (O,) of a call's weights; None where they have none, or more than one an output."""
    if known is None:
        return None
    axis = 0 if call.attributes.get("transB", 0) else _OUTPUTS[call.kind]
    shape = call.shape(1)
    each = np.moveaxis(np.broadcast_to(known, shape), axis, 0).reshape(shape[axis], -1)
    return each[:, 0].copy() if (each == each[:, :1]).all() else None


def _whole(node: FloatConv, z: NDArray[np.int64]) -> bool:
    codes = np.ldexp(node.weight.astype(np.float64), -z[:, None, None, None])
    return bool((codes == np.rint(codes)).all() and np.abs(codes).max(initial=0) <= 128)
