"""The operators and constants of one ONNX model, in the order in which they are appended."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.graph.types import Conv

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["OnnxNodes", "conv_geometry", "load"]

# The newest of both that every supported ONNX Runtime reads.
OPSET, IR_VERSION = 13, 8


def load(name: str) -> Any:
    """A package that only the export needs. Raises InputError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            Problem(f"the package {name} is not installed", f"pip install {name}")
        ) from error


def conv_geometry(node: Conv | FloatConv) -> dict[str, Any]:
    """Attributes of a convolution's ``Conv``."""
    return {
        "kernel_shape": list(node.weight.shape[2:]),
        "strides": [node.stride] * 2,
        "pads": list(node.padding),
        "dilations": [node.dilation] * 2,
        "group": node.groups,
    }


class OnnxNodes:
    """Collects nodes and constants; every operator is named after its output."""

    def __init__(self) -> None:
        self.onnx = load("onnx")
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append an operator; its output's name."""
        node = self.onnx.helper.make_node(kind, list(inputs), [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A named constant, once."""
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(value, name)
        return name

    def made(self, name: str, inputs: list[Any], outputs: list[Any]) -> ModelProto:
        """The checked model with these values at its ends."""
        helper = self.onnx.helper
        constants = list(self.constants.values())
        body = helper.make_graph(self.nodes, name, inputs, outputs, constants)
        model: ModelProto = helper.make_model(
            body,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="shiftforge",
        )
        # The checker takes no model beyond what a message of protobuf holds.
        if model.ByteSize() < 1 << 31:
            self.onnx.checker.check_model(model)
        return model
