"""Capture: a PyTorch network to the folded float graph."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.fx import Node

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.channels import SPLITS, part
from shiftforge.quant.capture.draft import (
    Draft,
    DraftAdd,
    DraftConv,
    Value,
    live_drafts,
    merge_scales,
)
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.marks import ON_GRID, marked
from shiftforge.quant.capture.naming import node_names
from shiftforge.quant.capture.operators import OPERATORS
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.same import check_same
from shiftforge.quant.capture.stored import Stored
from shiftforge.quant.capture.trace import Trace, trace
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatNode
from shiftforge.quant.graph.types import Preprocess

__all__ = ["capture"]

INPUT = "input"
# Of one frame, or of one constant that is computed: far beyond what an accelerator's memory holds.
MOST_VALUES = 1 << 24
SUPPORTED = (
    "supported: conv2d, conv_transpose2d, linear, batch_norm, functions of single values, add, "
    "max and average pooling, cat, split and slices of channels, channel shuffle, nearest "
    "upsampling, zero padding before a convolution, flatten, dropout, and + - * / by one "
    "constant, or one a channel; docs/OPERATORS.md lists them"
)


def capture(
    module: torch.nn.Module,
    example_shape: tuple[int, int, int],
    preprocess: Preprocess,
    name: str,
    labels: Sequence[str] = (),
) -> FloatGraph:
    """Trace module in evaluation mode and fold it to a FloatGraph.

    example_shape: (C, H, W) of one frame; it must agree with preprocess.
    Batch norm is folded in float64 and stored as float32, with what that lacks beside it; zero
    padding is merged into the convolution behind it; a linear layer becomes a convolution over its
    whole (usually 1x1) map.
    Raises InputError listing every operator that cannot be mapped, with its module path, and every
    parameter that holds NaN or infinity; and where the network, run on single frames, computes
    something else than its trace.
    """
    expected = (preprocess.channels, preprocess.height, preprocess.width)
    if tuple(example_shape) != expected:
        raise InputError(
            Problem(
                f"the example has shape {tuple(example_shape)}, the preprocessing makes {expected}",
                "give both the same channels, height and width",
                where=name,
            )
        )
    if min(example_shape) < 1 or math.prod(example_shape) > MOST_VALUES:
        what = f"a frame of shape {tuple(example_shape)}"
        remedy = f"give sizes of at least 1, and at most {MOST_VALUES:,} values in all"
        raise InputError(Problem(what, remedy, name))
    traced = trace(module, example_shape)
    state = Lowering(traced)
    state.problems.extend(_bad_numbers(traced))
    state.constants.update({node: tensor for node, (_, tensor) in traced.constants.items()})
    state.shapes[INPUT] = example_shape
    state.values[traced.input] = Value(INPUT, example_shape, False, traced.users[traced.input] == 1)
    with torch.no_grad():
        for node in traced.nodes:
            _lower(state, node)
    graph = _finish(state, module, preprocess, name, tuple(labels))
    check_same(module, traced, graph)
    return graph


def _bad_numbers(traced: Trace) -> list[Problem]:
    problems = []
    for name, tensor in traced.constants.values():
        if not tensor.is_floating_point() or tensor.layout is not torch.strided:
            continue
        tensor = tensor.float() if tensor.element_size() < 2 else tensor
        nans, infs = int(tensor.isnan().sum()), int(tensor.isinf().sum())
        if nans or infs:
            problems.append(
                Problem(
                    f"{nans} NaN and {infs} infinite values among {tensor.numel()}",
                    "load a checkpoint whose weights are finite",
                    where=name,
                )
            )
    return problems


def _lower(state: Lowering, node: Node) -> None:
    """Lower one call, or list why it cannot be and go on with a stand-in of the same shape."""
    try:
        constant = _constant(state, node)
        if constant is not None:
            state.constants[node] = constant
            return
        if node.target is operator.getitem:
            state.values[node] = _result(state, node)
            return
        kind = str(node.target).rpartition(".")[0]
        function = marked if kind == ON_GRID else OPERATORS.get(kind)
        if function is None:
            raise Unsupported("there is no such operation in the accelerator", SUPPORTED)
        state.values[node] = function(state, node)
        return
    except Unsupported as refusal:
        state.report(node, refusal.reason, refusal.remedy)
    except Poisoned:
        pass
    multiple = isinstance(node.meta.get("val"), (tuple, list))
    try:
        state.values[node] = None if multiple else state.new_value(node)
    except (Poisoned, Unsupported):
        state.values[node] = None


def _constant(state: Lowering, node: Node) -> torch.Tensor | None:
    """What a call makes of parameters and numbers alone, such as weight normalisation does."""
    operands, target = node.all_input_nodes, node.target
    made = node.meta.get("val")
    if (
        not isinstance(target, torch._ops.OpOverload)
        or not isinstance(made, torch.Tensor)
        or any(n not in state.constants for n in operands)
        or torch.Tag.nondeterministic_seeded in target.tags
        or "empty" in str(target)
        or any(type(n) is not int for n in made.shape)
    ):
        return None
    if made.numel() > MOST_VALUES:
        what = f"it makes a constant of {made.numel():,} values"
        raise Unsupported(what, f"use one of at most {MOST_VALUES:,}")
    held = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: state.constants[n])
    args, kwargs = held
    try:
        result = target(*args, **kwargs)
    except Exception as error:
        what = f"it cannot be computed beforehand: {reason(error)}"
        raise Unsupported(what, "compute it once, outside forward") from error
    return result if isinstance(result, torch.Tensor) else None


def _result(state: Lowering, node: Node) -> Value:
    """One of a call's results: any of a split, the first alone of another call."""
    call = node.all_input_nodes[0]
    source = state.values.get(call)
    if source is None:
        raise Poisoned
    if str(call.target).rpartition(".")[0] in SPLITS:
        return part(state, call, node)
    if node.args[1] != 0:
        raise Unsupported("only the first of its results can be read", "leave the others out")
    return replace(source, sole=state.sole(node))


