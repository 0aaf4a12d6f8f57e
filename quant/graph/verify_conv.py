"""The specification of one convolution: geometry, arrays, accumulator and requantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.formats import shift, uniform
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import Conv, ShiftFormat, Tensor

__all__ = ["MAX_ACC_BITS", "MAX_MULTIPLIER_SHIFT", "MAX_SHIFT", "check_conv"]

MAX_SHIFT = 31
MAX_MULTIPLIER_SHIFT = 62
MAX_ACC_BITS = 32
MAX_Z = 64


def check_conv(conv: Conv, x: Tensor, out: Tensor) -> list[str]:
    """What is wrong with a convolution between two sound tensors, as sentences."""
    texts = _arrays(conv)
    if texts:
        return texts  # nothing below can be computed on arrays of the wrong form
    texts += _geometry(conv, x, out)
    texts += _values(conv)
    texts += _requantisation(conv, x, out)
    return texts


def _arrays(conv: Conv) -> list[str]:
    texts = []
    if conv.weight.dtype != np.int8 or conv.weight.ndim != 4 or 0 in conv.weight.shape:
        return [f"weight is {conv.weight.dtype} {conv.weight.shape}, not int8 (O, I/g, kh, kw)"]
    count = conv.weight.shape[0]
    if (conv.multiplier is None) != (conv.shift is None):
        texts.append("has one of multiplier and shift, must have both or neither")
    arrays: tuple[tuple[str, NDArray[Any] | None, type[np.integer]], ...] = (
        ("z", conv.z, np.int8),
        ("bias", conv.bias, np.int32),
        ("acc_bits", conv.acc_bits, np.uint8),
        ("multiplier", conv.multiplier, np.int64),
        ("shift", conv.shift, np.int64),
    )
    for name, array, dtype in arrays:
        if array is not None and (array.dtype != dtype or array.shape != (count,)):
            texts.append(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} ({count},)")
    return texts


def _geometry(conv: Conv, x: Tensor, out: Tensor) -> list[str]:
    texts = []
    if conv.stride < 1 or conv.dilation < 1 or conv.groups < 1:
        return [
            f"stride {conv.stride}, dilation {conv.dilation} and groups {conv.groups} "
            "must be at least 1"
        ]
    if len(conv.padding) != 4 or min(conv.padding) < 0:
        return [f"padding {conv.padding} is not four sizes >= 0"]
    o, i_per_group, kh, kw = conv.weight.shape
    if o % conv.groups or x.channels % conv.groups:
        texts.append(
            f"{x.channels} input and {o} output channels do not divide by {conv.groups} groups"
        )
    elif i_per_group * conv.groups != x.channels:
        texts.append(
            f"weight reads {i_per_group * conv.groups} channels, the input has {x.channels}"
        )
    top, left, bottom, right = conv.padding
    height = (x.height + top + bottom - conv.dilation * (kh - 1) - 1) // conv.stride + 1
    width = (x.width + left + right - conv.dilation * (kw - 1) - 1) // conv.stride + 1
    if out.shape != (o, height, width):
        texts.append(
            f"output has the shape {out.shape}, the convolution makes {(o, height, width)}"
        )
    return texts


def _values(conv: Conv) -> list[str]:
    fmt = conv.format
    format_problems = (
        shift.check_format(fmt) if isinstance(fmt, ShiftFormat) else uniform.check_format(fmt)
    )
    if format_problems:
        return [p.what for p in format_problems]
    allowed = np.zeros(256, np.bool_)
    allowed[format_levels(fmt) & 0xFF] = True
    bad = ~allowed[conv.weight.view(np.uint8)]
    if not bad.any():
        return []
    first = tuple(int(k) for k in np.argwhere(bad)[0])
    return [
        f"{int(bad.sum())} weights are no values of the format {fmt}, the first is "
        f"{int(conv.weight[first])} at {first}"
    ]


def _requantisation(conv: Conv, x: Tensor, out: Tensor) -> list[str]:
    texts = []
    z = conv.z.astype(np.int64)
    if np.abs(z).max() > MAX_Z:
        texts.append(f"weight exponent {int(z[np.abs(z).argmax()])} is beyond +-{MAX_Z}")
    r = None
    if conv.multiplier is None or conv.shift is None:
        r = out.grid.exponent - x.grid.exponent - z
        worst = int(np.abs(r).argmax())
        if abs(r[worst]) > MAX_SHIFT:
            texts.append(
                f"channel {worst} is requantised by a shift of {int(r[worst])}, beyond "
                f"+-{MAX_SHIFT}"
            )
    else:
        for name, bad in (
            ("multiplier", (conv.multiplier <= 0) | (conv.multiplier >= 1 << 31)),
            ("shift", (conv.shift < 0) | (conv.shift > MAX_MULTIPLIER_SHIFT)),
        ):
            if bad.any():
                channel = int(bad.argmax())
                value = int((conv.multiplier if name == "multiplier" else conv.shift)[channel])
                texts.append(f"{name} {value} of channel {channel} is out of range")
    needed = accumulator_bits(conv.weight, conv.bias, x.grid, r)
    short = needed > conv.acc_bits
    if short.any():
        channel = int(short.argmax())
        texts.append(
            f"acc_bits {int(conv.acc_bits[channel])} of channel {channel} is too small, "
            f"{int(needed[channel])} are needed"
        )
    widest = max(int(conv.acc_bits.max()), int(needed.max()))
    if widest > MAX_ACC_BITS:
        texts.append(f"needs an accumulator of {widest} bits, {MAX_ACC_BITS} at most")
    return texts
