"""Ways to write a rounding to a grid other than QuantizeLinear, brought to that one.

Codes of a power-of-two grid are also made by ``Mul``, ``Round``, ``Clip`` and ``Cast``, bounded by
``Clip`` before QuantizeLinear, and left by ``Mul`` alone where no type of eight bits holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shiftforge.quant.capture.onnx.call import Call
from shiftforge.quant.capture.onnx.rewrite import Rewrite, exponent_of

__all__ = ["BITS", "NEVER_NEGATIVE", "bounded", "never_negative", "rounded"]

BITS, NEVER_NEGATIVE = "bits", "never negative"
"""Attributes that a pass adds to QuantizeLinear and DequantizeLinear."""
_WIDE = 1 << 15
_RANGES = {
    (0, (1 << bits) - 1) if unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1): bits
    for unsigned in (True, False)
    for bits in range(2, 9)
}
_KEEP = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum",
    "ReduceMax", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Slice", "Split",
    "Transpose", "Gather", "Resize", "Identity", "Cast", "Dropout", "DequantizeLinear",
}  # fmt: skip


def rounded(graph: Rewrite) -> None:
    """``Mul``, ``Round``, ``Clip`` and ``Cast`` before DequantizeLinear or ``Mul``."""
    instead: dict[str, Sequence[Call]] = {}
    for call in graph.calls:
        exponent = _step(graph, call)
        if exponent is None:
            continue
        before, codes = call.inputs[0], call.kind == "DequantizeLinear"
        cast = graph.maker(before, "Cast")
        if codes and cast is not None:
            before = cast.inputs[0]
        clip = graph.maker(before, "Clip")
        low, high = (graph.number(clip, n) for n in (1, 2)) if clip else (None, None)
        rounding = graph.maker(clip.inputs[0] if clip else before, "Round")
        scaling = graph.maker(rounding.inputs[0], "Mul") if rounding else None
        if scaling is None or not scaling.is_constant(1) or (codes and not cast):
            continue
        made: list[Call] = []
        value = scaling.inputs[0]
        factor = graph.value(scaling, 1)
        assert factor is not None
        factor = factor * 2.0**exponent
        if not np.all(factor == 1):
            held = graph.constant(f"{scaling.outputs[0]}.real", factor)
            made.append(graph.like(scaling, "Mul", [value, held], scaling.outputs[0]))
            value = scaling.outputs[0]
        wide = not codes or low is None or high is None or high - low >= _WIDE
        if wide and call.kind == "Mul":
            made.append(graph.like(call, "Identity", [value], call.outputs[0]))
        elif not wide and low is not None and high is not None:
            ends = [
                graph.constant(f"{call.outputs[0]}.{n}", np.array(n * 2.0**exponent, np.float32))
                for n in (low, high)
            ]
            assert cast is not None
            clipped = f"{call.outputs[0]}.bounded"
            made.append(graph.like(scaling, "Clip", [value, *ends], clipped))
            made.append(
                graph.like(cast, "QuantizeLinear", [clipped, *call.inputs[1:]], cast.outputs[0])
            )
            made.append(call)
        else:
            continue
        instead[call.outputs[0]] = made
    graph.put(instead)


def _step(graph: Rewrite, call: Call) -> int | None:
    """e where a call multiplies codes by 2**e."""
    if call.kind not in ("DequantizeLinear", "Mul") or not call.is_constant(1):
        return None
    scale = graph.number(call, 1)
    return None if scale is None or not np.isfinite(scale) else exponent_of(scale)


def bounded(graph: Rewrite) -> None:
    """``Clip`` before QuantizeLinear: the range of fewer bits, or of a ReLU6 on a coarse grid."""
    instead: dict[str, Sequence[Call]] = {}
    bits: dict[str, int] = {}
    for call in graph.calls:
        if call.kind == "DequantizeLinear" and call.inputs[0] in bits:
            given = {**call.attributes, BITS: bits[call.inputs[0]]}
            instead[call.outputs[0]] = (replace(call, attributes=given),)
        scale = graph.number(call, 1) if call.kind == "QuantizeLinear" else None
        clip = graph.maker(call.inputs[0], "Clip") if scale else None
        if clip is None or scale is None:
            continue
        low, high = graph.number(clip, 1), graph.number(clip, 2)
        if low is None or high is None:
            continue
        codes = low / scale, high / scale
        if not np.isfinite(codes).all():
            continue
        whole = round(codes[0]), round(codes[1])
        if max(abs(a - b) for a, b in zip(codes, whole, strict=True)) > 1e-6:
            continue
        zero = graph.value(call, 2)
        signed = zero is not None and zero.dtype == np.int8
        if low == 0 and abs(high - 6) <= scale / 2 and high != 6:
            held = graph.constant(f"{clip.outputs[0]}.six", np.array(6, np.float32))
            instead[clip.outputs[0]] = (
                graph.like(clip, "Clip", [*clip.inputs[:2], held], clip.outputs[0]),
            )
        elif whole in _RANGES and high != 6 and (signed == (whole[0] < 0)):
            bits[call.outputs[0]] = _RANGES[whole]
            given = {**call.attributes, BITS: _RANGES[whole]}
            inputs = (clip.inputs[0], *call.inputs[1:])
            instead[call.outputs[0]] = (replace(call, inputs=inputs, attributes=given),)
        elif signed and low == 0 and whole[1] == (1 << 7) - 1:
            relu = graph.like(clip, "Relu", clip.inputs[:1], clip.outputs[0])
            instead[clip.outputs[0]] = (relu,)
    graph.put(instead)


def never_negative(graph: Rewrite) -> None:
    """Mark each QuantizeLinear of values that are never below 0, where a bound at 0 is idle."""
    known: set[str] = set()
    instead: dict[str, Sequence[Call]] = {}
    for call in graph.calls:
        if _from_zero(graph, call, known):
            known |= set(call.outputs)
        if call.kind == "QuantizeLinear" and call.inputs[0] in known:
            given = {**call.attributes, NEVER_NEGATIVE: 1}
            instead[call.outputs[0]] = (replace(call, attributes=given),)
    graph.put(instead)


def _from_zero(graph: Rewrite, call: Call, known: set[str]) -> bool:
    places = [n for n in range(len(call.inputs)) if call.has(n)]
    maps = [call.inputs[n] for n in places if not call.is_constant(n)]
    kept = bool(maps) and known.issuperset(maps)
    if call.kind in ("Add", "Sum", "Mul"):
        constants = [graph.value(call, n) for n in places if call.is_constant(n)]
        return kept and all(bool((own >= 0).all()) for own in constants if own is not None)
    if call.kind == "Clip":
        low = graph.number(call, 1)
        return kept or (low is not None and low >= 0)
    if call.kind == "QuantizeLinear":
        zero = graph.value(call, 2)
        return kept or zero is None or (zero.dtype.kind == "u" and not zero.any())
    return call.kind in ("Relu", "Sigmoid", "HardSigmoid", "Abs") or (kept and call.kind in _KEEP)
