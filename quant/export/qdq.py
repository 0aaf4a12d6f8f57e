"""The integer graph as an ONNX model of QuantizeLinear and DequantizeLinear around float operators.

Every scale is a power of two and zero points are 0, so that the float32 model holds the integers
exactly as long as an accumulator stays below 2^24 in units of its own scale; `export_onnx` refuses
a network where one may not. QuantizeLinear rounds half to even, as the graph does. The constant of
a pool (multiplier / 2**shift) is applied in float64: a sum times the multiplier has up to 31 bits.
Operators of opset 13: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Add, Conv, Grid, Node, Pool, QuantizedModel

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["codes_name", "export_onnx"]

# The newest of both that every supported ONNX Runtime reads.
OPSET, IR_VERSION = 13, 8
# float32 holds every integer of up to so many bits.
_EXACT_BITS = 24


def codes_name(tensor: str) -> str:
    """The ONNX value that holds a tensor's codes (of a wide tensor: its codes as float32)."""
    return f"{tensor}.codes"


def export_onnx(model: QuantizedModel, *, every_tensor: bool = False) -> ModelProto:
    """The QDQ model: input codes (N, C, H, W), int8 or uint8, to the output's real values, float32.

    every_tensor: make each tensor's codes (see `codes_name`) an output too, for comparisons.
    Weights are int8 with one scale a channel, biases int32. Raises InputError where the package
    onnx is missing, and listing every node that float32 might not compute exactly.
    """
    _load("onnx")
    problems = _problems(model)
    if problems:
        raise InputError(problems)
    builder = _Builder(model)
    builder.dequantise(model.input)
    for node in model.nodes:
        match node:
            case Conv():
                builder.conv(node)
            case Add():
                builder.add(node)
            case Pool():
                builder.pool(node)
            case _:
                assert_never(node)
    return builder.finish(every_tensor)


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            Problem(f"the package {name} is not installed", "pip install 'shiftforge[bench]'")
        ) from error


def _problems(model: QuantizedModel) -> list[Problem]:
    found = []
    for name, tensor in model.tensors.items():
        narrow = tensor.grid.bits <= 8
        if not narrow and name != model.output:
            remedy = "quantise it to 8 bits or less"
            found.append(Problem(f"a tensor of {tensor.grid.bits} bits", remedy, name))
    for node in model.nodes:
        where = f"{node.name} ({node.source})"
        found += [Problem(what, remedy, where) for what, remedy in _inexact(model, node)]
    return found


def _inexact(model: QuantizedModel, node: Node) -> list[tuple[str, str]]:
    """What float32 might not compute exactly of a node, each with its remedy."""
    found = []
    match node:
        case Conv():
            # acc_bits counts the sign.
            widest = int(node.acc_bits.max()) - 1
            if widest > _EXACT_BITS:
                what = f"an accumulator of {widest} bits beside its sign; float32 holds 24"
                found.append((what, "use fewer weight bits or input channels"))
            if node.multiplier is not None and not _is_shift(node):
                what = "multipliers that are no powers of two"
                found.append((what, "quantise with requant shift"))
        case Add():
            apart = abs(model.tensors[node.a].grid.exponent - model.tensors[node.b].grid.exponent)
            if apart + 9 > _EXACT_BITS:
                what = f"inputs whose steps are 2^{apart} apart"
                found.append((what, "calibrate the two maps together"))
        case Pool():
            pass  # its constant is applied in float64
        case _:
            assert_never(node)
    return found


def _is_shift(node: Conv) -> bool:
    """Whether the multipliers are powers of two, and so the same as shifts by z."""
    if node.multiplier is None:
        return True
    return bool((node.multiplier & (node.multiplier - 1) == 0).all())


