"""The float network on torch, node by node: the arithmetic that calibration observes.

Everything is float32 on the CPU, in chunks of images, so that a calibration set fits in memory.
The exact fake-quantised network is :mod:`shiftforge.quant.simulate`; this one only has to be close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from shiftforge.quant.capture.evaluate import computed
from shiftforge.quant.capture.types import Activation, FloatConv, FloatGraph, FloatNode

__all__ = [
    "activate",
    "chunks",
    "one_thread",
    "pad",
    "preactivation",
    "run_node",
    "walk",
]

CHUNK = 16


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, as before afterwards.

    The order of float sums, and with it the rounding of a few weights, depends on the thread count;
    and the column loops are thousands of small steps, which two threads on a busy machine took
    several times as long for.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def chunks(count: int) -> Iterator[slice]:
    """Slices of at most CHUNK images."""
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def pad(x: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    """Zero padding (top, left, bottom, right) of an (N, C, H, W) tensor."""
    top, left, bottom, right = padding
    return functional.pad(x, (left, right, top, bottom)) if any(padding) else x


def activate(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Apply none, relu or relu6."""
    if activation == "relu":
        return torch.relu(x)
    return torch.clamp(x, 0.0, 6.0) if activation == "relu6" else x


def preactivation(
    node: FloatConv, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """The convolution of (N, C, H, W) with the given weight and bias, before the activation."""
    shape = (x.shape[0], weight.shape[0], *_map(node, x.shape[2], x.shape[3]))
    result = torch.empty(shape, dtype=x.dtype)
    for part in chunks(x.shape[0]):
        padded = pad(x[part], node.padding)
        result[part] = functional.conv2d(
            padded, weight, bias, node.stride, 0, node.dilation, node.groups
        )
    return result


def _map(node: FloatConv, height: int, width: int) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    top, left, bottom, right = node.padding
    kh, kw = node.weight.shape[2:]
    rows = height + top + bottom - node.dilation * (kh - 1) - 1
    columns = width + left + right - node.dilation * (kw - 1) - 1
    return rows // node.stride + 1, columns // node.stride + 1


def run_node(node: FloatNode, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Output of one node, from the values of the tensors that it reads."""
    if not isinstance(node, FloatConv):
        return computed(node, tensors)
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    value = preactivation(node, tensors[node.input], weight, bias)
    return activate(value, node.activation)


def walk(
    graph: FloatGraph, images: NDArray[np.float32]
) -> Iterator[tuple[FloatNode, dict[str, torch.Tensor]]]:
    """Run the float graph on normalised images (N, C, H, W), yielding after every node.

    The mapping holds every tensor that is still needed and the node's own output; tensors are
    dropped after their last reader.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers.update(graph.outputs)  # which are kept to the end
    live = {graph.input: torch.from_numpy(images)}
    for node in graph.nodes:
        with torch.no_grad():
            live[node.output] = run_node(node, live)
        yield node, live
        for name in node.inputs:
            readers[name] -= 1
            if readers[name] == 0:
                live.pop(name, None)
