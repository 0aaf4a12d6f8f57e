"""AdaptivFloat<n,e>: small floats whose exponent range follows each tensor's largest value.

Source: "Algorithm-Hardware Co-Design of Adaptive Floating-Point Encodings for Resilient Deep
Learning Inference" (DAC 2020); EdgeBERT uses AF<8,3>.

A code is sign | exponent (e bits) | mantissa (m = n - e - 1 bits). With B the exponent bias of the
tensor, its value is ``(-1)**sign * (2**m + mantissa) * 2**(exponent + B - m)``. There are no
denormals, infinities or NaN. Exponent and mantissa both 0 mean zero, under either sign; only code
0 is written. So the smallest magnitude is ``2**B * (1 + 2**-m)`` and the largest
``2**(B + 2**e - 1) * (2 - 2**-m)``.

Encoding, with the paper's thresholds: beyond the largest magnitude saturates; up to half the
smallest is zero; between that half and the smallest is the smallest; elsewhere the mantissa is
rounded half to even and a carry moves to the next exponent. The paper leaves ties open: here a tie
goes to the even code (zero against the smallest magnitude as well), so that an encoded value is
always the nearest one.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem, Problems

__all__ = [
    "MAX_BIAS",
    "MIN_BIAS",
    "AdaptivFloatFormat",
    "BiasRegister",
    "Codes",
    "bias_of_peak",
    "choose_bias",
    "decode",
    "encode",
    "fields",
    "finite",
    "values",
]

Codes = NDArray[np.uint8] | NDArray[np.uint16]

# Within these, every value of every format is a normal float32 (and exact in float64).
MIN_BIAS, MAX_BIAS = -96, 64
_MAX_BITS, _MAX_EXPONENT_BITS = 16, 6


@dataclass(frozen=True)
class AdaptivFloatFormat:
    """AF<bits, exponent_bits>; at least one mantissa bit is left.

    bits: 3..16. exponent_bits: 1..min(bits - 2, 6). Raises InputError for anything else.
    """

    bits: int = 8
    exponent_bits: int = 3

    def __post_init__(self) -> None:
        problems = Problems()
        if not 3 <= self.bits <= _MAX_BITS:
            problems.append(
                Problem(f"AdaptivFloat of {self.bits} bits", f"use 3 to {_MAX_BITS} bits")
            )
        most = min(max(self.bits, 3) - 2, _MAX_EXPONENT_BITS)
        if not 1 <= self.exponent_bits <= most:
            problems.append(
                Problem(
                    f"AdaptivFloat of {self.bits} bits with {self.exponent_bits} exponent bits",
                    f"use 1 to {most} exponent bits",
                )
            )
        problems.stop()

    @property
    def mantissa_bits(self) -> int:
        """m = n - e - 1."""
        return self.bits - self.exponent_bits - 1

    @property
    def code_count(self) -> int:
        """2**n codes; two of them are zero."""
        return 1 << self.bits

    @property
    def exponent_span(self) -> int:
        """2**e - 1: how far the largest exponent lies above the bias."""
        return (1 << self.exponent_bits) - 1

    def smallest(self, bias: int) -> float:
        """v_min, the smallest magnitude that is not zero."""
        return 2.0**bias * (1 + 2.0**-self.mantissa_bits)

    def largest(self, bias: int) -> float:
        """v_max, the largest magnitude."""
        return 2.0 ** (bias + self.exponent_span) * (2 - 2.0**-self.mantissa_bits)

    def __str__(self) -> str:
        return f"AF<{self.bits},{self.exponent_bits}>"


@dataclass(frozen=True)
class BiasRegister:
    """The hardware's register of an exponent bias: an unsigned field above an offset.

    bits: 1..8, width of the field. The bias is ``field + offset``; EdgeBERT has 3 bits and -10.
    Raises InputError where the biases it can hold leave [MIN_BIAS, MAX_BIAS].
    """

    offset: int = -10
    bits: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 8:
            raise InputError(Problem(f"bias register of {self.bits} bits", "use 1 to 8 bits"))
        _checked_bias(self.lowest)
        _checked_bias(self.highest)

    @property
    def lowest(self) -> int:
        """The smallest bias."""
        return self.offset

    @property
    def highest(self) -> int:
        """The largest bias."""
        return self.offset + (1 << self.bits) - 1

    def field(self, bias: int) -> int:
        """The register's content for a bias. Raises InputError where it does not fit."""
        if not self.lowest <= bias <= self.highest:
            raise InputError(
                Problem(
                    f"exponent bias {bias} outside the register's {self.lowest}..{self.highest}",
                    "use another offset or a wider register",
                )
            )
        return bias - self.offset

    def bias(self, field: int) -> int:
        """The bias of a register's content. Raises InputError for a content that does not fit."""
        if not 0 <= field < 1 << self.bits:
            raise InputError(
                Problem(f"bias register content {field}", f"use 0 to {(1 << self.bits) - 1}")
            )
        return field + self.offset

    def fit(self, bias: int) -> int:
        """The bias itself, or the lowest one where it lies below: a tensor of small values.

        Nothing saturates by that, small values only get coarser. A bias above the register would
        cut off the largest values: InputError.
        """
        fitted = max(bias, self.lowest)
        self.field(fitted)
        return fitted


