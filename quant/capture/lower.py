"""State of lowering a traced network to drafts: values, constants, problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import Node

from shiftforge.errors import Problem
from shiftforge.quant.capture.draft import Draft, DraftMap, Value
from shiftforge.quant.capture.trace import BATCH, Trace, module_path, module_type
from shiftforge.quant.capture.types import (
    FloatAveragePool,
    FloatConcat,
    FloatMap,
    FloatMaxPool,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.graph.types import Grid

__all__ = ["MAP_NAMES", "Call", "Lowering", "Poisoned", "Unsupported", "operator_name"]

MAP_NAMES: dict[type, str] = {
    FloatPool: "pool",
    FloatMaxPool: "max_pool",
    FloatAveragePool: "average_pool",
    FloatConcat: "concat",
    FloatSlice: "slice",
    FloatShuffle: "shuffle",
    FloatTable: "table",
    FloatUpsample: "upsample",
}
"""What drafts of these are called, and their nodes after them."""


class Unsupported(Exception):
    """An operator cannot be mapped; the reason and what the user can do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Poisoned(Exception):
    """An operand comes from an operator that was already listed as unsupported."""


class Call(dict[str, Any]):
    """A call's arguments; looking up one that this overload has not raises Unsupported."""

    def __missing__(self, name: str) -> Any:
        raise Unsupported(f"this form of it has no argument {name!r}", "use its usual form")


def operator_name(node: Node) -> str:
    """Short name of the operator, such as "conv2d" or "max_pool2d"."""
    text = str(node.target)
    if text.startswith("aten."):
        text = text.split(".")[1]
    return text.removeprefix("_native_").removesuffix("_with_indices")


@dataclass
class Lowering:
    """What has been lowered so far; problems gathers everything that could not be.

    grids: those that the network itself names for a drafted tensor.
    """

    trace: Trace
    values: dict[Node, Value | None] = field(default_factory=dict)
    constants: dict[Node, torch.Tensor] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    producers: dict[str, Draft] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    grids: dict[str, set[Grid]] = field(default_factory=dict)

    def arguments(self, node: Node) -> Call:
        """The call's arguments by their names in the operator's schema, defaults filled in."""
        schema = cast(Any, node.target)._schema
        bound = Call()
        for index, argument in enumerate(schema.arguments):
            if index < len(node.args):
                bound[argument.name] = node.args[index]
            elif argument.name in node.kwargs:
                bound[argument.name] = node.kwargs[argument.name]
            else:
                bound[argument.name] = argument.default_value
        return bound

    def is_map(self, operand: object) -> bool:
        """Whether an operand depends on the image, rather than on parameters or numbers alone."""
        return isinstance(operand, Node) and operand not in self.constants

    def value(
        self,
        operand: object,
        *,
        padded: bool = False,
        lines: bool = False,
        channels: bool = False,
    ) -> Value:
        """The value of an operand; Unsupported for a constant, or a pad no convolution reads.

        lines: maps whose rows stand one after another, (N, C, H*W), are taken too. channels: those
        whose channels are several axes are.
        """
        if not isinstance(operand, Node) or operand in self.constants:
            raise Unsupported(
                "it reads a constant, not a feature map", "compute it once, outside forward"
            )
        value = self.values.get(operand)
        if value is None:
            raise Poisoned
        if not padded and any(value.padding):
            raise Unsupported(
                "it reads a zero-padded map, and padding can only be merged into a convolution or "
                "a pool",
                "pad in the convolution instead",
            )
        if value.channels is not None and not channels:
            raise Unsupported(
                "it reads a map whose channels are several axes",
                "bring it to (N, C, H, W) before: view it back, as a channel shuffle does",
            )
        if value.lines and not lines:
            raise Unsupported(
                "it reads a map whose rows and columns are one axis, (N, C, H*W)",
                "keep (N, C, H, W); the average over both is x.mean((2, 3))",
            )
        return value

    def constant(self, operand: object, what: str) -> NDArray[np.float64]:
        """A parameter or buffer in float64; Unsupported where the network computes it."""
        if not isinstance(operand, Node) or operand not in self.constants:
            if isinstance(operand, Node) and self.values.get(operand) is None:
                raise Poisoned
            raise Unsupported(
                f"its {what} depends on the image, it is not a parameter", "make it a parameter"
            )
        held = self.constants[operand]
        for bad, kind in (
            (held.is_quantized, "is already quantised"),
            (held.layout is not torch.strided, "is sparse"),
            (held.is_complex(), "is complex"),
            (held.device.type == "meta", "holds no values (it is on the device meta)"),
        ):
            if bad:
                raise Unsupported(f"its {what} {kind}", "give plain float tensors")
        array: NDArray[np.float64] = held.to(torch.float64).numpy()
        return array

    def result_shape(self, node: Node) -> tuple[int, ...] | None:
        """Traced shape with the batch axis, of the first result where there are several."""
        result = node.meta.get("val")
        if isinstance(result, (tuple, list)):
            result = result[0] if result else None
        if not isinstance(result, torch.Tensor) or any(type(n) is not int for n in result.shape):
            return None  # no tensor, or a size that depends on the image
        return tuple(result.shape)

    def sole(self, node: Node) -> bool:
        """Whether exactly one live operator reads the node."""
        return self.trace.users[node] == 1

    def new_value(self, node: Node) -> Value:
        """A fresh tensor for the node's result; Unsupported where that is no batch of maps."""
        shape = self.result_shape(node)
        if shape is None or len(shape) not in (2, 4) or shape[0] != BATCH:
            raise Unsupported(
                f"its result, of shape {list(shape or ())}, is no batch of maps",
                "keep (N, C, H, W) or (N, C)",
            )
        chw = (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)
        self.shapes[node.name] = chw
        return Value(node.name, chw, flat=len(shape) == 2, sole=self.sole(node))

    def alike(self, node: Node, operand: object, x: Value) -> Value:
        """A fresh tensor of x's form, for a result that is computed value by value from it."""
        if not isinstance(operand, Node) or self.result_shape(node) != self.result_shape(operand):
            raise Unsupported("it makes another shape of its operand", "keep the shape")
        return self.fresh(node, x)

    def fresh(self, node: Node, x: Value) -> Value:
        """A new tensor of x's form for a node's result, or for a step on the way to it."""
        name, count = node.name, 1
        while name in self.shapes:
            count += 1
            name = f"{node.name}.{count}"
        self.shapes[name] = x.shape
        return Value(name, x.shape, x.flat, self.sole(node), lines=x.lines)

    def emit(self, draft: Draft, value: Value) -> Value:
        """Append a draft that produces value."""
        self.drafts.append(draft)
        self.producers[value.tensor] = draft
        return value

    def emit_map(
        self, node: Node, made: FloatPool | FloatMap, inputs: list[Value], out: Value
    ) -> Value:
        """Append what pools, moves or looks up values; made: its float node, without names."""
        self.drafts.append(
            DraftMap(
                module_path(node), MAP_NAMES[type(made)], tuple(x.tensor for x in inputs),
                out.tensor, made, tuple(x.sole for x in inputs),
            )
        )  # fmt: skip
        self.producers[out.tensor] = self.drafts[-1]
        return out

    def report(self, node: Node, reason: str, remedy: str) -> None:
        """List one operator as unsupported."""
        kind = module_type(node)
        inside = f" (in {kind})" if kind else ""
        self.problems.append(
            Problem(f"operator {operator_name(node)}{inside}: {reason}", remedy, module_path(node))
        )
