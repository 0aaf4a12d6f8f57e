"""The executable specification of the integer graph: what every back end may take for granted.

`verify` reads the whole model and reports every problem at once, each with the node's name and the
module path it came from.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import assert_never

import numpy as np

from shiftforge.errors import Problem, Problems
from shiftforge.quant.graph.resizing import check_resize
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Clamped,
    Concat,
    Conv,
    Grid,
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
from shiftforge.quant.graph.verify_conv import check_conv
from shiftforge.quant.graph.verify_maps import check_constant, check_map
from shiftforge.quant.graph.verify_orders import check_orders
from shiftforge.quant.graph.verify_variants import check_variants

__all__ = ["HOST_FUNCTIONS", "MAX_ADD_SHIFT", "MAX_EXPONENT", "verify"]

MAX_EXPONENT = 64
MAX_ADD_SHIFT = 15
MAX_SIDE = 1 << 16
LANE_BITS = 8
HOST_FUNCTIONS = ("sigmoid", "softmax", "log_softmax")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")


def verify(model: QuantizedModel) -> None:
    """Raise InputError with every fault of the model; return where there is none.

    Checked are names and wiring (known tensors, order, one producer, no idle tensor), grids, shape
    arithmetic, arrays (dtype, shape, values within the weight format), accumulator widths,
    requantisation ranges, clamps, the exponents of additions, pool constants, the preprocessing
    against the input tensor, labels, the float weights, the channel orders and the variants.
    """
    problems = Problems()
    sound = _check_tensors(model, problems)
    _check_wiring(model, problems)
    for node in model.nodes:
        missing = [t for t in (*node.inputs, node.output) if t not in sound]
        if not missing:  # the missing ones are reported already
            problems += _check_node(node, model)
    problems += _check_preprocess(model)
    problems += _check_floats(model)
    problems += check_orders(model)
    problems += check_variants(model, sound)
    if model.labels and model.output in sound:
        channels = model.tensors[model.output].channels
        if len(model.labels) != channels:
            problems.append(
                Problem(
                    f"{len(model.labels)} labels for {channels} output channels",
                    "give one label a channel, or none",
                    "labels",
                )
            )
    try:
        json.dumps(model.meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(Problem(f"cannot be written as JSON: {error}", "", "meta"))
    problems.stop()


def _place(node: Node) -> str:
    return f"{node.name} ({node.source})" if node.source else node.name


def _check_tensors(model: QuantizedModel, problems: list[Problem]) -> set[str]:
    """Names of the tensors whose own fields can be relied upon."""
    sound: set[str] = set()
    for key, tensor in model.tensors.items():
        found = []
        if key != tensor.name:
            found.append(f"is listed under the name {key!r}")
        if not _NAME.fullmatch(tensor.name):
            found.append(f"has a name outside the pattern {_NAME.pattern}")
        if not all(1 <= side <= MAX_SIDE for side in tensor.shape):
            found.append(f"has the shape {tensor.shape}, sides are 1..{MAX_SIDE}")
        if not 2 <= tensor.grid.bits <= 32:
            found.append(f"has a grid of {tensor.grid.bits} bits, grids have 2..32")
        if abs(tensor.grid.exponent) > MAX_EXPONENT:
            found.append(f"has the exponent {tensor.grid.exponent} beyond +-{MAX_EXPONENT}")
        problems += [Problem(text, "", f"tensor {tensor.name!r}") for text in found]
        if not found:
            sound.add(key)
    return sound


def _check_wiring(model: QuantizedModel, problems: list[Problem]) -> None:
    for name, count in Counter(node.name for node in model.nodes).items():
        if count > 1:
            problems.append(Problem(f"{count} nodes carry this name", "name each once", name))
        if not _NAME.fullmatch(name):
            problems.append(Problem(f"name outside the pattern {_NAME.pattern}", "", repr(name)))
    if not model.nodes:
        problems.append(Problem("the model has no nodes"))
    if model.input not in model.tensors:
        problems.append(Problem(f"unknown input tensor {model.input!r}"))
    later = {node.output for node in model.nodes}
    produced, read = {model.input}, set(model.outputs)
    for node in model.nodes:
        if not node.source.isprintable() or "*/" in node.source or "\\" in node.source:
            problems.append(
                Problem(f"source path {node.source!r} is not plain text", "", node.name)
            )
        for name in node.inputs:
            read.add(name)
            if name not in model.tensors:
                problems.append(Problem(f"reads unknown tensor {name!r}", "", _place(node)))
            elif name not in produced and name in later:
                problems.append(
                    Problem(
                        f"reads {name!r} before it is produced",
                        "order the nodes by their data",
                        _place(node),
                    )
                )
            elif name not in produced:
                problems.append(
                    Problem(f"reads {name!r}, which no node produces", "", _place(node))
                )
            elif model.tensors[name].grid.bits > LANE_BITS:
                problems.append(
                    Problem(
                        f"reads {name!r}, a grid of {model.tensors[name].grid.bits} bits",
                        f"only the network's output may have more than {LANE_BITS} bits",
                        _place(node),
                    )
                )
        if node.output not in model.tensors:
            problems.append(Problem(f"writes unknown tensor {node.output!r}", "", _place(node)))
        if node.output in produced:
            problems.append(
                Problem(f"writes {node.output!r}, which has a producer already", "", _place(node))
            )
        produced.add(node.output)
    for name in model.outputs:
        if name not in later:
            problems.append(Problem(f"no node produces the output tensor {name!r}"))
    problems += _check_outputs(model)
    for name in model.tensors:
        if name not in produced:
            problems.append(Problem("is produced by no node", "remove it", f"tensor {name!r}"))
        elif name not in read:
            problems.append(
                Problem(
                    "is read by no node and is not the output",
                    "remove what produces it",
                    f"tensor {name!r}",
                )
            )


def _check_outputs(model: QuantizedModel) -> list[Problem]:
    found = [
        Problem("is an output more than once", "name it once", f"tensor {name!r}")
        for name, count in Counter(model.outputs).items()
        if count > 1
    ]
    for name, kind in model.host.items():
        if name not in model.outputs:
            found.append(Problem("is no output", "remove its function", f"host {name!r}"))
        if kind not in HOST_FUNCTIONS:
            what = f"unknown function {kind!r}"
            found.append(Problem(what, f"use {', '.join(HOST_FUNCTIONS)}", f"host {name!r}"))
    return found


def _check_node(node: Node, model: QuantizedModel) -> list[Problem]:
    out = model.tensors[node.output]
    texts: list[str] = []
    if isinstance(node, Clamped):
        texts += _clamp(node.lo, node.hi, out.grid)
    match node:
        case Conv():
            texts += check_conv(node, model.tensors[node.input], out)
        case Add():
            texts += _add(model.tensors[node.a], model.tensors[node.b], out)
        case Pool():
            texts += _pool(node, model.tensors[node.input], out)
        case MaxPool() | AveragePool() | Concat() | Slice() | Shuffle() | Table() | Upsample():
            texts += check_map(node, [model.tensors[name] for name in node.inputs], out)
        case _:
            assert_never(node)
    return [Problem(text, "", _place(node)) for text in texts]


def _clamp(lo: int, hi: int, grid: Grid) -> list[str]:
    if lo > hi:
        return [f"clamp bounds are swapped: lo {lo} > hi {hi}"]
    if lo < grid.qmin or hi > grid.qmax:
        return [f"clamp [{lo}, {hi}] leaves the output grid [{grid.qmin}, {grid.qmax}]"]
    return []


def _add(a: Tensor, b: Tensor, out: Tensor) -> list[str]:
    texts = [
        f"{what} has the shape {t.shape}, the output has {out.shape}"
        for what, t in (("a", a), ("b", b))
        if t.shape != out.shape
    ]
    finest = min(a.grid.exponent, b.grid.exponent)
    for what, exponent in (
        ("the inputs", max(a.grid.exponent, b.grid.exponent)),
        ("output and finer input", out.grid.exponent),
    ):
        if abs(exponent - finest) > MAX_ADD_SHIFT:
            texts.append(
                f"exponents of {what} differ by {abs(exponent - finest)}, at most {MAX_ADD_SHIFT}"
            )
    return texts


def _pool(node: Pool, x: Tensor, out: Tensor) -> list[str]:
    texts = []
    if out.shape != (x.channels, 1, 1):
        texts.append(f"output has the shape {out.shape}, the pool makes {(x.channels, 1, 1)}")
    area = x.height * x.width
    return texts + check_constant(area, node.multiplier, node.shift, x.grid, out.grid)


def _check_preprocess(model: QuantizedModel) -> list[Problem]:
    p, texts = model.preprocess, []
    x = model.tensors.get(model.input)
    if x is not None and (p.channels, p.height, p.width) != x.shape:
        texts.append(f"makes {(p.channels, p.height, p.width)}, the input tensor is {x.shape}")
    for what, values in (("mean", p.mean), ("std", p.std)):
        if len(values) != p.channels:
            texts.append(f"{len(values)} values of {what} for {p.channels} channels")
        if not all(math.isfinite(v) for v in values):
            texts.append(f"{what} is not finite: {values}")
    if any(v <= 0 for v in p.std):
        texts.append(f"std is not positive: {p.std}")
    texts += check_resize(p.resize)
    return [Problem(text, "", "preprocess") for text in texts]


def _check_floats(model: QuantizedModel) -> list[Problem]:
    if not model.floats:
        return []
    problems = []
    wanted: dict[str, tuple[int, ...]] = {}
    for conv in model.conv_nodes():
        wanted[f"{conv.name}.weight"] = conv.weight.shape
        wanted[f"{conv.name}.bias"] = conv.weight.shape[:1]
    for name in sorted(wanted.keys() | model.floats.keys()):
        where = f"floats {name!r}"
        if name not in wanted:
            problems.append(Problem("belongs to no convolution", "remove it", where))
        elif name not in model.floats:
            problems.append(Problem("is missing", "keep all float arrays, or none", where))
        else:
            values = model.floats[name]
            if values.dtype != np.float32 or values.shape != wanted[name]:
                problems.append(
                    Problem(
                        f"is {values.dtype} {values.shape}, not float32 {wanted[name]}", "", where
                    )
                )
            elif not np.isfinite(values).all():
                problems.append(Problem("holds NaN or infinity", "load the network again", where))
    return problems
