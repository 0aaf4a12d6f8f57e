"""QuantizeLinear and DequantizeLinear between maps: a float network with known grids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported

__all__ = ["QUANTISED", "StoredGrid", "stored_grid"]


@dataclass(frozen=True)
class StoredGrid:
    """The scale of a map that a model stores; exponent: where it is a power of two, 2**exponent.

    low, high: the ends of its range, in steps.
    """

    scale: float
    exponent: int | None
    low: int
    high: int


def stored_grid(call: Call) -> StoredGrid:
    """Of a QuantizeLinear. Raises Unsupported for one that has a scale a channel."""
    scale = call.constant(1, "scale")
    zero = call.constant(2, "zero point")
    if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
        raise Unsupported("a map with a scale a channel", "quantise maps by tensor")
    kind = np.uint8 if zero is None else zero.dtype
    if kind not in (np.uint8, np.int8, np.uint16, np.int16):
        raise Unsupported(f"a map of the type {kind}", "use 8 or 16 bits")
    offset = 0 if zero is None else int(zero.reshape(()))
    value = float(scale.reshape(()))
    mantissa, exponent = math.frexp(value)
    info = np.iinfo(kind)
    known = exponent - 1 if mantissa == 0.5 else None
    return StoredGrid(value, known, info.min - offset, info.max - offset)


def _quantise(call: Call) -> Function:
    grid = stored_grid(call)
    # A range that starts at zero is all that is left of a ReLU in some exports.
    return (lambda x, *_: x.clamp(min=0.0)) if grid.low == 0 else (lambda x, *_: x)


def _dequantise(call: Call) -> Function:
    if call.is_constant(0):
        raise Unsupported("a constant that is computed at run time", "export it again")
    stored_grid(call)
    return lambda x, *_: x


QUANTISED: dict[str, Converter] = {"QuantizeLinear": _quantise, "DequantizeLinear": _dequantise}
