"""The folded float graph: what capture makes of a PyTorch network and what calibration reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.function import Function
from shiftforge.quant.capture.stored import NOTHING_STORED, Stored
from shiftforge.quant.graph.types import Preprocess

__all__ = [
    "Activation",
    "FloatAdd",
    "FloatAveragePool",
    "FloatConcat",
    "FloatConv",
    "FloatGraph",
    "FloatMap",
    "FloatMaxPool",
    "FloatNode",
    "FloatPool",
    "FloatShuffle",
    "FloatSlice",
    "FloatTable",
    "FloatUpsample",
    "activation_of",
]

Activation: TypeAlias = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, eq=False)
class FloatConv:
    """Convolution with batch norm folded in, then an activation (a linear layer covers its map).

    weight: float32 (O, I // groups, kh, kw); bias: float32 (O,).
    padding: (top, left, bottom, right) zeros.
    source: module path in the network it came from, such as "layer.3.expand_1x1.convolution".
    rest: what (weight, bias) lack of the folded values, in their shapes: float32 has 24 bits, the
    two together 48. None where they lack nothing, or where the weights are others than captured.
    """

    name: str
    source: str
    input: str
    output: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    padding: tuple[int, int, int, int]
    dilation: int
    groups: int
    activation: Activation
    rest: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class FloatAdd:
    """Addition of two tensors of equal shape, then an activation."""

    name: str
    source: str
    a: str
    b: str
    output: str
    activation: Activation

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.a, self.b)


@dataclass(frozen=True)
class _Reader:
    """A node that reads one tensor."""

    name: str
    source: str
    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class FloatPool(_Reader):
    """Global average pooling to 1x1."""


@dataclass(frozen=True)
class FloatMaxPool(_Reader):
    """Maximum over windows; fields as of ``graph.nodes.MaxPool``."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]


@dataclass(frozen=True)
class FloatAveragePool(_Reader):
    """Average over windows; fields as of ``graph.nodes.AveragePool``."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    counted: tuple[int, int, int, int]


@dataclass(frozen=True)
class FloatConcat:
    """Tensors one after another along the channels."""

    name: str
    source: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class FloatSlice(_Reader):
    """Channels start <= c < stop."""

    start: int
    stop: int


@dataclass(frozen=True)
class FloatShuffle(_Reader):
    """Output channel i is input channel order[i]."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class FloatTable(_Reader):
    """A function of every value."""

    function: Function


@dataclass(frozen=True)
class FloatUpsample(_Reader):
    """More rows and columns; fields as of ``graph.nodes.Upsample``."""

    factor: tuple[int, int]
    mode: Literal["nearest", "zeros"]
    trailing: tuple[int, int] = (0, 0)


FloatMap: TypeAlias = (
    FloatMaxPool
    | FloatAveragePool
    | FloatConcat
    | FloatSlice
    | FloatShuffle
    | FloatTable
    | FloatUpsample
)
"""What pools over windows, moves or looks up values."""
FloatNode: TypeAlias = FloatConv | FloatAdd | FloatPool | FloatMap


def activation_of(node: FloatNode) -> Activation:
    """The clamp at the end of a node; "none" of nodes that have none."""
    return node.activation if isinstance(node, FloatConv | FloatAdd) else "none"


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A float network of supported operators; shapes holds (C, H, W) of every tensor.

    notes: lines for the user on what was taken from where.
    more_outputs: tensors that the network returns besides ``output``, in its order. host: by
    output, what the host computes of it: "sigmoid", "softmax" or "log_softmax" over channels.
    stored: scales of a source that is quantised already.
    """

    name: str
    preprocess: Preprocess
    input: str
    output: str
    shapes: Mapping[str, tuple[int, int, int]]
    nodes: tuple[FloatNode, ...]
    labels: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    more_outputs: tuple[str, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)
    stored: Stored = NOTHING_STORED

    @property
    def outputs(self) -> tuple[str, ...]:
        """All that the network returns, in its order."""
        return (self.output, *self.more_outputs)

    def wide_outputs(self) -> frozenset[str]:
        """Outputs that convolutions make and nothing reads: they leave with 32 bits."""
        read = {name for node in self.nodes for name in node.inputs}
        made = {node.output for node in self.nodes if isinstance(node, FloatConv)}
        return frozenset(name for name in self.outputs if name in made and name not in read)
