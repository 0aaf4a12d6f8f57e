"""Graph to layers: which nodes run as one pass through the accelerator, and in which mode.

A pass is a convolution with what follows it in the pipeline: requantise, activation, then at most
one residual addition and one global pool. The array runs a convolution in one of three modes:

* pointwise: kernel 1 at stride 1; nine input channels a cycle. A standard convolution on the
  image also runs so, because the loader lays its k*k taps out as channels.
* depthwise: kernel 3 at stride 1 or 2, one channel a unit, through the line buffer.
* standard: kernel 3 at stride 1 or 2, one input channel a cycle.

A kernel of 1 that is depthwise or strided is embedded in a 3x3 one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Add, Conv, Pool, QuantizedModel, Tensor

__all__ = ["ImageMap", "Layer", "Mode", "Schedule", "schedule"]

Mode = Literal["pointwise", "depthwise", "standard"]

MAX_IMAGE_KERNEL = 7
LANE_BITS = 8
INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class ImageMap:
    """How the image lies on chip: (channels, rows, columns), after a k x k im2col at a stride."""

    channels: int
    rows: int
    columns: int
    kernel: int
    stride: int
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class Layer:
    """One pass through the accelerator.

    conv: the convolution as the graph has it; weight: its weights in the layout of ``mode``:
        pointwise (O, K), depthwise (O, 3, 3), standard (O, I, 3, 3).
    in_shape: (C, H, W) of the map that is read, the image after im2col for the first layer.
    out_shape: (C, H, W) of the convolution's result, before pooling.
    result: the tensor that is stored or sent out: the convolution's, or the addition's or pool's.
    skip: the tensor that the addition reads besides; None without one.
    add_output: the tensor after the addition, or the convolution's without one.
    direct: the result leaves as 32-bit integers and is not stored on chip.
    exported: the stored result is the network's output and also goes to global memory.
    """

    index: int
    mode: Mode
    conv: Conv
    add: Add | None
    pool: Pool | None
    weight: NDArray[np.int8]
    stride: int
    top: int
    left: int
    source: str
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    input: Tensor
    conv_output: Tensor
    add_output: Tensor
    skip: Tensor | None
    result: Tensor
    direct: bool
    exported: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolution as the network defines it, a frame."""
        _, rows, columns = self.out_shape
        return int(self.conv.weight.size) * rows * columns


@dataclass(frozen=True, eq=False)
class Schedule:
    """The passes in execution order, and how the image is laid out for the first."""

    layers: tuple[Layer, ...]
    image: ImageMap


def schedule(model: QuantizedModel) -> Schedule:
    """The model's nodes as passes; raises InputError listing everything that cannot be mapped."""
    problems: list[Problem] = []
    readers = _readers(model)
    taken: set[str] = set()
    layers: list[Layer] = []
    # Results of earlier passes, those that are refused too: each problem is reported once.
    # The image is not among them: it may have been rearranged.
    on_chip: set[str] = set()
    for node in model.nodes:
        if not isinstance(node, Conv):
            continue
        result, add, pool, skip = node.output, None, None, None
        follower = _only_reader(readers, result, model)
        if isinstance(follower, Add) and follower.a != follower.b:
            other = follower.b if follower.a == result else follower.a
            if other in on_chip:
                add, skip, result = follower, model.tensors[other], follower.output
                follower = _only_reader(readers, result, model)
        if isinstance(follower, Pool):
            pool, result = follower, follower.output
        taken.update(n.name for n in (node, add, pool) if n is not None)
        on_chip.add(result)
        direct = node.output == model.output and not readers.get(node.output)
        fault = _fault(node, model)
        faults = [] if fault is None else [fault]
        faults += _too_wide(node, model.tensors[result], direct, model)
        problems += faults
        if not faults:
            layers.append(_layer(model, len(layers), node, add, pool, skip, result, direct))
    for node in model.nodes:
        if node.name not in taken:
            problems.append(
                Problem(
                    f"{type(node).__name__.lower()} does not follow a convolution whose result "
                    "only it reads",
                    "give it a convolution of its own, or keep this part on the host",
                    f"{node.name} ({node.source})",
                )
            )
    if problems:
        raise InputError(problems)
    if not layers:
        raise InputError(Problem("the network has no convolution", "nothing to generate"))
    return Schedule(tuple(layers), _image_map(model, layers[0]))


def _readers(model: QuantizedModel) -> dict[str, list[Conv | Add | Pool]]:
    readers: dict[str, list[Conv | Add | Pool]] = {}
    for node in model.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


def _only_reader(
    readers: dict[str, list[Conv | Add | Pool]], tensor: str, model: QuantizedModel
) -> Conv | Add | Pool | None:
    found = readers.get(tensor, [])
    return found[0] if len(found) == 1 and tensor != model.output else None


