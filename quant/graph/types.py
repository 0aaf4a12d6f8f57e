"""The integer graph: the one description that every back end must reproduce bit for bit.

Semantics (all arithmetic is exact in integers; nothing wraps):

* A tensor holds integer codes q with the real value ``q * 2**exponent``; zero is always code 0,
  so zero padding of a convolution is code 0.
* ``Conv``:   acc[o] = bias[o] + sum(x * w_int);  the real value of acc[o] is
  ``acc * 2**(x.exponent + z[o])``. Requantised to the output grid and clamped to ``[lo, hi]``.
  - shift requantisation: r[o] = out.exponent - x.exponent - z[o];
    ``y = clamp(rhe(acc / 2**r))`` for r > 0, ``clamp(acc * 2**-r)`` for r <= 0.
  - multiplier requantisation: ``y = clamp(rhe(acc * m[o] / 2**s[o]))`` with 0 < m < 2**31.
* ``Add``:    both inputs are brought to the finer exponent e = min(ea, eb) by left shifts, added,
  and rounded once: ``y = clamp(rhe((a * 2**(ea-e) + b * 2**(eb-e)) / 2**(eo-e)))``.
* ``Pool``:   global average; S = sum of all H*W codes; ``y = clamp(rhe(S * m / 2**s))``, where
  m / 2**s is the constant ``2**(x.exponent - out.exponent) / (H*W)`` to about 16 bits.
* ``MaxPool``: over windows. Output row r of a window of kh rows with stride sh and `top` rows of
  padding reads the rows ``r*sh - top ... r*sh - top + kh - 1``, columns likewise, and there are
  ``(H + top + bottom - kh) // sh + 1`` rows; ``y`` is the largest code of those inside the map.
  The output has the input's grid.
* ``AveragePool``: windows as of ``MaxPool``; S = sum of the codes inside the map;
  ``y = clamp(rhe(S * m / 2**s))``, where m / 2**s is the constant for the number n of places
  counted: ``2**(x.exponent - out.exponent) / n`` to about 16 bits. Counted are the window's rows
  from ``-counted.top`` to ``H + counted.bottom - 1`` times its columns likewise.
* ``Concat``: channels of all inputs, one after another; each input's
  ``y = clamp(rhe(x * 2**(x.exponent - out.exponent)))``, clamped to the output's grid.
* ``Slice``: channels start ... stop - 1, unchanged; the output has the input's grid.
* ``Shuffle``: ``y[i] = x[order[i]]`` by channels, unchanged; the output has the input's grid.
* ``Table``:  ``y = codes[x - x.qmin]``, any function of a code.
* ``Upsample``: "nearest": ``y[r, c] = x[r // fh, c // fw]``, fh*H rows; "zeros":
  ``y[fh*i, fw*j] = x[i, j]``, all else 0, with ``fh*(H - 1) + 1`` rows and the trailing ones.
  The output has the input's grid.

``rhe`` rounds half to even. It is the only rounding anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.nodes import (
    Add,
    AveragePool,
    Concat,
    Conv,
    IntFormat,
    MaxPool,
    Pool,
    ShiftFormat,
    Shuffle,
    Slice,
    Table,
    Upsample,
    WeightFormat,
)
from shiftforge.shown import table_html

__all__ = [
    "Add",
    "AveragePool",
    "Clamped",
    "Concat",
    "Conv",
    "Grid",
    "IntFormat",
    "MaxPool",
    "Node",
    "Pool",
    "Preprocess",
    "QuantizedModel",
    "Resize",
    "ShiftFormat",
    "Shuffle",
    "Slice",
    "Table",
    "Tensor",
    "Upsample",
    "Variant",
    "WeightFormat",
]


@dataclass(frozen=True)
class Grid:
    """A uniform integer grid with a power-of-two step.

    bits: 2..32; codes are in [0, 2**bits - 1] unsigned, [-2**(bits-1), 2**(bits-1) - 1] signed.
    exponent: the real value of code 1 is ``2**exponent``.
    """

    bits: int
    signed: bool
    exponent: int

    @property
    def qmin(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Largest code."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


@dataclass(frozen=True)
class Tensor:
    """An edge of the graph: one frame of shape (channels, height, width) on a grid."""

    name: str
    channels: int
    height: int
    width: int
    grid: Grid

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)


Node: TypeAlias = (
    Conv | Add | Pool | MaxPool | AveragePool | Concat | Slice | Shuffle | Table | Upsample
)
Clamped: TypeAlias = Conv | Add | Pool | AveragePool
"""Nodes that round and clamp to bounds of their own, ``lo`` and ``hi``."""


@dataclass(frozen=True)
class Resize:
    """How a picture of any size comes to the size that a network takes: resized, then cropped.

    kind, sides: "squash" resizes to sides (height, width), or without any straight to the network's
    size, whatever becomes of the picture's proportions; "edge" resizes the shorter side to
    sides[0] and the longer one to ``int(sides[0] * longer / shorter)``; "none" does not resize;
    "exact" takes no picture but one of the network's size.
    What then is larger than the network's size is cropped at its centre, and what is smaller is
    put at the centre of zeros.
    filter: PIL's. alpha: what is transparent is drawn on white, or the alpha channel is dropped.
    centre: where an odd number of rows or columns is cut away, the half before the picture is
    rounded "down" (as transformers does) or to "even" (as torchvision does).
    """

    kind: Literal["squash", "edge", "none", "exact"] = "squash"
    sides: tuple[int, ...] = ()
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    alpha: Literal["drop", "white"] = "drop"
    centre: Literal["down", "even"] = "down"


@dataclass(frozen=True)
class Preprocess:
    """How the host turns an 8-bit image into the network's input codes.

    An image of values 0..255 is brought to (height, width) as ``resize`` says, normalised as
    ``(pixel / 255 - mean[c]) / std[c]`` and rounded half to even onto the input grid. An image of
    the shape (height, width, channels) that is given as an array is not resized or cropped.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = Resize()

    def at(self, height: int, width: int) -> Preprocess:
        """The same for another size of the network: what is resized to grows or shrinks with it."""
        sides = self.resize.sides
        if len(sides) == 1:
            sides = (round(sides[0] * max(height, width) / max(self.height, self.width)),)
        elif sides:
            sides = (round(sides[0] * height / self.height), round(sides[1] * width / self.width))
        return replace(self, height=height, width=width, resize=replace(self.resize, sides=sides))


