"""State of lowering a traced network to drafts: values, constants, problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import Node

from shiftforge.errors import Problem
from shiftforge.quant.capture.draft import Draft, Value
from shiftforge.quant.capture.trace import BATCH, Trace, module_path, module_type

__all__ = ["Lowering", "Poisoned", "Unsupported", "operator_name"]


class Unsupported(Exception):
    """An operator cannot be mapped; the reason and what the user can do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Poisoned(Exception):
    """An operand comes from an operator that was already listed as unsupported."""


def operator_name(node: Node) -> str:
    """Short name of the operator, such as "conv2d" or "max_pool2d"."""
    text = str(node.target)
    if text.startswith("aten."):
        text = text.split(".")[1]
    return text.removeprefix("_native_").removesuffix("_with_indices")


@dataclass
class Lowering:
    """What has been lowered so far; problems gathers everything that could not be."""

    trace: Trace
    values: dict[Node, Value | None] = field(default_factory=dict)
    constants: dict[Node, torch.Tensor] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    producers: dict[str, Draft] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def arguments(self, node: Node) -> dict[str, Any]:
        """The call's arguments by their names in the operator's schema, defaults filled in."""
        schema = cast(Any, node.target)._schema
        bound: dict[str, Any] = {}
        for index, argument in enumerate(schema.arguments):
            if index < len(node.args):
                bound[argument.name] = node.args[index]
            elif argument.name in node.kwargs:
                bound[argument.name] = node.kwargs[argument.name]
            else:
                bound[argument.name] = argument.default_value
        return bound

    def value(self, operand: object, *, padded: bool = False) -> Value:
        """The value of an operand; Unsupported for a constant, or a pad no convolution reads."""
        if not isinstance(operand, Node) or operand in self.constants:
            raise Unsupported("one operand is a constant, not a feature map")
        value = self.values.get(operand)
        if value is None:
            raise Poisoned
        if not padded and any(value.padding):
            raise Unsupported(
                "it reads a zero-padded map, and padding can only be merged into a convolution",
                "pad in the convolution instead",
            )
        return value

    def constant(self, operand: object, what: str) -> NDArray[np.float64]:
        """A parameter or buffer in float64; Unsupported where the network computes it."""
        if not isinstance(operand, Node) or operand not in self.constants:
            raise Unsupported(f"its {what} depends on the image, it is not a parameter")
        array: NDArray[np.float64] = self.constants[operand].to(torch.float64).numpy()
        return array

    def result_shape(self, node: Node) -> tuple[int, ...] | None:
        """Traced shape with the batch axis, of the first result where there are several."""
        result = node.meta.get("val")
        if isinstance(result, (tuple, list)):
            result = result[0] if result else None
        return tuple(int(n) for n in result.shape) if isinstance(result, torch.Tensor) else None

    def sole(self, node: Node) -> bool:
        """Whether exactly one live operator reads the node."""
        return self.trace.users[node] == 1

    def new_value(self, node: Node) -> Value:
        """A fresh tensor for the node's result; Poisoned where that is no batch of maps."""
        shape = self.result_shape(node)
        if shape is None or len(shape) not in (2, 4) or shape[0] != BATCH:
            raise Poisoned
        chw = (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)
        self.shapes[node.name] = chw
        return Value(node.name, chw, flat=len(shape) == 2, sole=self.sole(node))

    def emit(self, draft: Draft, value: Value) -> Value:
        """Append a draft that produces value."""
        self.drafts.append(draft)
        self.producers[value.tensor] = draft
        return value

    def report(self, node: Node, reason: str, remedy: str) -> None:
        """List one operator as unsupported."""
        kind = module_type(node)
        inside = f" (in {kind})" if kind else ""
        self.problems.append(
            Problem(f"operator {operator_name(node)}{inside}: {reason}", remedy, module_path(node))
        )
