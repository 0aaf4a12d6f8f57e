"""Weight words and requantisation parameters as they lie in the board's global memory."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import TAPS, ArrayShape, tile_layer
from shiftforge.generator.conv.schedule import Layer
from shiftforge.quant.formats.shift import codes_from_ints
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["pack_parameters", "pack_weights", "weight_words"]

# SHIFT4 with two terms holds every value of the narrower formats, so the array needs one decoder.
_ARRAY_FORMAT = ShiftFormat(bits=4, terms=2)


def weight_words(layer: Layer, array: ArrayShape) -> NDArray[np.int8]:
    """Weight values in array order: (groups, words, 9 taps, units), zero where none is mapped."""
    tiling = tile_layer(layer, array)
    groups, words, units = tiling.out_groups, tiling.weight_words, array.units
    outputs = layer.weight.shape[0]
    if layer.mode == "pointwise":
        flat = np.zeros((groups * units, words * TAPS), np.int8)
        flat[:outputs, : layer.weight.shape[1]] = layer.weight
        return flat.reshape(groups, units, words, TAPS).transpose(0, 2, 3, 1)
    taps = layer.weight.reshape(outputs, -1, TAPS)
    padded = np.zeros((groups * units, taps.shape[1], TAPS), np.int8)
    padded[:outputs] = taps
    return padded.reshape(groups, units, taps.shape[1], TAPS).transpose(0, 2, 3, 1)


def _codes(values: NDArray[np.int8], array: ArrayShape) -> NDArray[np.uint8]:
    """Bytes of the weight words: integers, two nibbles, or two one-term codes a byte."""
    if array.unit == "multiplier":
        return values.view(np.uint8)
    first, second = codes_from_ints(values, _ARRAY_FORMAT)
    if array.terms == 2:
        return (first | (second << 4)).astype(np.uint8)
    if second.any():
        raise ValueError("a two-term weight does not fit an array with one shifter a lane")
    flat = first.reshape(-1, TAPS * array.units)
    half = flat.shape[1] // 2
    return (flat[:, :half] | (flat[:, half:] << 4)).astype(np.uint8)


def pack_weights(layers: tuple[Layer, ...], array: ArrayShape) -> bytes:
    """All weight words in order of use: layer, group of output channels, word."""
    return b"".join(
        _codes(np.ascontiguousarray(weight_words(layer, array)), array).tobytes()
        for layer in layers
    )


def pack_parameters(layers: tuple[Layer, ...], array: ArrayShape, multiplier: bool) -> bytes:
    """Requantisation constants in order of use, one record a group of output channels.

    A record is int32 rows of ``units`` values: bias, [multiplier,] left shift, right shift.
    """
    records = []
    for layer in layers:
        conv = layer.conv
        exponents = layer.conv_output.grid.exponent - layer.input.grid.exponent
        shifts = exponents - conv.z.astype(np.int64)
        left, right = np.maximum(-shifts, 0), np.maximum(shifts, 0)
        if not layer.direct:
            # Eight places take any sum but 0 past every 8-bit code, where it is clamped all the
            # same; more could leave 32 bits.
            left = np.minimum(left, 8)
        factor = np.int64(1) << np.minimum(left, 30)
        if conv.multiplier is not None and conv.shift is not None:
            factor, right, left = conv.multiplier, conv.shift, np.zeros_like(left)
        rows = [conv.bias, factor, left, right] if multiplier else [conv.bias, left, right]
        groups = ceil(len(conv.bias) / array.units)
        table = np.zeros((len(rows), groups * array.units), np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        shaped = table.reshape(len(rows), groups, array.units).transpose(1, 0, 2)
        records.append(np.ascontiguousarray(shaped).tobytes())
    return b"".join(records)
