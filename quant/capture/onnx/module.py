"""An ONNX graph as a PyTorch module, which capture then treats as any other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported, floats
from shiftforge.quant.capture.onnx.functions import FUNCTIONS
from shiftforge.quant.capture.onnx.layers import LAYERS
from shiftforge.quant.capture.onnx.moves import MOVES
from shiftforge.quant.capture.onnx.quantised import LOOKED_UP, QUANTISED
from shiftforge.quant.capture.onnx.walk import Walk
from shiftforge.quant.capture.onnx.windows import WINDOWS
from shiftforge.quant.capture.raised import reason

__all__ = ["CONVERTERS", "DAMAGED", "OnnxNetwork", "network_of"]

CONVERTERS: dict[str, Converter] = {**WINDOWS, **LAYERS, **FUNCTIONS, **MOVES, **QUANTISED}
# What numbers and shapes raise that onnx's checker and shape inference let pass.
DAMAGED = (IndexError, KeyError, TypeError, ValueError, ArithmeticError)
REMEDY = "docs/OPERATORS.md lists the operators; keep this part on the host"


class _Node(torch.nn.Module):
    """One or more nodes of one name; each constant is a buffer, called as in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[Function] = []
        self.constants: list[dict[int, str]] = []

    def put(self, call: Call, function: Function) -> int:
        """Add a node; its place among those of the name."""
        own: dict[int, str] = {}
        for place, name in enumerate(call.inputs):
            value = call.constants.get(name)
            if value is not None and not np.issubdtype(value.dtype, np.integer):
                own[place] = self._named(name)
                self.register_buffer(own[place], floats(value))
        self.functions.append(function)
        self.constants.append(own)
        return len(self.functions) - 1

    def _named(self, name: str) -> str:
        base = _part(re.split(r"[./]", name)[-1])
        count, label = 1, base
        while hasattr(self, label):
            count += 1
            label = f"{base}_{count}"
        return label

    def forward(self, index: int, *tensors: torch.Tensor | None) -> Any:
        own = self.constants[index]
        given = [getattr(self, own[n]) if n in own else x for n, x in enumerate(tensors)]
        return self.functions[index](*given)


class OnnxNetwork(torch.nn.Module):
    """The calls of a walk in order; its modules are called as the graph's nodes.

    Takes frames (N, C, H, W). rank: of the graph's own input; fewer axes than four leave out the
    last ones.
    """

    def __init__(
        self,
        found: Walk,
        functions: Sequence[Function],
        image: str,
        rank: int,
        outputs: Sequence[str],
    ) -> None:
        super().__init__()
        self.image, self.rank, self.ends = image, rank, tuple(outputs)
        self.steps: list[tuple[str, int, Call]] = []
        for call, function in zip(found.calls, functions, strict=True):
            path = module_name(call.name)
            node = self._at(path, call.kind)
            self.steps.append((path, node.put(call, function), call))

    def _at(self, path: str, kind: str) -> _Node:
        """The module of a name, made with its parents where there is none yet."""
        here: torch.nn.Module = self
        parts = path.split(".")
        for n, part in enumerate(parts, 1):
            own = here._modules.get(part)
            if own is None:
                # What refuses a node names its module's class, which is the operator.
                own = type(kind if n == len(parts) else "Scope", (_Node,), {})()
                here.add_module(part, own)
            here = own
        assert isinstance(here, _Node)
        return here

    def forward(self, x: torch.Tensor) -> Any:
        shape = x.shape[: self.rank] if self.rank < 4 else x.shape
        values = {self.image: x.reshape(shape) if self.rank < 4 else x}
        for path, index, call in self.steps:
            module = self.get_submodule(path)
            made = module(index, *(values.get(name) for name in call.inputs))
            many = made if isinstance(made, tuple | list) else (made,)
            values.update(zip(call.outputs, many, strict=False))
        ends = tuple(values[name] for name in self.ends)
        return ends[0] if len(ends) == 1 else ends


def module_name(name: str) -> str:
    """A node's name as a module path: "/features/features.0/Conv" is features.features.0.Conv."""
    parts = [_part(part) for part in re.split(r"[./]+", name) if part]
    return ".".join(parts) or "node"


def _part(text: str) -> str:
    own = re.sub(r"\W", "_", text, flags=re.ASCII) or "_"
    # A module has these already.
    return f"{own}_" if hasattr(torch.nn.Module, own) or own in _TAKEN else own


_TAKEN = {"steps", "image", "rank", "ends", "functions", "constants", "training"}


def network_of(found: Walk, image: str, outputs: Sequence[str]) -> OnnxNetwork:
    """The module of a walk's calls.

    Raises InputError with every node that has no counterpart, and the problems of the walk.
    """
    problems, functions = list(found.problems), []
    for call in found.calls:
        try:
            converter = CONVERTERS.get(call.kind) or LOOKED_UP.get(call.kind)
            if converter is None:
                raise Unsupported(f"the operator {call.kind} has no counterpart", REMEDY)
            functions.append(converter(call))
        except Unsupported as refusal:
            what = f"{call.kind}: {refusal.reason}" if converter else refusal.reason
            problems.append(Problem(what, refusal.remedy, call.name))
        except DAMAGED as error:
            what = f"{call.kind}: its attributes or constants do not fit: {reason(error)}"
            problems.append(Problem(what, "export the network again", call.name))
    made = {name for call in found.calls for name in call.outputs}
    if not problems:
        for name in outputs:
            if name not in made:
                what = f"its output {name} does not depend on its input"
                problems.append(Problem(what, "return what is computed from the image", name))
    if problems:
        raise InputError(problems)
    return OnnxNetwork(found, functions, image, len(found.shapes[image]), outputs)
