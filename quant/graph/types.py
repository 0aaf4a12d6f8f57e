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

``rhe`` rounds half to even. It is the only rounding anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "Conv",
    "Grid",
    "IntFormat",
    "Node",
    "Pool",
    "Preprocess",
    "QuantizedModel",
    "Resize",
    "ShiftFormat",
    "Tensor",
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


@dataclass(frozen=True)
class ShiftFormat:
    """SHIFT<b> weights: sums of one or two signed powers of two.

    bits: 3 or 4 a term (sign and exponent code); E = 2**(bits-1) - 1 exponents, so the magnitudes
    of one term are 1, 2, ..., 2**(E-1), and 0.
    terms: 1 or 2, the most terms a weight may have.
    mode: how codes are stored in the model file: "S1", "S2" or "SEL".
    """

    bits: int = 4
    terms: int = 2
    mode: Literal["S1", "S2", "SEL"] = "S2"
    kind: Literal["shift"] = "shift"


@dataclass(frozen=True)
class IntFormat:
    """Uniform symmetric integer weights of 2..8 bits in [-(2**(bits-1) - 1), 2**(bits-1) - 1]."""

    bits: int = 8
    kind: Literal["int"] = "int"


WeightFormat: TypeAlias = ShiftFormat | IntFormat


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with folded batch norm, requantisation and clamp; a linear layer is 1x1 on 1x1.

    weight: int8, shape (O, I // groups, kh, kw), the integer weight values w_int.
    z: int8, shape (O,), per-channel weight exponent: w = w_int * 2**z.
    bias: int32, shape (O,), at the accumulator's exponent (x.exponent + z).
    padding: (top, left, bottom, right) rows and columns of code 0.
    lo, hi: clamp bounds as codes of the output grid (this is the activation function).
    acc_bits: signed accumulator width that suffices for every channel, bias and rounding included.
    multiplier, shift: int64 (O,), multiplier requantisation; None for pure-shift requantisation.
    """

    name: str
    source: str
    input: str
    output: str
    weight: NDArray[np.int8]
    z: NDArray[np.int8]
    bias: NDArray[np.int32]
    format: WeightFormat
    stride: int
    padding: tuple[int, int, int, int]
    dilation: int
    groups: int
    lo: int
    hi: int
    acc_bits: NDArray[np.uint8]
    multiplier: NDArray[np.int64] | None = None
    shift: NDArray[np.int64] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)

    @property
    def kernel(self) -> tuple[int, int]:
        """(kh, kw)."""
        return (int(self.weight.shape[2]), int(self.weight.shape[3]))


@dataclass(frozen=True)
class Add:
    """Residual addition of two tensors of equal shape."""

    name: str
    source: str
    a: str
    b: str
    output: str
    lo: int
    hi: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.a, self.b)


@dataclass(frozen=True)
class Pool:
    """Global average pooling: (C, H, W) -> (C, 1, 1), by the constant multiplier / 2**shift."""

    name: str
    source: str
    input: str
    output: str
    multiplier: int
    shift: int
    lo: int
    hi: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


Node: TypeAlias = Conv | Add | Pool


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

    def conv_nodes(self) -> tuple[Conv, ...]:
        """The convolutions, in execution order."""
        return tuple(n for n in self.nodes if isinstance(n, Conv))
