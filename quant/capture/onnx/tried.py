"""The module of an ONNX graph, tried on shapes alone before torch traces it."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from shiftforge.errors import Problem
from shiftforge.quant.capture.onnx.module import DAMAGED, OnnxNetwork
from shiftforge.quant.capture.onnx.walk import Walk
from shiftforge.quant.capture.raised import reason

__all__ = ["shape_problems"]

_REMEDY = "export the network again"


def shape_problems(network: OnnxNetwork, found: Walk) -> list[Problem]:
    """Every node that torch does not compute, or whose output has not the shape that onnx tells.

    What reads such a node is left aside. Nothing is computed: tensors have shapes and no values.
    """
    problems: list[Problem] = []
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        values: dict[str, torch.Tensor] = {network.image: torch.zeros(found.shapes[network.image])}
        for path, index, call in network.steps:
            if not all(n in values or n in found.constants for n in call.inputs if n):
                continue
            given = (values.get(name) for name in call.inputs)
            try:
                made = network.get_submodule(path)(index, *given)
            except (RuntimeError, *DAMAGED) as error:
                what = f"{call.kind}: its inputs do not fit together: {reason(error)}"
                problems.append(Problem(what, _REMEDY, call.name))
                continue
            many = made if isinstance(made, tuple | list) else (made,)
            for name, value in zip(call.outputs, many, strict=False):
                shape, told = tuple(value.shape), found.shapes.get(name)
                if name and told is not None and shape != told:
                    what = f"{call.kind}: its output has the shape {shape}, and {told} is told"
                    problems.append(Problem(what, _REMEDY, call.name))
                else:
                    values[name] = value
    return problems
