"""Capture: a PyTorch network to the folded float graph."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch.fx import Node

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.draft import Draft, DraftAdd, DraftConv, Value, merge_scales
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.naming import node_names
from shiftforge.quant.capture.operators import OPERATORS
from shiftforge.quant.capture.trace import Trace, trace
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatNode, FloatPool
from shiftforge.quant.graph.types import Preprocess

__all__ = ["capture"]

INPUT = "input"
SUPPORTED = (
    "supported: conv2d, batch_norm, relu, relu6, hardtanh(0, 6), add, global average pooling, "
    "zero padding before a convolution, flatten, dropout and linear"
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
    Batch norm is folded in float64 and stored as float32; zero padding is merged into the
    convolution behind it; a linear layer becomes a convolution over its whole (usually 1x1) map.
    Raises InputError listing every operator that cannot be mapped, with its module path, and every
    parameter that holds NaN or infinity.
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
    traced = trace(module, example_shape)
    state = Lowering(traced)
    state.problems.extend(_bad_numbers(traced))
    state.constants.update({node: tensor for node, (_, tensor) in traced.constants.items()})
    state.shapes[INPUT] = example_shape
    state.values[traced.input] = Value(INPUT, example_shape, False, traced.users[traced.input] == 1)
    with torch.no_grad():
        for node in traced.nodes:
            _lower(state, node)
    return _finish(state, module, preprocess, name, tuple(labels))


def _bad_numbers(traced: Trace) -> list[Problem]:
    problems = []
    for name, tensor in traced.constants.values():
        if not tensor.is_floating_point():
            continue
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
    operands = node.all_input_nodes
    if operands and all(n in state.constants for n in operands):
        # Weights computed from parameters alone (weight normalisation and the like).
        held = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: state.constants[n])
        args, kwargs = held
        result = node.target(*args, **kwargs) if callable(node.target) else None
        if isinstance(result, torch.Tensor):
            state.constants[node] = result
            return
    try:
        if node.target is operator.getitem:
            source = state.values.get(operands[0])
            if source is None or node.args[1] != 0:
                raise Poisoned
            state.values[node] = Value(
                source.tensor, source.shape, source.flat, state.sole(node), source.padding
            )
            return
        function = OPERATORS.get(str(node.target).rpartition(".")[0])
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
    except Poisoned:
        state.values[node] = None


def _finish(
    state: Lowering,
    module: torch.nn.Module,
    preprocess: Preprocess,
    name: str,
    labels: tuple[str, ...],
) -> FloatGraph:
    problems = state.problems
    result = state.values.get(state.trace.output)
    if not problems:
        if result is None or any(result.padding) or not state.drafts:
            problems.append(Problem("its output is no layer's feature map", SUPPORTED, name))
        elif labels and len(labels) != state.shapes[result.tensor][0]:
            problems.append(
                Problem(
                    f"{len(labels)} labels for {state.shapes[result.tensor][0]} outputs",
                    "give one label for each output, or none",
                    where=name,
                )
            )
    if problems or result is None:
        raise InputError(problems)
    drafts = merge_scales(state.drafts, result.tensor)
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
        output=renamed[result.tensor],
        shapes={renamed[t]: s for t, s in state.shapes.items() if t in renamed},
        nodes=nodes,
        labels=labels,
        meta={"module": type(module).__name__},
    )


def _node(draft: Draft, name: str, renamed: dict[str, str]) -> FloatNode:
    source = draft.source or draft.operator
    if isinstance(draft, DraftConv):
        with np.errstate(over="ignore"):
            weight, bias = draft.weight.astype(np.float32), draft.bias.astype(np.float32)
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
        )
    if isinstance(draft, DraftAdd):
        a, b = renamed[draft.a], renamed[draft.b]
        return FloatAdd(name, source, a, b, name, draft.activation)
    return FloatPool(name, source, renamed[draft.input], name)