def _checked_bias(bias: int) -> int:
    """The bias as a plain integer; InputError outside [MIN_BIAS, MAX_BIAS]."""
    exact = operator.index(bias)
    if not MIN_BIAS <= exact <= MAX_BIAS:
        raise InputError(
            Problem(f"exponent bias {exact}", f"use a bias of {MIN_BIAS} to {MAX_BIAS}")
        )
    return exact


def finite(x: ArrayLike) -> NDArray[np.float64]:
    """Real values as float64, of their own shape. Raises InputError for NaN or infinity."""
    real = np.asarray(x, dtype=np.float64)
    if not np.isfinite(real).all():
        raise InputError(
            Problem("values for AdaptivFloat hold NaN or infinity", "train or load them again")
        )
    return real


def bias_of_peak(peak: float, fmt: AdaptivFloatFormat) -> int:
    """B = floor(log2 peak) - (2**e - 1), so that the top exponent is the peak's own.

    peak: largest magnitude, finite and >= 0. A peak of 0, or one so small that B would be below
    MIN_BIAS, gives MIN_BIAS. Raises InputError where B would be above MAX_BIAS.
    """
    if peak == 0:
        return MIN_BIAS
    # frexp, not log2: exact next to a power of two.
    exponent = int(np.frexp(peak)[1]) - 1
    return _checked_bias(max(exponent - fmt.exponent_span, MIN_BIAS))


def choose_bias(w: ArrayLike, fmt: AdaptivFloatFormat) -> int:
    """The published bias of a tensor, from its largest magnitude (see bias_of_peak).

    w: real values of any shape. Raises InputError for NaN or infinity, and for a tensor whose
    largest magnitude no allowed bias reaches. Encoding and decoding do not change it.
    """
    return bias_of_peak(float(np.abs(finite(w)).max(initial=0.0)), fmt)


def encode(x: ArrayLike, fmt: AdaptivFloatFormat, bias: int) -> Codes:
    """Codes of real values, of x's shape: uint8 up to 8 bits, else uint16.

    The nearest value, a tie going to the even code; saturating. Whatever becomes zero is code 0.
    Raises InputError for NaN or infinity and for a bias outside [MIN_BIAS, MAX_BIAS].
    """
    bias = _checked_bias(bias)
    real = finite(x)
    size = np.abs(real)
    m = fmt.mantissa_bits
    fraction, exponent = np.frexp(size)  # size = fraction * 2**exponent, 0.5 <= fraction < 1
    significand = np.rint(np.ldexp(fraction, m + 1)).astype(np.int64)  # 2**m .. 2**(m+1)
    # Adding, not joining, the fields: a significand of 2**(m+1) carries into the exponent.
    magnitude = (exponent.astype(np.int64) - 1 - bias) * (1 << m) + significand - (1 << m)
    magnitude = np.minimum(magnitude, (1 << (fmt.bits - 1)) - 1)
    smallest = fmt.smallest(bias)
    magnitude = np.where(size < smallest, size > smallest / 2, magnitude)
    sign = (real < 0) & (magnitude != 0)
    code = magnitude + (sign.astype(np.int64) << (fmt.bits - 1))
    if fmt.bits <= 8:
        return np.asarray(code, dtype=np.uint8)
    return np.asarray(code, dtype=np.uint16)


def fields(
    codes: ArrayLike, fmt: AdaptivFloatFormat
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(sign, exponent, significand) of codes, int64 of their shape.

    sign: 0 or 1. exponent: the field, 0..2**e - 1. significand: 2**m + mantissa, or 0 for zero.
    Raises InputError for a code that is no integer of n bits.
    """
    given = np.asarray(codes)
    if given.dtype.kind not in "iu" and given.size:
        raise InputError(Problem(f"codes of type {given.dtype}", "give integer codes"))
    if given.size and (given.min() < 0 or given.max() >= fmt.code_count):
        raise InputError(
            Problem(f"a code wider than the {fmt.bits} bits of {fmt}", "encode the values anew")
        )
    code = given.astype(np.int64)
    m = fmt.mantissa_bits
    magnitude = code & ((1 << (fmt.bits - 1)) - 1)
    significand = np.where(magnitude == 0, 0, (1 << m) + (magnitude & ((1 << m) - 1)))
    return code >> (fmt.bits - 1), magnitude >> m, significand


def decode(codes: ArrayLike, fmt: AdaptivFloatFormat, bias: int) -> NDArray[np.float64]:
    """Values of codes, float64 of their shape, exact; both zeros give +0.0.

    Raises InputError for a code that is no integer of n bits and for a bias outside
    [MIN_BIAS, MAX_BIAS].
    """
    bias = _checked_bias(bias)
    sign, exponent, significand = fields(codes, fmt)
    signed = np.where(sign == 1, -significand, significand).astype(np.float64)
    return np.asarray(np.ldexp(signed, exponent + bias - fmt.mantissa_bits), dtype=np.float64)


def values(fmt: AdaptivFloatFormat, bias: int) -> NDArray[np.float64]:
    """The value of every code, float64 (2**n,), indexed by code."""
    return decode(np.arange(fmt.code_count), fmt, bias)
