"""How the array takes a convolution: its mode, and its weights in that mode's layout.

* pointwise: kernel 1 at stride 1; nine input channels a cycle. A standard convolution on the image
  also runs so, because the loader lays its taps out as channels.
* depthwise: up to 3x3, one channel a unit, through the line buffer.
* standard: windows of 3x3, one input channel a cycle. A larger kernel is cut into such windows;
  what a dilated one has between its taps is left out where that is whole rows or columns of one.

Convolutions of groups are cut into blocks of whole channel groups of the array, which are dense
inside; where no block is made of whole ones, all channels are one.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.geometry import image_kernel, on_image
from shiftforge.generator.conv.layers import Embedding, Windows
from shiftforge.quant.graph.types import Conv, QuantizedModel

__all__ = ["by_digits", "embed", "embedded", "fits_depthwise", "one_hot", "windows_of"]


def embed(conv: Conv, model: QuantizedModel, units: int) -> Embedding:
    """How an array of so many units takes a convolution."""
    if on_image(conv, model):
        return Embedding("pointwise", image=image_kernel(conv))
    top, left = conv.padding[:2]
    plain = conv.kernel == (1, 1) and conv.stride == 1 and not any(conv.padding)
    if fits_depthwise(conv) and not (plain and conv.groups == 1):
        return Embedding("depthwise", conv.stride, top, left)
    merged, blocks = _blocks(conv, units)
    if plain:
        return Embedding("pointwise", merged=merged, blocks=blocks)
    windows = windows_of(conv)
    return Embedding("standard", conv.stride, top, left, 0, windows, merged, blocks)


def fits_depthwise(conv: Conv) -> bool:
    """Whether a convolution is depthwise, and the line buffer has its windows."""
    if conv.weight.shape[:2] != (conv.groups, 1):
        return False
    sides = [conv.dilation * (k - 1) + 1 for k in conv.kernel]
    top, left, bottom, right = conv.padding
    inside = max(top, left) <= 1 and top + bottom < sides[0] and left + right < sides[1]
    every_third = conv.stride == 3 and sides == [1, 1]
    return max(sides) <= 3 and (conv.stride in (1, 2) or every_third) and inside


def windows_of(conv: Conv) -> Windows:
    """Into which windows of 3x3 a kernel is cut."""
    taps = _taps(conv.dilation)
    rows, columns = (ceil(k / taps) for k in conv.kernel)
    step = taps * conv.dilation
    return Windows(rows, columns, step, step)


def _taps(dilation: int) -> int:
    """Taps of a dilated row that three places hold."""
    return 2 // dilation + 1


def _blocks(conv: Conv, units: int) -> tuple[int, int]:
    """(groups of a block, blocks): the smallest blocks that are made of whole channel groups."""
    groups, (outputs, inputs) = conv.groups, conv.weight.shape[:2]
    out = outputs // groups
    for merged in range(1, groups):
        if (inputs * merged) % units == 0 and (out * merged) % units == 0:
            rest = groups % merged
            # The last block may have fewer channels, but not fewer channel groups.
            if not rest or ceil(inputs * rest / units) * units == inputs * merged:
                return merged, ceil(groups / merged)
    return groups, 1


def embedded(own: Embedding, conv: Conv, values: NDArray[Any]) -> NDArray[Any]:
    """Values of a convolution's weights, (O, I // groups, kh, kw), in the layout of
    ``Layer.weight``; zero where there is no weight. Values that take no memory (a dry model's)
    stay so."""
    outputs, depth, kh, kw = values.shape
    if own.mode == "depthwise":
        shape: tuple[int, ...] = (outputs, 3, 3)
    elif own.image:
        shape = (outputs, depth * own.image**2)
    elif own.mode == "pointwise":
        shape = (outputs, depth * own.merged)
    else:
        shape = (outputs, depth * own.merged * own.windows.count, 3, 3)
    if not any(values.strides):
        return np.broadcast_to(values.reshape(-1)[:1].reshape(()), shape)
    if own.mode == "depthwise":
        return _square(values, conv.dilation, 3).reshape(shape)
    if own.image:
        return _square(values, conv.dilation, own.image).reshape(shape)
    whole = _in_block(own, conv, values)
    if own.mode == "pointwise":
        return np.ascontiguousarray(whole.reshape(shape))
    windows, taps = own.windows, _taps(conv.dilation)
    cut = np.zeros((outputs, whole.shape[1], windows.rows, 3, windows.columns, 3), values.dtype)
    for r in range(kh):
        for c in range(kw):
            down, right = r % taps * conv.dilation, c % taps * conv.dilation
            cut[:, :, r // taps, down, c // taps, right] = whole[:, :, r, c]
    return np.ascontiguousarray(cut.transpose(0, 4, 2, 1, 3, 5).reshape(shape))


def by_digits(values: NDArray[Any], digits: tuple[int, ...]) -> NDArray[Any]:
    """Ones of a depthwise kernel (O, 1, kh, kw) of at most 3x3 times each digit, as words
    (O, digits, 3, 3); (O, 3, 3) of a single one."""
    outputs, _, kh, kw = values.shape
    found = np.zeros((outputs, len(digits), 3, 3), values.dtype)
    for n, digit in enumerate(digits):
        found[:, n, :kh, :kw] = digit
    return found if len(digits) > 1 else found[:, 0]


def one_hot(values: NDArray[Any]) -> NDArray[Any]:
    """Values of a depthwise kernel (O, 1, kh, kw) of at most 3x3 as words (O, kh * kw, 3, 3) with
    one each."""
    outputs, _, kh, kw = values.shape
    found = np.zeros((outputs, kh * kw, 3, 3), values.dtype)
    for r, c in np.ndindex(kh, kw):
        found[:, r * kw + c, r, c] = values[:, 0, r, c]
    return found


def _square(values: NDArray[Any], dilation: int, side: int) -> NDArray[Any]:
    """Kernels (O, I, kh, kw) with their taps apart, in squares of a side."""
    outputs, depth, kh, kw = values.shape
    if dilation == 1 and kh == kw == side:
        return np.ascontiguousarray(values)
    found = np.zeros((outputs, depth, side, side), values.dtype)
    rows, columns = (slice(0, dilation * (k - 1) + 1, dilation) for k in (kh, kw))
    found[:, :, rows, columns] = values
    return found


def _in_block(own: Embedding, conv: Conv, values: NDArray[Any]) -> NDArray[Any]:
    """(O, I of a block, kh, kw): each output's weights at the channels of its group."""
    outputs, depth, *kernel = values.shape
    if own.merged == 1:
        return values
    found = np.zeros((outputs, own.merged, depth, *kernel), values.dtype)
    rows = np.arange(outputs)
    found[rows, rows // (outputs // conv.groups) % own.merged] = values
    return found.reshape(outputs, own.merged * depth, *kernel)
