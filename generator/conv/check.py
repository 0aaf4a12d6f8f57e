"""A float network against the array, before any calibration: what maps where, and what does not.

A dry model has the network's shapes and formats and no values. The plan's own steps take it, so
that what they refuse here is what they refuse of the quantised network, in the same words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from shiftforge.boards.types import Board
from shiftforge.errors import Problems
from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.checking import CheckReport, CheckRow
from shiftforge.generator.conv.dry_maps import dry_map, map_words
from shiftforge.generator.conv.followers import Leads
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import Plan, area_estimate
from shiftforge.generator.conv.plan_document import plan_totals
from shiftforge.generator.conv.schedule import Layer, Mapped, map_nodes
from shiftforge.generator.conv.search import find_plan
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatNode, FloatPool
from shiftforge.quant.graph.types import (
    Add,
    Concat,
    Conv,
    Grid,
    Node,
    Pool,
    QuantizedModel,
    ShiftFormat,
    Shuffle,
    Slice,
    Tensor,
    WeightFormat,
)

__all__ = ["check_network", "dry_model"]

# Values decide neither what maps nor what it takes; any grid will do.
_GRID = Grid(8, True, -4)
# Of a sum, as of most networks: the real width is known after calibration.
_ACC_BITS = 24
_FIGURES = (
    "units", "pixels", "lanes", "unit", "terms", "f", "ideal_cycles", "modelled_cycles",
    "modelled_fps", "utilisation", "buffer_bytes", "modelled_alm", "modelled_alm_fraction",
    "modelled_ram_blocks",
)  # fmt: skip


def dry_model(graph: FloatGraph, formats: Mapping[str, WeightFormat]) -> QuantizedModel:
    """The integer network that a float one becomes; its weights take no memory, and each has as
    many terms as its format allows.

    formats: of every convolution's weights, by name; two-term shift weights where one is missing.
    """
    wide = graph.wide_outputs()
    tensors = {
        name: Tensor(name, *graph.shapes[name], _GRID if name not in wide else Grid(32, True, -4))
        for name in (graph.input, *(node.output for node in graph.nodes))
    }
    return QuantizedModel(
        name=graph.name,
        preprocess=graph.preprocess,
        input=graph.input,
        output=graph.output,
        tensors=tensors,
        nodes=tuple(_dry(node, tensors, formats) for node in graph.nodes),
        labels=graph.labels,
        more_outputs=graph.more_outputs,
        host=graph.host,
    )


def _dry(
    node: FloatNode, tensors: Mapping[str, Tensor], formats: Mapping[str, WeightFormat]
) -> Node:
    grid = tensors[node.output].grid
    match node:
        case FloatConv():
            outputs = node.weight.shape[0]
            fmt = formats.get(node.name, ShiftFormat())
            value = np.int8(3 if isinstance(fmt, ShiftFormat) and fmt.terms == 2 else 1)
            return Conv(
                name=node.name, source=node.source, input=node.input, output=node.output,
                weight=np.broadcast_to(value, node.weight.shape),
                z=np.zeros(outputs, np.int8), bias=np.zeros(outputs, np.int32),
                format=fmt, stride=node.stride,
                padding=node.padding, dilation=node.dilation, groups=node.groups,
                lo=grid.qmin, hi=grid.qmax, acc_bits=np.full(outputs, _ACC_BITS, np.uint8),
            )  # fmt: skip
        case FloatAdd():
            return Add(node.name, node.source, node.a, node.b, node.output, grid.qmin, grid.qmax)
        case FloatPool():
            return Pool(node.name, node.source, node.input, node.output, 1, 0, grid.qmin, grid.qmax)
        case _:
            return dry_map(node, tensors)


def check_network(
    graph: FloatGraph,
    formats: Mapping[str, WeightFormat],
    board: Board | None = None,
    options: Options | None = None,
) -> CheckReport:
    """What of a network the array runs, and on a board the array that the plan would take.

    formats: as in ``dry_model``. options: as ``generate`` has them. Never raises for the network;
    the report holds what is wrong.
    """
    model = dry_model(graph, formats)
    mapped = map_nodes(model)
    problems = Problems(problem for own in mapped.problems.values() for problem in own)
    plan: Plan | None = None
    if board is not None and not problems:
        plan = problems.check(_plan, model, board, options or Options())
        problems += [] if plan is None else fit_problems(area_estimate(plan))
    return CheckReport(
        kind="conv",
        network=graph.name,
        rows=_rows(graph, model, mapped),
        problems=tuple(problems),
        board=None if board is None else board.name,
        figures={} if plan is None else _figures(plan),
    )


def _plan(model: QuantizedModel, board: Board, options: Options) -> Plan:
    return find_plan(model, board, options).plan


def _figures(plan: Plan) -> dict[str, Any]:
    totals = plan_totals(plan)
    return {name: totals[name] for name in _FIGURES}


def _rows(graph: FloatGraph, model: QuantizedModel, mapped: Mapped) -> tuple[CheckRow, ...]:
    passes = (layer.conv.name for layer in mapped.layers)
    copies = Counter(mapped.made[name] for name in passes if name in mapped.made)
    moved = {node.name for node in model.nodes if not isinstance(node, Leads)}
    places = {node.name: _move_place(node, copies[node.name]) for node in model.nodes
              if isinstance(node, Concat | Slice | Shuffle)}  # fmt: skip
    for layer in mapped.layers:
        where, told = _conv_place(layer, model)
        if layer.conv.name in moved:
            told = f"a copy: {told}" if told else "a copy"
        more = _more(copies[layer.conv.name])
        told = told + more if told else more.removeprefix(", ")
        places[layer.conv.name] = where, told
        if layer.add is not None and layer.skip is not None:
            copied = mapped.made.get(layer.conv.name) == layer.add.name
            told = f"with {'a copy' if copied else layer.conv.name}, which adds {layer.skip.name}"
            told += _more(copies[layer.add.name] - copied)
            places[layer.add.name] = ("residual", told)
        for follower in (layer.code_table, layer.table, layer.pool):
            if follower is not None:
                copied = mapped.made.get(layer.conv.name) == follower.name
                told = f"with {'a copy' if copied else layer.conv.name}"
                told += _more(copies[follower.name] - copied)
                places[follower.name] = (type(follower).__name__.lower(), told)
    rows = []
    for node in graph.nodes:
        place, detail = places.get(node.name, (None, ""))
        own = mapped.problems.get(node.name, ())
        if place is None and not own:
            # It would follow a convolution that does not map.
            detail = "follows a convolution that does not map"
        shape, maps = graph.shapes[node.output], None if own else place
        kind = type(node).__name__.removeprefix("Float")
        rows.append(
            CheckRow(node.name, node.source, _operator(node), shape, maps, detail, own, kind)
        )
    return tuple(rows)


def _more(passes: int) -> str:
    """Of so many passes beside a node's own."""
    return f", and {passes} more pass{'es' if passes > 1 else ''}" if passes else ""


