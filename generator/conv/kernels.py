"""OpenCL text of a plan. The template lays it out; every number is computed here or in the plan."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.conv.cycles import LOADER_BLOCK, loader_blocks, weight_word_bytes
from shiftforge.generator.conv.instruction import instruction_fields
from shiftforge.generator.conv.plan import LayerPlan, Plan
from shiftforge.generator.escape import verbatim
from shiftforge.generator.render import MAX_VECTOR, render

__all__ = ["render_accelerator"]


def _layer_comment(layer: LayerPlan) -> str:
    extra = [n for n in ("residual", "pool", "direct") if getattr(layer.instruction, n)]
    note = f" + {', '.join(extra)}" if extra else ""
    return f"{layer.index:3d} {layer.mode}{note}  {layer.source}"


def render_accelerator(plan: Plan) -> str:
    """The whole device text: one file, the same for every device and for hardware."""
    array, image = plan.array, plan.image
    vector = min(array.units, MAX_VECTOR)
    channels, rows, columns = plan.image_shape
    note = "" if array.unit == "shift" else ", multiplier variant (not multiplier-free)"
    values: dict[str, Any] = {
        "version": __version__,
        "network": plan.network,
        "board": plan.board.name,
        "units": array.units,
        "pixels": array.pixels,
        "lanes": array.lanes,
        "lane_note": note,
        "unit": array.unit,
        "terms": array.terms,
        "vector": vector,
        "vectors": array.units // vector,
        "packed_nibbles": array.unit == "shift" and array.terms == 1,
        "packed_weight_bytes": weight_word_bytes(array),
        "multiplier_requant": plan.multiplier_requant,
        "fm_lines": plan.memory.total_lines,
        "row_lines": plan.row_lines,
        "weight_words": plan.weight_words,
        "layer_count": len(plan.layers),
        "instruction_fields": instruction_fields(),
        "channels": plan.channels,
        "layer_comments": [_layer_comment(layer) for layer in plan.layers],
        "shift_include": verbatim(
            files("shiftforge.kernels").joinpath("shift.clh").read_text("utf-8")
        ),
        "image": {
            "channels": channels,
            "rows": rows,
            "columns": columns,
            "kernel": image.kernel,
            "stride": image.stride,
            "top": image.top,
            "left": image.left,
            "block": LOADER_BLOCK,
            "blocks": loader_blocks(image, columns, array),
            "map_rows": image.rows,
            "map_columns": image.columns,
            "map_tiles": -(-image.columns // array.pixels),
            "map_groups": -(-image.channels // array.units),
        },
    }
    return render("conv/opencl/accelerator.cl.j2", values)