class _Builder:
    """Collects the nodes and constants of one model."""

    def __init__(self, model: QuantizedModel) -> None:
        self.model = model
        self.onnx = _load("onnx")
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

    def conv(self, node: Conv) -> None:
        weight_scale = np.ldexp(1.0, node.z.astype(np.int64)).astype(np.float32)
        source = self.model.tensors[node.input].grid.exponent
        weight = self._channels(f"{node.name}.weight", node.weight, weight_scale)
        bias_scale = np.ldexp(1.0, source + node.z.astype(np.int64)).astype(np.float32)
        bias = self._channels(f"{node.name}.bias", node.bias, bias_scale)
        value = self.op(
            "Conv",
            [node.input, weight, bias],
            f"{node.name}.sum",
            kernel_shape=list(node.kernel),
            strides=[node.stride] * 2,
            pads=list(node.padding),
            dilations=[node.dilation] * 2,
            group=node.groups,
        )
        self.requantise(value, node.output, node.lo, node.hi)

    def _channels(self, name: str, codes: NDArray[Any], scale: NDArray[np.float32]) -> str:
        """A constant of integers with one scale for each of its first axis."""
        zero = self.constant(f"{name}.zero", np.zeros(scale.shape, dtype=codes.dtype))
        inputs = [
            self.constant(f"{name}.codes", codes),
            self.constant(f"{name}.scale", scale),
            zero,
        ]
        return self.op("DequantizeLinear", inputs, name, axis=0)

    def add(self, node: Add) -> None:
        value = self.op("Add", [node.a, node.b], f"{node.name}.sum")
        self.requantise(value, node.output, node.lo, node.hi)

    def pool(self, node: Pool) -> None:
        proto = self.onnx.TensorProto
        source = self.model.tensors[node.input]
        grid = self.model.tensors[node.output].grid
        axes = self.constant("rows.and.columns", np.array([2, 3], dtype=np.int64))
        total = self.op("ReduceSum", [node.input, axes], f"{node.name}.total", keepdims=1)
        wide = self.op("Cast", [total], f"{node.name}.wide", to=proto.DOUBLE)
        factor = np.ldexp(float(node.multiplier), -node.shift - source.grid.exponent)
        held = self.constant(f"{node.name}.factor", np.array(factor, dtype=np.float64))
        scaled = self.op("Mul", [wide, held], f"{node.name}.scaled")
        rounded = self.op("Round", [scaled], f"{node.name}.rounded")
        ends = [
            self.constant(f"double.{code}", np.array(code, dtype=np.float64))
            for code in (node.lo, node.hi)
        ]
        value = self.op("Clip", [rounded, *ends], f"{node.name}.clamped")
        kind = proto.INT8 if grid.signed else proto.UINT8
        self.op("Cast", [value], codes_name(node.output), to=kind)
        self.dequantise(node.output)

    def finish(self, every_tensor: bool) -> ModelProto:
        helper, proto = self.onnx.helper, self.onnx.TensorProto

        def info(name: str, tensor: str, kind: int) -> Any:
            shape = ["N", *self.model.tensors[tensor].shape]
            return helper.make_tensor_value_info(name, kind, shape)

        def kind(tensor: str) -> int:
            grid = self.model.tensors[tensor].grid
            if grid.bits > 8:
                return int(proto.FLOAT)
            return int(proto.INT8 if grid.signed else proto.UINT8)

        outputs = [info(self.model.output, self.model.output, proto.FLOAT)]
        if every_tensor:
            for node in self.model.nodes:
                outputs.append(info(codes_name(node.output), node.output, kind(node.output)))
        source = self.model.input
        body = helper.make_graph(
            self.nodes,
            self.model.name,
            [info(codes_name(source), source, kind(source))],
            outputs,
            list(self.constants.values()),
        )
        opset = helper.make_opsetid("", OPSET)
        made: ModelProto = helper.make_model(
            body,
            opset_imports=[opset],
            ir_version=IR_VERSION,
            producer_name="shiftforge",
        )
        self.onnx.checker.check_model(made)
        return made
