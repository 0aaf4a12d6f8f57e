"""What the array can run of a convolution: the one place of these rules, for plans and for checks.

A rule looks at shapes and grids and never at a weight, so that it holds before calibration as
well; only the width of a result that leaves as 32-bit integers depends on the integers themselves.
"""

from __future__ import annotations

import numpy as np

from shiftforge.errors import Problem
from shiftforge.quant.graph.types import Conv, QuantizedModel, Tensor

__all__ = ["MAX_IMAGE_KERNEL", "geometry_problems", "on_image", "width_problems"]

MAX_IMAGE_KERNEL = 7
LANE_BITS = 8
INT32_MAX = (1 << 31) - 1


def on_image(conv: Conv, model: QuantizedModel) -> bool:
    """Whether the loader can lay this convolution's taps out as channels."""
    readers = [n for n in model.nodes if model.input in n.inputs]
    return conv.groups == 1 and conv.input == model.input and len(readers) == 1


def geometry_problems(conv: Conv, model: QuantizedModel) -> list[Problem]:
    """Everything about a convolution's shape that the array cannot run."""
    place = f"{conv.name} ({conv.source})"
    kh, kw = conv.kernel
    channels = model.tensors[conv.input].channels
    out, per_group = int(conv.weight.shape[0]), int(conv.weight.shape[1])
    found = []
    if conv.dilation != 1:
        what = f"dilation {conv.dilation} is not supported"
        found.append(Problem(what, "use output_stride 32 (no dilation)", place))
    if conv.groups > 1 and not conv.groups == channels == out:
        what = (
            f"grouped convolution ({conv.groups} groups of {per_group} channels, {out} outputs) "
            "is not supported"
        )
        remedy = "use groups 1 or a depthwise convolution with multiplier 1"
        found.append(Problem(what, remedy, place))
    if kh != kw:
        found.append(Problem(f"kernel {kh}x{kw} is not square", "use 1x1 or 3x3", place))
        return found  # the other rules are of square kernels
    if on_image(conv, model):
        return found + _image_problems(conv, place)
    if kh not in (1, 3):
        what = f"kernel {kh}x{kw} is not supported here"
        found.append(Problem(what, "use 1x1 or 3x3", place))
    if conv.stride not in (1, 2):
        what = f"stride {conv.stride} is not supported"
        found.append(Problem(what, "use stride 1 or 2", place))
    top, left, bottom, right = conv.padding
    wide = max(top, left) > 1 or max(top + bottom, left + right) > kh - 1
    if kh in (1, 3) and wide:
        what = f"padding {conv.padding} (top, left, bottom, right) is not supported"
        remedy = f"use at most 1 at the top and left, and at most {kh - 1} in each direction"
        found.append(Problem(what, remedy, place))
    return found


def _image_problems(conv: Conv, place: str) -> list[Problem]:
    """Of a convolution whose taps the loader lays out as channels; its kernel is square."""
    kernel = conv.kernel[0]
    if kernel > MAX_IMAGE_KERNEL:
        what = f"kernel {kernel}x{kernel} is too large"
        return [Problem(what, "use at most 7x7 on the image", place)]
    if max(conv.padding) > kernel:
        what = f"padding {conv.padding} is more than the kernel of {kernel}x{kernel}"
        return [Problem(what, "pad the image on the host", place)]
    return []


def width_problems(
    conv: Conv, result: Tensor, direct: bool, model: QuantizedModel
) -> list[Problem]:
    """What is wrong with the width of a pass's result: 8 bits on chip, int32 where it leaves."""
    place = f"{conv.name} ({conv.source})"
    grid = result.grid
    if not direct:
        if grid.bits <= LANE_BITS:
            return []
        what = f"its result {result.name!r} has {grid.bits} bits"
        remedy = "only a convolution that nothing follows may have more than 8"
        return [Problem(what, remedy, place)]
    if grid.qmax > INT32_MAX:
        return [Problem("its 32-bit result is unsigned", "use a signed grid", place)]
    if conv.multiplier is not None:
        return []
    left = model.tensors[conv.input].grid.exponent + conv.z.astype(np.int64) - grid.exponent
    bits = conv.acc_bits.astype(np.int64) + np.maximum(left, 0)
    worst = int(bits.argmax())
    if bits[worst] <= 32:
        return []
    what = (
        f"the result of channel {worst} needs {int(bits[worst])} bits, 32 at most: it is "
        f"shifted left by {int(left[worst])}"
    )
    remedy = "use a coarser output grid or weight exponents that lie closer together"
    return [Problem(what, remedy, place)]
