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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.geometry import geometry_problems, on_image, width_problems
from shiftforge.quant.graph.order import reordered
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Conv,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
)

__all__ = ["ImageMap", "Layer", "Mapped", "Mode", "Schedule", "map_nodes", "schedule"]

Mode = Literal["pointwise", "depthwise", "standard"]
# What to write in place of a node that no array runs.
_INSTEAD: dict[type, str] = {
    MaxPool: "use a convolution of stride 2, or keep this part on the host",
    AveragePool: "use a convolution of stride 2, or keep this part on the host",
    Table: "use ReLU or ReLU6, or keep this part on the host",
}


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

    conv: the convolution as the graph has it, with its channels in the accelerator's order;
        weight: its weights in the layout of ``mode``: pointwise (O, K), depthwise (O, 3, 3),
        standard (O, I, 3, 3).
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
    """The passes in execution order, and how the image is laid out for the first.

    streamed: only the first layer reads the image, which then goes into the array unstored.
    """

    layers: tuple[Layer, ...]
    image: ImageMap
    streamed: bool


@dataclass(frozen=True, eq=False)
class Mapped:
    """The passes that the array can run, in execution order, and what is wrong with other nodes.

    problems: by the node's name; "" has those of the network as a whole.
    """

    layers: tuple[Layer, ...]
    problems: Mapping[str, tuple[Problem, ...]]


def schedule(model: QuantizedModel) -> Schedule:
    """The model's nodes as passes; raises InputError listing everything that cannot be mapped."""
    mapped = map_nodes(model)
    problems = [problem for own in mapped.problems.values() for problem in own]
    if problems:
        raise InputError(problems)
    first = mapped.layers[0]
    return Schedule(mapped.layers, _image_map(model, first), on_image(first.conv, model))


def map_nodes(model: QuantizedModel) -> Mapped:
    """Which nodes run as one pass, and what is wrong with those that none can run.

    The passes' weights, biases and shifts lie in the model's orders.
    """
    model = reordered(model)
    problems: dict[str, tuple[Problem, ...]] = {}
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
        faults = geometry_problems(node, model)
        faults += width_problems(node, model.tensors[result], direct, model)
        if faults:
            problems[node.name] = tuple(faults)
        else:
            layers.append(_layer(model, len(layers), node, add, pool, skip, result, direct))
    for node in model.nodes:
        if node.name not in taken:
            problems[node.name] = (_apart(node),)
    if model.more_outputs:
        what = f"the network has {len(model.outputs)} outputs, the accelerator sends out one"
        remedy = "return one of them, or one map that joins them: torch.cat(maps, 1)"
        problems[""] = (Problem(what, remedy, model.name),)
    if not taken and not problems:
        problems[""] = (Problem("the network has no convolution", "nothing to generate"),)
    return Mapped(tuple(layers), problems)


def _apart(node: Node) -> Problem:
    """A node that is no part of a convolution's pass, or of a kind that the array cannot run."""
    if not isinstance(node, Conv | Add | Pool):
        return Problem(
            f"the accelerator has no {type(node).__name__} yet",
            _INSTEAD.get(type(node), "keep this part on the host"),
            f"{node.name} ({node.source})",
        )
    return Problem(
        f"{type(node).__name__.lower()} does not follow a convolution whose result only it reads",
        "give it a convolution of its own, or keep this part on the host",
        f"{node.name} ({node.source})",
    )


def _readers(model: QuantizedModel) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = {}
    for node in model.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


def _only_reader(readers: dict[str, list[Node]], tensor: str, model: QuantizedModel) -> Node | None:
    found = readers.get(tensor, [])
    return found[0] if len(found) == 1 and tensor != model.output else None


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
    if on_image(conv, model):
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
    if not on_image(first.conv, model):
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
