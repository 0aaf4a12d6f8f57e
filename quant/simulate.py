"""The fake-quantised network and the float checkpoints of an integer model, on torch.

The fake-quantised network computes with real values in float64: every value is an integer of less
than 53 bits times a power of two, so that float64 is exact in any order of summation and
``torch.round`` (half to even) of the scaled value gives the integer graph's code. Only a product
with a 31-bit multiplier can need more bits; that one is rounded in int64.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.function import from_json
from shiftforge.quant.capture.function_values import values as function_values
from shiftforge.quant.capture.map_values import enlarged, maximum, shuffled, window_sums
from shiftforge.quant.graph.floats import float_problems
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Clamped,
    Concat,
    Conv,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)
from shiftforge.quant.graph.windows import counts

__all__ = ["run_fake_quantised", "run_float_checkpoints"]


def run_fake_quantised(
    model: QuantizedModel, codes: NDArray[np.integer]
) -> dict[str, NDArray[np.int64]]:
    """Codes of every tensor, int64 (N, C, H, W), for input codes (N, C, H, W).

    Raises InputError for another shape, a type that is not integer, or codes outside the grid.
    """
    source = model.tensors[model.input]
    _check_codes(codes, source)
    real = {model.input: torch.from_numpy(codes.astype(np.float64)) * _step(source)}
    result = {model.input: codes.astype(np.int64)}
    with torch.no_grad():
        for node in model.nodes:
            target = model.tensors[node.output]
            scaled = _scaled(model, node, real)
            grid = target.grid
            ends = (node.lo, node.hi) if isinstance(node, Clamped) else (grid.qmin, grid.qmax)
            rounded = torch.round(scaled).clamp(*ends)
            real[node.output] = rounded * _step(target)
            result[node.output] = rounded.numpy().astype(np.int64)
    return result


def _check_codes(codes: NDArray[np.integer], source: Tensor) -> None:
    problems = Problems()
    if codes.ndim != 4 or codes.shape[1:] != source.shape:
        problems.append(
            Problem(f"codes of shape {codes.shape}", f"give (N, {source.shape})", source.name)
        )
    if not np.issubdtype(codes.dtype, np.integer):
        problems.append(Problem(f"codes of type {codes.dtype}", "give integers", source.name))
    elif codes.size and (codes.min() < source.grid.qmin or codes.max() > source.grid.qmax):
        problems.append(
            Problem(
                f"codes from {codes.min()} to {codes.max()}",
                f"the grid holds {source.grid.qmin}..{source.grid.qmax}",
                source.name,
            )
        )
    problems.stop()


def _step(tensor: Tensor) -> float:
    return 2.0**tensor.grid.exponent


def _scaled(model: QuantizedModel, node: Node, real: dict[str, torch.Tensor]) -> torch.Tensor:
    """A node's output in units of its output's step, before rounding and clamp, exact."""
    step = _step(model.tensors[node.output])
    match node:
        case Conv():
            exponent = model.tensors[node.input].grid.exponent
            total = _convolve(node, real[node.input], exponent)
            return total / step if node.multiplier is None else _multiplied(node, total, exponent)
        case Add():
            return (real[node.a] + real[node.b]) / step
        case Pool():
            return _pooled(node, real[node.input], model.tensors[node.input])
        case AveragePool():
            return _averaged(node, real[node.input], model.tensors[node.input])
        case Table():
            return _looked_up(node, real[node.input], model.tensors[node.input])
        case MaxPool() | Concat() | Slice() | Shuffle() | Upsample():
            return _moved(node, [real[name] for name in node.inputs]) / step
        case _:
            assert_never(node)


def _convolve(node: Conv, x: torch.Tensor, exponent: int) -> torch.Tensor:
    """The accumulators' real values, float64 (N, O, H, W)."""
    scale = torch.ldexp(
        torch.ones(node.z.shape, dtype=torch.float64), torch.from_numpy(node.z.astype(np.int64))
    )
    weight = torch.from_numpy(node.weight.astype(np.float64)) * scale[:, None, None, None]
    bias = torch.from_numpy(node.bias.astype(np.float64)) * scale * 2.0**exponent
    top, left, bottom, right = node.padding
    x = functional.pad(x, (left, right, top, bottom))
    if node.groups > 1 and node.weight.shape[:2] == (x.shape[1], 1):
        return _depthwise(node, x, weight) + bias[:, None, None]
    return functional.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups)


