"""What the array can run of a convolution: the one place of these rules, for plans and for checks.

A rule looks at shapes and grids and never at a weight, so that it holds before calibration as
well; only the width of a result that leaves as 32-bit integers depends on the integers themselves.
"""

from __future__ import annotations

import numpy as np

from shiftforge.errors import Problem
from shiftforge.quant.graph.types import Conv, QuantizedModel, Tensor

__all__ = [
    "LANE_BITS", "MAX_IMAGE_KERNEL", "MAX_STRIDE", "geometry_problems", "image_kernel", "on_image",
    "width_problems",
]  # fmt: skip

MAX_IMAGE_KERNEL = 64
MAX_STRIDE = 4
LANE_BITS = 8
INT32_MAX = (1 << 31) - 1


def on_image(conv: Conv, model: QuantizedModel) -> bool:
    """Whether the loader lays this convolution's taps out as channels."""
    readers = [n for n in model.nodes if model.input in n.inputs]
    alone = conv.groups == 1 and conv.input == model.input and len(readers) == 1
    side = image_kernel(conv)
    return alone and side <= MAX_IMAGE_KERNEL and max(conv.padding) <= side


def image_kernel(conv: Conv) -> int:
    """Side of the square that holds a convolution's taps."""
    return conv.dilation * (max(conv.kernel) - 1) + 1


def geometry_problems(conv: Conv, model: QuantizedModel) -> list[Problem]:
    """Everything about a convolution's shape that the array cannot run."""
    place = f"{conv.name} ({conv.source})"
    if conv.stride <= 2 or on_image(conv, model):
        return []
    if conv.stride > MAX_STRIDE:
        what = f"stride {conv.stride} is not supported"
        return [Problem(what, f"use stride {MAX_STRIDE} at most, or more on the image", place)]
    if model.tensors[conv.output].grid.bits > LANE_BITS and conv.kernel != (1, 1):
        what = f"stride {conv.stride} is not supported where results leave as 32-bit integers"
        return [Problem(what, "use stride 1 or 2, or follow it with a 1x1 convolution", place)]
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
