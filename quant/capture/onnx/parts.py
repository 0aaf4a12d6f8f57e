"""Sums that a quantised export takes apart, put together again.

Convolutions of parts of the inputs are one convolution; a sum, or a convolution of ones, times what
divides by the number of places is an average; a list of entries that codes look up is the function
that the model's metadata says it holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.onnx.call import Call
from shiftforge.quant.capture.onnx.rewrite import Rewrite

__all__ = ["FUNCTION", "averages", "joined", "looked_up"]

FUNCTION = "function"
"""Attribute of a call that stands for a function of every value, as JSON."""
# A pool's constant has 16 bits (formats/reciprocal.py).
_NEAR = 1 / 1000


@dataclass(frozen=True, eq=False)
class _Part:
    """A convolution of some channels of a value."""

    call: Call
    source: str
    weight: NDArray[Any]


def joined(graph: Rewrite) -> None:
    """Sums of convolutions of one value by integer weights, which share no weight, as one."""
    instead: dict[str, Sequence[Call]] = {}
    sums = [call for call in graph.calls if call.kind == "Add" and not _constants(call)]
    inner = {name for call in sums for name in call.inputs}
    for call in sums:
        if call.outputs[0] in inner:
            continue
        parts = _parts(graph, call)
        if parts is None or len(parts) < 2 or not _alike(parts):
            continue
        weight = np.sum([part.weight for part in parts], axis=0)
        first = parts[0]
        known = graph.found.exponents.get(first.call.inputs[1])
        name = graph.constant(f"{call.outputs[0]}.weight", weight)
        if known is not None:
            graph.found.exponents[name] = known
        made = graph.like(
            first.call, "Conv", [first.source, name], call.outputs[0], first.call.attributes
        )
        instead[call.outputs[0]] = (made,)
    graph.put(instead)


def _constants(call: Call) -> list[int]:
    return [n for n in range(len(call.inputs)) if call.is_constant(n)]


def _parts(graph: Rewrite, top: Call) -> list[_Part] | None:
    """The convolutions that a sum is made of; None where it is of anything else."""
    found: list[_Part] = []
    left = list(top.inputs)
    while left:
        name = left.pop()
        add = graph.maker(name, "Add")
        if add is not None and not _constants(add):
            left += add.inputs
            continue
        part = _part(graph, name)
        if part is None:
            return None
        found.append(part)
    return found


def _part(graph: Rewrite, name: str) -> _Part | None:
    """The convolution by integer weights that makes a value."""
    cast = graph.maker(name, "Cast")
    conv = graph.maker(cast.inputs[0] if cast else name, "Conv")
    if conv is None or len(conv.inputs) > 2 or conv.inputs[1] not in graph.found.exponents:
        return None
    weight = graph.value(conv, 1)
    assert weight is not None
    cut = graph.maker(conv.inputs[0], "Slice")
    if cut is None or int(conv.attributes.get("group", 1)) != 1:
        return _Part(conv, conv.inputs[0], weight)
    numbers = [graph.value(cut, n) for n in range(1, len(cut.inputs))]
    if len(numbers) != 3 or any(own is None or own.size != 1 for own in numbers):
        return _Part(conv, conv.inputs[0], weight)
    start, stop, axis = (int(own.reshape(())) for own in numbers if own is not None)
    channels = cut.shape()[1]
    if axis != 1 or not 0 <= start < stop <= channels or stop - start != weight.shape[1]:
        return _Part(conv, conv.inputs[0], weight)
    around = [(0, 0)] * weight.ndim
    around[1] = (start, channels - stop)
    return _Part(conv, cut.inputs[0], np.pad(weight, around))


def _alike(parts: Sequence[_Part]) -> bool:
    first = parts[0]
    return all(
        own.source == first.source
        and own.call.attributes == first.call.attributes
        and own.weight.shape == first.weight.shape
        for own in parts
    ) and bool((np.sum([own.weight != 0 for own in parts], axis=0) <= 1).all())


def averages(graph: Rewrite) -> None:
    """A sum of rows and columns, or of windows, times what divides by the number of places."""
    instead: dict[str, Sequence[Call]] = {}
    for call in graph.calls:
        factor = graph.value(call, 1) if call.kind == "Mul" else None
        if factor is None:
            continue
        cast = graph.maker(call.inputs[0], "Cast")
        total = graph.maker(cast.inputs[0] if cast else call.inputs[0], "ReduceSum", "Conv")
        if total is None:
            continue
        name = call.outputs[0]
        count = math.prod(total.shape()) / max(1, math.prod(call.made))
        if total.kind == "ReduceSum" and _near(factor, count):
            mean = graph.like(total, "ReduceMean", total.inputs, name, total.attributes)
            instead[name] = (mean,)
        elif total.kind == "Conv" and (given := _window(graph, total, factor)) is not None:
            instead[name] = (graph.like(total, "AveragePool", total.inputs[:1], name, given),)
    graph.put(instead)


def _near(factor: NDArray[Any], count: Any) -> bool:
    return bool((np.abs(factor * count - 1) < _NEAR).all())


def _window(graph: Rewrite, call: Call, factor: NDArray[Any]) -> Mapping[str, Any] | None:
    """Attributes of the average pool that a depthwise convolution of ones divided is."""
    weight = graph.value(call, 1)
    if len(call.inputs) > 2 or weight is None or weight.ndim != 4 or (weight != 1).any():
        return None
    given = call.attributes
    dilated = any(n != 1 for n in given.get("dilations", ()))
    if weight.shape[0] != call.shape()[1] or weight.shape[1] != 1 or dilated:
        return None
    kernel = weight.shape[2:]
    strides, pads = given.get("strides", (1, 1)), given.get("pads", (0, 0, 0, 0))
    if len(strides) != 2 or min(strides) < 1 or len(pads) != 4 or min(pads) < 0:
        return None
    top, left, bottom, right = pads
    inside = np.pad(np.ones(call.shape()[2:]), ((top, bottom), (left, right)))
    if any(k > n for k, n in zip(kernel, inside.shape, strict=True)):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(inside, kernel)
    counts = windows.sum(axis=(2, 3))[:: strides[0], :: strides[1]]
    pool = {"kernel_shape": list(kernel), "strides": list(strides)}
    pool["pads"] = [top, left, bottom, right]
    for counted, count in ((1, float(kernel[0] * kernel[1])), (0, counts)):
        if _near(factor, count):
            return {**pool, "count_include_pad": counted}
    return None


def looked_up(graph: Rewrite, functions: Mapping[str, Any]) -> None:
    """``Gather`` of entries by codes, where the metadata says which function of the map it is.

    functions: JSON of each, by the name of the value that DequantizeLinear makes of the entries.
    """
    instead: dict[str, Sequence[Call]] = {}
    real = {c.inputs[0]: c.outputs[0] for c in graph.calls if c.kind == "DequantizeLinear"}
    for call in graph.calls:
        if call.kind != "DequantizeLinear" or call.outputs[0] not in functions:
            continue
        gather = graph.maker(call.inputs[0], "Gather", sole=False)
        place = graph.maker(gather.inputs[1], "Sub") if gather else None
        cast = graph.maker(place.inputs[0], "Cast") if place else None
        if gather is None or cast is None or cast.inputs[0] not in real:
            continue
        told = {FUNCTION: functions[call.outputs[0]]}
        value = graph.like(gather, "Function", [real[cast.inputs[0]]], gather.outputs[0], told)
        instead[gather.outputs[0]] = (value,)
    graph.put(instead)