def _finish(
    state: Lowering,
    module: torch.nn.Module,
    preprocess: Preprocess,
    name: str,
    labels: tuple[str, ...],
) -> FloatGraph:
    problems = state.problems
    found = [state.values.get(node) for node in state.trace.outputs]
    results = [result for result in found if result is not None]
    if not problems:
        if len(results) < len(found) or not state.drafts or any(map(_unfinished, results)):
            problems.append(Problem("its output is no layer's feature map", SUPPORTED, name))
        elif len({result.tensor for result in results}) < len(results):
            problems.append(Problem("two outputs are the same map", "return it once", name))
        elif labels and len(labels) != state.shapes[results[0].tensor][0]:
            problems.append(
                Problem(
                    f"{len(labels)} labels for {state.shapes[results[0].tensor][0]} outputs",
                    "give one label for each output, or none",
                    where=name,
                )
            )
    if problems:
        raise InputError(problems)
    ends = [result.tensor for result in results]
    if not set(ends) <= set(state.producers):
        raise InputError(Problem("its output is no layer's feature map", SUPPORTED, name))
    drafts = merge_scales(live_drafts(state.drafts, ends), ends)
    prefix = str(getattr(module, "base_model_prefix", ""))
    names = node_names([(d.source, d.operator) for d in drafts], {INPUT}, prefix)
    renamed = {INPUT: INPUT, **{d.output: n for d, n in zip(drafts, names, strict=True)}}
    nodes = tuple(_node(d, n, renamed) for d, n in zip(drafts, names, strict=True))
    overflown = [
        Problem("a folded weight is not finite in float32", "check its batch norm", n.source)
        for n in nodes
        if isinstance(n, FloatConv)
        and not (np.isfinite(n.weight).all() and np.isfinite(n.bias).all())
    ]
    if overflown:
        raise InputError(overflown)
    return FloatGraph(
        name=name,
        preprocess=preprocess,
        input=INPUT,
        output=renamed[ends[0]],
        shapes={renamed[t]: s for t, s in state.shapes.items() if t in renamed},
        nodes=nodes,
        labels=labels,
        meta={"module": type(module).__name__},
        more_outputs=tuple(renamed[end] for end in ends[1:]),
        host={
            renamed[end]: kind
            for end, kind in zip(ends, state.trace.host or ("",) * len(ends), strict=True)
            if kind
        },
        stored=Stored(
            {
                renamed[tensor]: next(iter(grids))
                for tensor, grids in state.grids.items()
                if len(grids) == 1 and tensor in renamed
            }
        ),
    )


def _unfinished(result: Value) -> bool:
    """Whether something is still to be done with a value before it is a map of its own."""
    return any(result.padding) or result.channels is not None


def _node(draft: Draft, name: str, renamed: dict[str, str]) -> FloatNode:
    source = draft.source or draft.operator
    if isinstance(draft, DraftConv):
        # What is not finite is refused by name.
        with np.errstate(over="ignore", invalid="ignore"):
            weight, bias = draft.weight.astype(np.float32), draft.bias.astype(np.float32)
            rest = [(own - near).astype(np.float32) for own, near in
                    ((draft.weight, weight), (draft.bias, bias))]  # fmt: skip
        return FloatConv(
            name=name,
            source=source,
            input=renamed[draft.input],
            output=name,
            weight=np.ascontiguousarray(weight),
            bias=np.ascontiguousarray(bias),
            stride=draft.stride,
            padding=draft.padding,
            dilation=draft.dilation,
            groups=draft.groups,
            activation=draft.activation,
            rest=(rest[0], rest[1]) if any(own.any() for own in rest) else None,
        )
    if isinstance(draft, DraftAdd):
        a, b = renamed[draft.a], renamed[draft.b]
        return FloatAdd(name, source, a, b, name, draft.activation)
    return draft.named(name, source, tuple(renamed[read] for read in draft.inputs))