def _depthwise(node: Conv, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """One multiply-add a tap: torch's float64 depthwise convolution is several times slower."""
    kh, kw = node.kernel
    rows = (x.shape[2] - node.dilation * (kh - 1) - 1) // node.stride + 1
    columns = (x.shape[3] - node.dilation * (kw - 1) - 1) // node.stride + 1
    total = torch.zeros(x.shape[0], x.shape[1], rows, columns, dtype=torch.float64)
    for i in range(kh):
        for j in range(kw):
            y0, x0 = i * node.dilation, j * node.dilation
            window = x[:, :, y0 :: node.stride, x0 :: node.stride][:, :, :rows, :columns]
            total.addcmul_(window, weight[:, 0, i, j, None, None])
    return total


def _multiplied(node: Conv, total: torch.Tensor, exponent: int) -> torch.Tensor:
    """acc * m / 2**s, already rounded half to even, in int64 (the product may have 62 bits)."""
    z = torch.from_numpy(node.z.astype(np.int64))
    unit = torch.ldexp(torch.ones(z.shape, dtype=torch.float64), z + exponent)
    accumulator = (total / unit[:, None, None]).long()
    product = accumulator * torch.from_numpy(node.multiplier)[:, None, None]
    shift = torch.from_numpy(node.shift)[:, None, None].expand_as(product)
    floor = product >> shift
    # Twice the remainder against the divisor, halved on both sides to stay within int64.
    rest = product - (floor << shift)
    half = torch.where(shift > 0, torch.ones_like(shift) << (shift - 1).clamp(min=0), 0)
    odd = (floor & 1) == 1
    up = (shift > 0) & ((rest > half) | ((rest == half) & odd))
    return (floor + up.long()).double()


def _pooled(node: Pool, x: torch.Tensor, source: Tensor) -> torch.Tensor:
    total = (x / _step(source)).sum((2, 3), keepdim=True)
    return total * node.multiplier / 2.0**node.shift


def _averaged(node: AveragePool, x: torch.Tensor, source: Tensor) -> torch.Tensor:
    factor = {count: m / 2.0**s for count, m, s in node.constants}
    each = counts(node, source.height, source.width)
    factors = torch.tensor([[factor[int(n)] for n in row] for row in each], dtype=torch.float64)
    return window_sums(node, x / _step(source)) * factors


def _looked_up(node: Table, x: torch.Tensor, source: Tensor) -> torch.Tensor:
    codes = (x / _step(source)).long() - source.grid.qmin
    return torch.tensor(node.codes, dtype=torch.float64)[codes]


def _moved(
    node: MaxPool | Concat | Slice | Shuffle | Upsample, inputs: list[torch.Tensor]
) -> torch.Tensor:
    """Values that are as they were, elsewhere: the same of real values and of floats."""
    match node:
        case MaxPool():
            return maximum(node, inputs[0])
        case Concat():
            return torch.cat(inputs, 1)
        case Slice():
            return inputs[0][:, node.start : node.stop]
        case Shuffle():
            return shuffled(inputs[0], node.order)
        case Upsample():
            return enlarged(node, inputs[0])
        case _:
            assert_never(node)


def _float_node(model: QuantizedModel, node: Node, live: dict[str, torch.Tensor]) -> torch.Tensor:
    """A node of the float network before its activation."""
    match node:
        case Conv():
            top, left, bottom, right = node.padding
            return functional.conv2d(
                functional.pad(live[node.input], (left, right, top, bottom)),
                torch.from_numpy(model.floats[f"{node.name}.weight"]),
                torch.from_numpy(model.floats[f"{node.name}.bias"]),
                node.stride,
                0,
                node.dilation,
                node.groups,
            )
        case Add():
            return live[node.a] + live[node.b]
        case Pool():
            return live[node.input].mean((2, 3), keepdim=True)
        case AveragePool():
            x = live[node.input]
            return window_sums(node, x) / torch.from_numpy(counts(node, *x.shape[2:])).float()
        case Table():
            function = from_json(model.meta["functions"][node.name], node.name)
            return function_values(function, live[node.input])
        case MaxPool() | Concat() | Slice() | Shuffle() | Upsample():
            return _moved(node, [live[name] for name in node.inputs])
        case _:
            assert_never(node)


def _activated(value: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "none":
        return value
    return value.clamp(0.0, 6.0) if kind == "relu6" else torch.relu(value)


def run_float_checkpoints(
    model: QuantizedModel, images: NDArray[np.generic]
) -> dict[str, NDArray[np.float32]]:
    """Every tensor of the float network, float32 (N, C, H, W), real values.

    images: (N, height, width, channels), values 0..255; they are normalised, not rounded onto the
    input grid. Raises InputError for a bad image, and for a model without float weights or without
    the activation functions in its facts.
    """
    Problems(float_problems(model)).stop()
    activations = model.meta.get("activations", {})
    live = {model.input: torch.from_numpy(normalise(images, model.preprocess))}
    with torch.no_grad():
        for node in model.nodes:
            value = _float_node(model, node, live)
            if isinstance(node, Conv | Add):
                value = _activated(value, activations[node.name])
            live[node.output] = value
    return {name: value.numpy() for name, value in live.items()}
