"""The nodes of the integer graph; what each computes stands at the top of ``types.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "IntFormat",
    "MaxPool",
    "Pool",
    "ShiftFormat",
    "Shuffle",
    "Slice",
    "Table",
    "Upsample",
    "WeightFormat",
]


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


class _ReadsOne:
    """A node with one input."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class Conv(_ReadsOne):
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
class Pool(_ReadsOne):
    """Global average pooling: (C, H, W) -> (C, 1, 1), by the constant multiplier / 2**shift."""

    name: str
    source: str
    input: str
    output: str
    multiplier: int
    shift: int
    lo: int
    hi: int


@dataclass(frozen=True)
class MaxPool(_ReadsOne):
    """Maximum over windows of a map; the output has the input's grid.

    kernel, stride: (rows, columns), at least 1. padding: (top, left, bottom, right), each less than
    the kernel's side; what lies there takes no part.
    """

    name: str
    source: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]


@dataclass(frozen=True)
class AveragePool(_ReadsOne):
    """Average over windows of a map, by one constant for each number of places that is counted.

    kernel, stride, padding: as of ``MaxPool``; padding holds zeros.
    counted: how many rows and columns of each side's padding are counted, next to the map; none
    where only places of the map are.
    constants: (count, multiplier, shift), ascending, one for every count that occurs.
    """

    name: str
    source: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    counted: tuple[int, int, int, int]
    constants: tuple[tuple[int, int, int], ...]
    lo: int
    hi: int


@dataclass(frozen=True)
class Concat:
    """Tensors of equal height and width, one after another along the channels.

    inputs: names of the tensors read, one or more, in order; a name may occur again.
    """

    name: str
    source: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Slice(_ReadsOne):
    """Channels start <= c < stop of a tensor, on its grid."""

    name: str
    source: str
    input: str
    output: str
    start: int
    stop: int


@dataclass(frozen=True)
class Shuffle(_ReadsOne):
    """Channels of a tensor in another order, on its grid: output channel i is input channel
    order[i]. A channel may be left out or occur again.
    """

    name: str
    source: str
    input: str
    output: str
    order: tuple[int, ...]


@dataclass(frozen=True)
class Table(_ReadsOne):
    """A function of every value: the code x becomes ``codes[x - qmin]``, qmin of the input's grid.

    codes: of the output's grid, one for each of the 2**bits codes of the input's.
    """

    name: str
    source: str
    input: str
    output: str
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Upsample(_ReadsOne):
    """A map with more rows and columns, on its grid.

    factor: (rows, columns), at least 1. mode: "nearest" repeats every value factor times; "zeros"
    puts factor - 1 zeros between neighbours. trailing: rows and columns of zeros behind the last,
    each less than its factor; (0, 0) with "nearest".
    """

    name: str
    source: str
    input: str
    output: str
    factor: tuple[int, int]
    mode: Literal["nearest", "zeros"]
    trailing: tuple[int, int] = (0, 0)
