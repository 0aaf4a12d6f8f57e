"""The folded float graph: what capture makes of a PyTorch network and what calibration reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Preprocess

__all__ = ["Activation", "FloatAdd", "FloatConv", "FloatGraph", "FloatNode", "FloatPool"]

Activation: TypeAlias = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, eq=False)
class FloatConv:
    """Convolution with batch norm folded in, then an activation (a linear layer is 1x1 on 1x1).

    weight: float32 (O, I // groups, kh, kw); bias: float32 (O,).
    padding: (top, left, bottom, right) zeros.
    source: module path in the network it came from, such as "layer.3.expand_1x1.convolution".
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


@dataclass(frozen=True)
class FloatAdd:
    """Residual addition, then an activation."""

    name: str
    source: str
    a: str
    b: str
    output: str
    activation: Activation


@dataclass(frozen=True)
class FloatPool:
    """Global average pooling to 1x1."""

    name: str
    source: str
    input: str
    output: str


FloatNode: TypeAlias = FloatConv | FloatAdd | FloatPool


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A float network of supported operators; shapes holds (C, H, W) of every tensor.

    notes: lines for the user on what was taken from where.
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
