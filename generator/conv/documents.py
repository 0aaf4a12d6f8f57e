"""A convolution project's modelled figures, as the JSON files beside its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shiftforge.generator.board_fit import use_rows
from shiftforge.generator.conv.bounds import BOUNDS
from shiftforge.generator.conv.planned_file import PlannedFile, read_planned_file
from shiftforge.generator.reports.ours import read_ours
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.formats.sqnr import sqnr_db
from shiftforge.quant.graph.types import Add, Conv, Node, QuantizedModel, ShiftFormat

__all__ = ["conv_documents"]


def conv_documents(folder: Path, model: QuantizedModel) -> dict[str, Any]:
    """What a page tells of a project that nothing has run yet, by file. Raises InputError.

    Shapes are (C, H, W). Cycles are of a batch of the frames in flight. ``share``: of the whole
    device; ``two_terms``, ``zeros``: of a layer's weights.
    """
    plan = read_planned_file(folder)
    return {
        "estimate_layer_cycles.json": _cycles(plan),
        "estimate_layer_resources.json": _resources(plan),
        "estimate_network_performance.json": _performance(plan),
        "loops.json": {"loops": [dict(row) for row in read_ours(folder).rows]},
        "memory_map.json": _memory(plan),
        "network.json": _network(plan, model),
    }


def _cycles(plan: PlannedFile) -> dict[str, Any]:
    layers = [
        {
            "name": layer.name,
            "mode": layer.mode,
            "macs": layer.cycles.macs,
            "cycles": layer.cycles.modelled,
            "ideal_cycles": layer.cycles.ideal,
            "array_cycles": layer.cycles.array,
            "second_term_cycles": layer.second_term_cycles,
            "utilisation": layer.cycles.utilisation,
            "strips": layer.steps,
            "bound": bound,
            "bound_text": BOUNDS.get(bound, bound),
        }
        for layer, bound in zip(plan.layers, plan.bounds, strict=True)
    ]
    return {
        "figures": "modelled",
        "clock_mhz": plan.totals["clock_mhz"],
        "layers": layers,
        "roofline": _roofline(plan),
    }


def _roofline(plan: PlannedFile) -> dict[str, Any]:
    """Work a byte of weights from global memory, and work a cycle, of the layers that read any."""
    frames = plan.array.frames
    points = [
        {
            "name": layer.name,
            "mode": layer.mode,
            "macs_a_byte": frames
            * layer.cycles.macs
            / (layer.cycles.weights * plan.bytes_per_cycle),
            "macs_a_cycle": frames * layer.cycles.macs / layer.cycles.modelled,
        }
        for layer in plan.layers
        if layer.cycles.weights and layer.cycles.macs
    ]
    return {"lanes": plan.array.lanes, "bytes_per_cycle": plan.bytes_per_cycle, "points": points}


def _resources(plan: PlannedFile) -> dict[str, Any]:
    own = {"ALMs": plan.area.bsp_alm, "DSP blocks": 0, "RAM blocks": plan.area.bsp_ram}
    uses = [{**used, "board_logic": own[used["name"]]} for used in use_rows(plan.uses, plan.device)]
    items = [{**asdict(item), "kind": item.source.split(":")[0]} for item in plan.area.items]
    return {
        "figures": "modelled",
        "board_logic_source": plan.area.bsp_source,
        "uses": uses,
        "items": items,
    }


def _performance(plan: PlannedFile) -> dict[str, Any]:
    totals = {key: value for key, value in plan.totals.items() if key != "area"}
    return {
        "figures": "modelled",
        **totals,
        "device": asdict(plan.device),
        "array": asdict(plan.array),
        "lanes_shape": [plan.array.units, plan.array.pixels, plan.array.frames, 9],
        "bytes_per_cycle": plan.bytes_per_cycle,
        "latencies": [{"name": k, "cycles": v} for k, v in sorted(plan.latencies.items())],
        "channels": [asdict(channel) for channel in plan.channels],
    }


def _memory(plan: PlannedFile) -> dict[str, Any]:
    """first, last: steps in which something lies there, which count from 1; ``lives`` has a row for
    each time of a map that comes and goes."""
    line = plan.array.line_bytes
    kept = _residuals(plan)
    maps: list[dict[str, Any]] = [
        {
            "name": own.name,
            "kind": "kept for an addition" if own.name in kept else "read by the next layer",
            "base": plan.memory.bases[own.name],
            "lines": own.lines,
            "bytes": own.lines * line,
            "first": own.born,
            "last": own.dies,
            "spans": [list(span) for span in own.lives],
        }
        for own in plan.memory.maps
        if own.name in plan.memory.bases
    ]
    lives = [
        {**own, "first": first, "last": last} for own in maps for first, last in own.pop("spans")
    ]
    return {
        "figures": "modelled",
        "line_bytes": line,
        "lines": plan.memory.total_lines,
        "bytes": plan.memory.total_lines * line,
        "maps": maps,
        "lives": lives,
    }


def _residuals(plan: PlannedFile) -> set[str]:
    """Maps that live longer than from the step that writes them to the next."""
    return {own.name for own in plan.memory.maps if own.dies > own.born + 1}


def _network(plan: PlannedFile, model: QuantizedModel) -> dict[str, Any]:
    layer_of = {layer.name: layer for layer in plan.layers}
    nodes = []
    for node in model.nodes:
        layer = layer_of.get(node.name)
        nodes.append(
            {
                "name": node.name,
                "op": _operator(node),
                "source": node.source,
                "inputs": list(node.inputs),
                "output": node.output,
                "shape": list(model.tensors[node.output].shape),
                "mode": None if layer is None else layer.mode,
                **(_weights(node, model) if isinstance(node, Conv) else {}),
            }
        )
    return {
        "name": model.name,
        "input": {"name": model.input, "shape": list(model.tensors[model.input].shape)},
        "outputs": list(model.outputs),
        "weights": sum(node.weight.size for node in model.conv_nodes()),
        "nodes": nodes,
        "convolutions": [node for node in nodes if node["op"].endswith("convolution")],
    }


def _operator(node: Node) -> str:
    if isinstance(node, Conv):
        rows, columns = node.kernel
        depthwise = node.groups > 1 and node.weight.shape[1] == 1
        return f"{rows}×{columns} {'depthwise ' if depthwise else ''}convolution"
    return "addition" if isinstance(node, Add) else type(node).__name__.lower()


def _weights(node: Conv, model: QuantizedModel) -> Mapping[str, Any]:
    """Counts, shares, ranges in real values, and the SQNR against the float weights where the model
    has them (null where nothing differs)."""
    own = node.format
    if isinstance(own, ShiftFormat):
        counts = term_count(node.weight, own)
        zeros, twos = float(np.mean(counts == 0)), float(np.mean(counts == 2))
        terms = "one term" if own.terms == 1 else "up to two terms"
        text = f"shift, {own.bits} bits, {terms}"
    else:
        zeros, twos = float(np.mean(node.weight == 0)), 0.0
        text = f"integer, {own.bits} bits"
    exponents = node.z.astype(np.int64)[:, None, None, None]
    real = np.ldexp(node.weight.astype(np.float64), exponents)
    float_weight = model.floats.get(f"{node.name}.weight")
    sqnr = None if float_weight is None else sqnr_db(float_weight, real)
    return {
        "weights": int(node.weight.size),
        "format": text,
        "two_terms": twos,
        "zeros": zeros,
        "lowest": float(real.min()),
        "highest": float(real.max()),
        "float_lowest": None if float_weight is None else float(float_weight.min()),
        "float_highest": None if float_weight is None else float(float_weight.max()),
        "weight_sqnr_db": sqnr if sqnr is not None and np.isfinite(sqnr) else None,
    }
