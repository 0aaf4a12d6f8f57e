"""Collects the operators and constants of an ONNX model of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shiftforge.quant.export.onnx_nodes import OnnxNodes
from shiftforge.quant.graph.types import Grid, QuantizedModel

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Builder", "codes_name"]


def codes_name(tensor: str) -> str:
    """The ONNX value that holds a tensor's codes (of more than 8 bits: as float32 or float64)."""
    return f"{tensor}.codes"


class Builder(OnnxNodes):
    """Collects the nodes and constants of one model."""

    def __init__(self, model: QuantizedModel) -> None:
        super().__init__()
        self.model = model
        # Tensors of more than 8 bits whose codes are float64; others' are float32.
        self.doubles: set[str] = set()

    def scale(self, exponent: int) -> str:
        return self.constant(f"scale.{exponent}", np.array(2.0**exponent, dtype=np.float32))

    def zero(self, grid: Grid) -> str:
        kind = np.int8 if grid.signed else np.uint8
        return self.constant(f"zero.{np.dtype(kind).name}", np.array(0, dtype=kind))

    def dequantise(self, name: str) -> None:
        """Codes to real values, under the tensor's own name."""
        grid = self.model.tensors[name].grid
        inputs = [codes_name(name), self.scale(grid.exponent), self.zero(grid)]
        self.op("DequantizeLinear", inputs, name)

    def requantise(self, value: str, name: str, lo: int, hi: int) -> None:
        """Clamp to [lo, hi] in steps of the grid, round half to even, and back to real values."""
        grid = self.model.tensors[name].grid
        if grid.bits > 8:
            self._round_wide(value, name, lo, hi)
            return
        full = (-128, 127) if grid.signed else (0, 255)
        if (lo, hi) != full:
            # Bounds are codes, so that clamping before rounding is the same.
            ends = [self.scale_of(code, grid) for code in (lo, hi)]
            value = self.op("Clip", [value, *ends], f"{name}.clamped")
        inputs = [value, self.scale(grid.exponent), self.zero(grid)]
        self.op("QuantizeLinear", inputs, codes_name(name))
        self.dequantise(name)

    def scale_of(self, code: int, grid: Grid) -> str:
        value = np.array(np.ldexp(float(code), grid.exponent), dtype=np.float32)
        return self.constant(f"code.{code}.at.{grid.exponent}", value)

    def _round_wide(self, value: str, name: str, lo: int, hi: int) -> None:
        """Codes of more than 8 bits stay float32: no type of QuantizeLinear holds them."""
        grid = self.model.tensors[name].grid
        scaled = self.op("Mul", [value, self.scale(-grid.exponent)], f"{name}.scaled")
        if (lo, hi) == (grid.qmin, grid.qmax):
            self.op("Round", [scaled], codes_name(name))
        else:
            rounded = self.op("Round", [scaled], f"{name}.rounded")
            ends = [
                self.constant(f"float.{code}", np.array(code, dtype=np.float32))
                for code in (lo, hi)
            ]
            self.op("Clip", [rounded, *ends], codes_name(name))
        self.op("Mul", [codes_name(name), self.scale(grid.exponent)], name)

    def finish(self, every_tensor: bool) -> ModelProto:
        helper, proto = self.onnx.helper, self.onnx.TensorProto

        def info(name: str, tensor: str, kind: int) -> Any:
            shape = ["N", *self.model.tensors[tensor].shape]
            return helper.make_tensor_value_info(name, kind, shape)

        def kind(tensor: str) -> int:
            grid = self.model.tensors[tensor].grid
            if grid.bits > 8:
                return int(proto.DOUBLE if tensor in self.doubles else proto.FLOAT)
            return int(proto.INT8 if grid.signed else proto.UINT8)

        outputs = [info(name, name, proto.FLOAT) for name in self.model.outputs]
        if every_tensor:
            for node in self.model.nodes:
                outputs.append(info(codes_name(node.output), node.output, kind(node.output)))
        source = self.model.input
        return self.made(self.model.name, [info(codes_name(source), source, kind(source))], outputs)
