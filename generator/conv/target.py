"""Model and board to design: plan, emit, check."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.folder import INTERFACE, render_project
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.search import search_array
from shiftforge.generator.conv.weights import pack_parameters, pack_weights
from shiftforge.generator.design import Design
from shiftforge.generator.rules import check_rules
from shiftforge.quant.graph.file import model_bytes
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["emit_design", "generate"]


def generate(
    model: QuantizedModel,
    board: Board,
    *,
    units: int | None = None,
    pixels: int | None = None,
    target_fps: float | None = None,
) -> Design:
    """The design of a model for a board; nothing is written.

    units, pixels: the array's shape; both None for a search over the board's area.
    target_fps: frames a second (modelled) that the search has to reach with the fewest lanes.
    Raises InputError for operators that cannot be mapped and for a board that is too small.
    """
    if units is None and pixels is None:
        plan = search_array(model, board, target_fps)
    else:
        plan = make_plan(model, board, array_for(model, units or 16, pixels or 7))
    return emit_design(model, plan)


def emit_design(model: QuantizedModel, plan: Plan) -> Design:
    """The files of a plan."""
    layers = schedule(model).layers
    program = np.array([layer.instruction.words() for layer in plan.layers], np.int32)
    source = render_accelerator(plan)
    _check_rules(source)
    files = {
        **{path: text.encode() for path, text in render_project(plan).items()},
        "device/accelerator.cl": source.encode(),
        "data/program.bin": program.tobytes(),
        "data/weights.bin": pack_weights(layers, plan.array),
        "data/params.bin": pack_parameters(layers, plan.array, plan.multiplier_requant),
        "plan.json": plan.to_json().encode(),
        "model.safetensors": model_bytes(model),
    }
    manifest = {**_manifest(model, plan), "sizes": _data_sizes(files)}
    design = Design(files, plan.totals(), manifest)
    return Design(files, {**plan.totals(), "digest": design.digest}, design.manifest)


def _check_rules(source: str) -> None:
    """Refuse text that Intel's compiler would refuse; the emulator accepts some of it."""
    broken = [
        v for v in check_rules(source, source_name="device/accelerator.cl") if v.severity == "error"
    ]
    if broken:
        raise CheckFailed("\n".join(str(v) for v in broken))


def _data_sizes(files: Mapping[str, bytes]) -> dict[str, int]:
    """Sizes by which the runtime sees a truncated file; text may be edited and is not listed."""
    return {name: len(data) for name, data in files.items() if name.startswith(("data/", "model"))}


def _manifest(model: QuantizedModel, plan: Plan) -> dict[str, object]:
    """Sizes and names that the host needs; everything else is in plan.json."""
    array = plan.array
    last = next(layer for layer in plan.layers if layer.result == model.output)
    output = model.tensors[model.output]
    return {
        "schema": 1,
        "interface": f"{__version__}/{INTERFACE}",
        "network": model.name,
        "board": plan.board.name,
        "units": array.units,
        "pixels": array.pixels,
        "layers": len(plan.layers),
        "image": list(plan.image_shape),
        "labels": list(model.labels),
        "preprocess": {
            "mean": list(model.preprocess.mean),
            "std": list(model.preprocess.std),
            "exponent": model.tensors[model.input].grid.exponent,
            "range": [model.tensors[model.input].grid.qmin, model.tensors[model.input].grid.qmax],
        },
        "output": {
            "tensor": output.name,
            "shape": list(output.shape),
            "signed": output.grid.signed,
            "direct": bool(last.instruction.direct),
            "groups": last.tiling.out_groups,
            "tiles": last.tiling.tiles,
            "lines": last.instruction.result_lines,
        },
        "channel_groups": sum(layer.tiling.out_groups for layer in plan.layers),
        "trace_lines": plan.trace_lines,
        "trace": [
            {
                "tensor": layer.result,
                "base": layer.instruction.trace_base,
                "lines": layer.instruction.result_lines,
            }
            for layer in plan.layers
            if not layer.instruction.direct
        ],
        "channels": [
            {"name": c.name, "type": c.type, "writer": c.writer, "reader": c.reader,
             "depth": c.depth}
            for c in plan.channels
        ],
    }  # fmt: skip
