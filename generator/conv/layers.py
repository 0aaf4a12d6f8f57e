"""A layer: one pass through the accelerator, as all of the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Add, Conv, Pool, Table, Tensor, Upsample

__all__ = ["Embedding", "Layer", "Mode", "Windows"]

Mode = Literal["pointwise", "depthwise", "standard"]


@dataclass(frozen=True)
class Windows:
    """Windows of three rows and columns into which the kernel of a standard layer is cut.

    rows x columns of them, ``row_step`` and ``column_step`` apart.
    """

    rows: int = 1
    columns: int = 1
    row_step: int = 3
    column_step: int = 3

    @property
    def count(self) -> int:
        """All windows."""
        return self.rows * self.columns

    @property
    def height(self) -> int:
        """Rows from the first window's first to the last one's last."""
        return (self.rows - 1) * self.row_step + 3


@dataclass(frozen=True)
class Embedding:
    """mode: of the array. stride, top, left: of its windows; image: side of the square kernel whose
    taps the loader lays out, 0 where it does not. merged: of the convolution's groups, in a block
    of which there are ``blocks``."""

    mode: Mode
    stride: int = 1
    top: int = 0
    left: int = 0
    image: int = 0
    windows: Windows = Windows()
    merged: int = 1
    blocks: int = 1


@dataclass(frozen=True, eq=False)
class Layer:
    """One pass through the accelerator.

    conv: the convolution as the graph has it, with its channels in the accelerator's order;
        weight: its weights in the layout of ``mode``: pointwise (O, K), depthwise (O, 3, 3), or
        (O, words, 3, 3) where a window takes several words, standard (O, windows x I, 3, 3), the
        rows of windows innermost.
    in_shape: (C, H, W) of the map that is read, the image after im2col for the first layer.
    out_shape: (C, H, W) of the convolution's result, before pooling.
    code_table: a function of the convolution's codes, before an addition; table: of the addition's,
        or of the convolution's without one. code_looked, looked: the tensors that they make.
    result: the tensor that is stored or sent out: of what comes last in the pass.
    skip: the tensor that the addition reads besides; None without one.
    add_output: the tensor after the addition, or the convolution's without one.
    direct: the result leaves as 32-bit integers and is not stored on chip.
    exported: the stored result is the network's output and also goes to global memory.
    macs: multiply-accumulates of the convolution as the network defines it, a frame.
    stride: of columns. form: how the array takes the convolution; K and I are of a block of it,
        ``block_channels``. largest: results are the largest of a window's words, not their sum.
        raises: a window's words are the digits of a constant (``averages``).
    enlarge: the map that is read comes with more rows and columns, as this node makes it.
    inner: the result is no tensor of the network. places: of the network's input channels among
        those that ``conv`` reads, where that is another map with them; None where it is the same.
        shared: the result lies in another map, or another tensor in it.
    leaves_as: the network's output that the result is, "" of others. wide_output: an output of the
        network has rows of several pixels.
    """

    index: int
    mode: Mode
    conv: Conv
    add: Add | None
    pool: Pool | None
    weight: NDArray[np.int8]
    stride: int
    row_stride: int
    top: int
    left: int
    source: str
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    input: Tensor
    conv_output: Tensor
    add_output: Tensor
    skip: Tensor | None
    result: Tensor
    direct: bool
    exported: bool
    macs: int
    form: Embedding
    inner: bool = False
    largest: bool = False
    raises: bool = False
    enlarge: Upsample | None = None
    code_table: Table | None = None
    code_looked: Tensor | None = None
    table: Table | None = None
    looked: Tensor | None = None
    places: NDArray[np.int64] | None = None
    shared: bool = False
    leaves_as: str = ""
    wide_output: bool = False

    @property
    def summand(self) -> Tensor:
        """The pass's own operand of its addition."""
        return self.conv_output if self.code_looked is None else self.code_looked

    @property
    def pooled(self) -> Tensor:
        """What the pool reads, or the result where there is none."""
        return self.add_output if self.looked is None else self.looked

    @property
    def words(self) -> int:
        """Words of a depthwise layer's window, without second ones."""
        own = self.mode == "depthwise" and self.weight.ndim == 4
        return int(self.weight.shape[1]) if own else 1

    @property
    def windows(self) -> Windows:
        """Into which a standard layer's kernel is cut."""
        return self.form.windows

    @property
    def blocks(self) -> int:
        """Runs of output channels that read runs of channels of their own."""
        return self.form.blocks

    @property
    def block_outputs(self) -> int:
        """Output channels of a block; the last one may have fewer."""
        if self.blocks == 1:
            return self.out_shape[0]
        return self.form.merged * (self.out_shape[0] // self.conv.groups)

    @property
    def taps(self) -> int:
        """Side of the square of the image's taps that the loader lays out as channels, or 0."""
        return self.form.image

    @property
    def block_channels(self) -> int:
        """Channels of the input that an output channel's group reads."""
        if self.mode == "depthwise":
            return self.in_shape[0]
        return int(self.weight.shape[1]) // self.windows.count