def _too_wide(conv: Conv, result: Tensor, direct: bool, model: QuantizedModel) -> list[Problem]:
    """What is wrong with the width of a pass's result: 8 bits on chip, int32 where it leaves."""
    place = f"{conv.name} ({conv.source})"
    grid = result.grid
    if not direct:
        if grid.bits <= LANE_BITS:
            return []
        return [
            Problem(
                f"its result {result.name!r} has {grid.bits} bits",
                "only a convolution that nothing follows may have more than 8",
                place,
            )
        ]
    if grid.qmax > INT32_MAX:
        return [Problem("its 32-bit result is unsigned", "use a signed grid", place)]
    if conv.multiplier is not None:
        return []
    left = model.tensors[conv.input].grid.exponent + conv.z.astype(np.int64) - grid.exponent
    bits = conv.acc_bits.astype(np.int64) + np.maximum(left, 0)
    worst = int(bits.argmax())
    if bits[worst] > 32:
        return [
            Problem(
                f"the result of channel {worst} needs {int(bits[worst])} bits, 32 at most: it is "
                f"shifted left by {int(left[worst])}",
                "use a coarser output grid or weight exponents that lie closer together",
                place,
            )
        ]
    return []


def _fault(conv: Conv, model: QuantizedModel) -> Problem | None:
    place = f"{conv.name} ({conv.source})"
    kh, kw = conv.kernel
    channels = model.tensors[conv.input].channels
    out, per_group = int(conv.weight.shape[0]), int(conv.weight.shape[1])
    if conv.dilation != 1:
        return Problem(
            f"dilation {conv.dilation} is not supported",
            "use output_stride 32 (no dilation)",
            place,
        )
    if conv.groups > 1 and not conv.groups == channels == out:
        return Problem(
            f"grouped convolution ({conv.groups} groups of {per_group} channels, {out} outputs) "
            "is not supported",
            "use groups 1 or a depthwise convolution with multiplier 1",
            place,
        )
    if kh != kw:
        return Problem(f"kernel {kh}x{kw} is not square", "use 1x1 or 3x3", place)
    if _on_image(conv, model):
        if kh > MAX_IMAGE_KERNEL:
            return Problem(f"kernel {kh}x{kw} is too large", "use at most 7x7 on the image", place)
        if max(conv.padding) > kh:
            return Problem(
                f"padding {conv.padding} is more than the kernel of {kh}x{kw}",
                "pad the image on the host",
                place,
            )
        return None
    if kh not in (1, 3):
        return Problem(f"kernel {kh}x{kw} is not supported here", "use 1x1 or 3x3", place)
    if conv.stride not in (1, 2):
        return Problem(f"stride {conv.stride} is not supported", "use stride 1 or 2", place)
    top, left, bottom, right = conv.padding
    if max(top, left) > 1 or max(top + bottom, left + right) > kh - 1:
        return Problem(
            f"padding {conv.padding} (top, left, bottom, right) is not supported",
            f"use at most 1 at the top and left, and at most {kh - 1} in each direction",
            place,
        )
    return None


def _on_image(conv: Conv, model: QuantizedModel) -> bool:
    """Whether the loader can lay this convolution's taps out as channels."""
    readers = [n for n in model.nodes if model.input in n.inputs]
    return conv.groups == 1 and conv.input == model.input and len(readers) == 1


def _layer(
    model: QuantizedModel,
    index: int,
    conv: Conv,
    add: Add | None,
    pool: Pool | None,
    skip: Tensor | None,
    result: str,
    direct: bool,
) -> Layer:
    source = model.tensors[conv.input]
    target = model.tensors[conv.output]
    weight, stride, (top, left) = conv.weight, conv.stride, conv.padding[:2]
    in_shape = source.shape
    depthwise = conv.groups > 1
    mode: Mode
    if _on_image(conv, model):
        mode, weight = "pointwise", weight.reshape(weight.shape[0], -1)
        in_shape = (int(weight.shape[1]), target.height, target.width)
        stride, top, left = 1, 0, 0
    elif not depthwise and conv.kernel == (1, 1) and conv.stride == 1:
        mode, weight = "pointwise", weight.reshape(weight.shape[0], -1)
    else:
        if conv.kernel == (1, 1):
            # The single tap becomes the first of nine; the others are zero.
            weight = np.zeros((*weight.shape[:2], 3, 3), np.int8)
            weight[:, :, 0, 0] = conv.weight[:, :, 0, 0]
        mode = "depthwise" if depthwise else "standard"
        if depthwise:
            weight = weight[:, 0]
    return Layer(
        index=index,
        mode=mode,
        conv=conv,
        add=add,
        pool=pool,
        weight=weight,
        stride=stride,
        top=top,
        left=left,
        source=conv.source,
        in_shape=in_shape,
        out_shape=target.shape,
        input=source,
        conv_output=target,
        add_output=model.tensors[add.output] if add is not None else target,
        skip=skip,
        result=model.tensors[result],
        direct=direct,
        exported=result == model.output and not direct,
    )


def _image_map(model: QuantizedModel, first: Layer) -> ImageMap:
    tensor = model.tensors[model.input]
    plain = ImageMap(tensor.channels, tensor.height, tensor.width, 1, 1, 0, 0)
    if not _on_image(first.conv, model):
        return plain
    channels, rows, columns = first.in_shape
    conv = first.conv
    return replace(
        plain,
        channels=channels,
        rows=rows,
        columns=columns,
        kernel=conv.kernel[0],
        stride=conv.stride,
        top=conv.padding[0],
        left=conv.padding[1],
    )
