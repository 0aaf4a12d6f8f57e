"""QuantizeLinear and DequantizeLinear between maps: a float network with known grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shiftforge.quant.capture.function import from_json
from shiftforge.quant.capture.function_values import values
from shiftforge.quant.capture.marks import on_grid
from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported
from shiftforge.quant.capture.onnx.parts import FUNCTION
from shiftforge.quant.capture.onnx.rewrite import exponent_of
from shiftforge.quant.capture.onnx.rounded import BITS, NEVER_NEGATIVE
from shiftforge.quant.graph.types import Grid
from shiftforge.quant.graph.verify import MAX_EXPONENT

__all__ = ["LOOKED_UP", "QUANTISED", "StoredGrid", "left_scales", "stored_grid"]


@dataclass(frozen=True)
class StoredGrid:
    """The grid of a map that a model stores; None where the integer graph has none like it.

    why: the reason then. starts_at_zero: no value below 0 is on it.
    """

    grid: Grid | None
    starts_at_zero: bool
    why: str = ""


def stored_grid(call: Call) -> StoredGrid:
    """Of a QuantizeLinear or a DequantizeLinear.

    Raises Unsupported for one that has a scale a channel, and for a type of other than 8 or 16
    bits.
    """
    scale = call.constant(1, "scale")
    zero = call.constant(2, "zero point")
    if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
        raise Unsupported("a map with a scale a channel", "quantise maps by tensor")
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    if kind not in (np.uint8, np.int8, np.uint16, np.int16):
        raise Unsupported(f"a map of the type {kind}", "use 8 or 16 bits")
    value = float(scale.reshape(()))
    if not np.isfinite(value) or value <= 0:
        raise Unsupported(f"its scale is {value:g}", "use a positive scale")
    offset = 0 if zero is None else int(zero.reshape(()))
    info = np.iinfo(kind)
    low, high = info.min - offset, info.max - offset
    exponent = exponent_of(value)
    if exponent is None:
        why = f"its scale {value:.6g} is no power of two"
    elif abs(exponent) > MAX_EXPONENT:
        why = f"its scale 2^{exponent} is beyond 2^{MAX_EXPONENT}"
    elif (low, high) not in ((-128, 127), (0, 255)):
        why = f"its codes stand for {low} to {high} steps"
    else:
        bits = int(call.attributes.get(BITS, 8))
        return StoredGrid(Grid(bits, low < 0, exponent), low == 0)
    return StoredGrid(None, low == 0, why)


def _quantise(call: Call) -> Function:
    stored = stored_grid(call)
    # A range that starts at zero is all that is left of a ReLU in some exports.
    clamps = stored.starts_at_zero and not call.attributes.get(NEVER_NEGATIVE)
    return (lambda x, *_: x.clamp(min=0.0)) if clamps else (lambda x, *_: x)


def _dequantise(call: Call) -> Function:
    if call.is_constant(0):
        raise Unsupported("a constant that is computed at run time", "export it again")
    grid = stored_grid(call).grid
    if grid is None:
        return lambda x, *_: x
    return lambda x, *_: on_grid(x, grid.exponent, grid.bits, grid.signed)


def _function(call: Call) -> Function:
    function = from_json(call.attributes[FUNCTION], call.name)
    return lambda x, *_: values(function, x)


def left_scales(calls: Sequence[Call]) -> dict[str, str]:
    """Maps whose stored scale is not kept, with the reason."""
    found = [(call, stored_grid(call)) for call in calls if call.kind == "DequantizeLinear"]
    return {call.outputs[0]: stored.why for call, stored in found if stored.grid is None}


QUANTISED: dict[str, Converter] = {
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
}
LOOKED_UP: dict[str, Converter] = {"Function": _function}
"""What ``parts.looked_up`` makes; no operator of ONNX."""