def _move_place(node: Concat | Slice | Shuffle, copies: int) -> tuple[str, str]:
    """Of a node without a pass of its own."""
    if not isinstance(node, Concat):
        return "addresses", "no pass: it is read where its channels lie"
    if not copies:
        return "addresses", "no pass: its parts are written one behind the other"
    return "addresses", f"{copies} pass{'es copy parts' if copies > 1 else ' copies a part'}"


def _conv_place(layer: Layer, model: QuantizedModel) -> tuple[str, str]:
    if layer.direct:
        return "classifier", f"{layer.mode}; leaves as 32-bit integers"
    kernel = layer.conv.kernel
    if layer.input.name == model.input and layer.mode == "pointwise" and kernel != (1, 1):
        return layer.mode, f"the {kernel[0]}x{kernel[1]} taps lie as channels"
    if layer.largest:
        return layer.mode, "the largest of its windows"
    if layer.enlarge is not None:
        return layer.mode, "lines of the map come several times"
    if layer.raises:
        return layer.mode, f"a constant of {layer.words} digits"
    if layer.windows.count > 1:
        return layer.mode, f"as {layer.windows.count} windows of 3x3"
    if layer.mode != "pointwise" and kernel == (1, 1):
        return layer.mode, "as one tap of 3x3"
    return layer.mode, ""


def _operator(node: FloatNode) -> str:
    match node:
        case FloatConv():
            height, width = node.weight.shape[2:]
            parts = [f"conv {height}x{width}"]
            parts += [f"stride {node.stride}"] if node.stride != 1 else []
            parts += [f"groups {node.groups}"] if node.groups != 1 else []
            parts += [f"dilation {node.dilation}"] if node.dilation != 1 else []
            parts += [node.activation] if node.activation != "none" else []
            return ", ".join(parts)
        case FloatAdd():
            return "add" if node.activation == "none" else f"add, {node.activation}"
        case FloatPool():
            return "global average"
        case _:
            return map_words(node)