@dataclass(frozen=True, eq=False)
class Variant:
    """Other weights for the same network, with another share of second words.

    second_terms: the share f (added array cycles / one-term array cycles) on the array of
    ``meta["second_terms"]``. sqnr_db: of the output, measured by quantisation. convs: all
    convolutions by name, which differ from the model's in weight, z, bias, format and acc_bits, and
    in the numbers of multiplier and shift.
    """

    second_terms: float
    sqnr_db: float
    convs: Mapping[str, Conv]


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """An integer network: nodes in execution order, their tensors, and what the host must know.

    orders: channel orders of the accelerator by tensor, int32 (C,): its place i holds channel
    order[i]; a tensor without one lies in the network's own order. They change no value. Tensors
    that a depthwise convolution, an addition or a pool ties have the same one; the network's input
    and output have none.
    variants: other weights that may take the place of the nodes' own, in ascending order of their
    shares; meta["second_terms"] then holds the share "f" and "sqnr_db" of the nodes' own.
    floats: the folded float32 network, ``{"<conv>.weight": (O, I/g, kh, kw), "<conv>.bias": (O,)}``
    in real values (for the float checkpoint); empty where it was stripped.
    meta: JSON-serialisable facts about the run that made the model.
    more_outputs: tensors that the network returns besides ``output``, in its order.
    host: by output, what the host computes of its real values: "sigmoid", or "softmax" or
    "log_softmax" over the channels. They change no integer.
    """

    name: str
    preprocess: Preprocess
    input: str
    output: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    labels: tuple[str, ...] = ()
    floats: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    orders: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    more_outputs: tuple[str, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The nodes, in a notebook."""
        rows = [
            (node.name, type(node).__name__, node.source, self.tensors[node.output].shape)
            for node in self.nodes
        ]
        return table_html(self.name, ("node", "kind", "module", "shape"), rows)

    @property
    def outputs(self) -> tuple[str, ...]:
        """All that the network returns, in its order."""
        return (self.output, *self.more_outputs)

    def conv_nodes(self) -> tuple[Conv, ...]:
        """The convolutions, in execution order."""
        return tuple(n for n in self.nodes if isinstance(n, Conv))
