"""Whether a model carries the float network that it was made of."""

from __future__ import annotations

from shiftforge.errors import Problem
from shiftforge.quant.graph.types import Add, Conv, QuantizedModel, Table

__all__ = ["float_problems"]


def float_problems(model: QuantizedModel) -> list[Problem]:
    """What keeps the float network from being run: weights or functions that the file has not."""
    activations = model.meta.get("activations", {})
    functions = model.meta.get("functions", {})
    absent = [c.name for c in model.conv_nodes() if f"{c.name}.weight" not in model.floats]
    for node in model.nodes:
        known = functions if isinstance(node, Table) else activations
        if isinstance(node, Conv | Add | Table) and node.name not in known:
            absent.append(node.name)
    if not absent:
        return []
    what = f"the model holds no float network ({absent[0]})"
    return [Problem(what, "quantise again and keep the float weights", model.name)]
