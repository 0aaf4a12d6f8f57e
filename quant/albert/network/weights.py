"""Weights of a linear layer as the unit's codes, and the names of the ways to quantise them.

AF<8,3> .. AF<4,3>: a format of fewer bits drops mantissa bits. Every value of AF<n,3> with the
exponent bias B is one of AF<8,3> with the same B (its smallest magnitude, 2^B (1 + 2^-m), has the
exponent field 0 and one mantissa bit set; what reads as zero is zero in both), so that the unit
stores and multiplies AF<8,3> codes in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.integer import Weights
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, choose_bias, decode, encode
from shiftforge.quant.formats.shift import codes_from_ints, levels
from shiftforge.quant.graph.types import ShiftFormat

__all__ = [
    "LEAST_BIAS",
    "STORED",
    "WeightChoice",
    "af_codes",
    "af_format",
    "shift_channels",
    "weight_choice",
]

STORED = AdaptivFloatFormat()
"""AF<8,3>, the format of every stored tensor but SHIFT weights."""
LEAST_BIAS = -20
"""Smallest exponent bias used; a tensor of zeros would ask for less."""
BITS = (4, 5, 6, 7, 8)
_FINER = 3
_REMEDY = "use af8, af7, af6, af5, af4, shift1, shift2 or dtssq:F with a share F of second terms"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Powers(AdaptivFloatFormat):
    """AF<4,3>: no mantissa bit, magnitudes 2^(B + 1) .. 2^(B + 7).

    The unit's own format keeps a mantissa bit or more, and AdaptivFloatFormat insists on it; the
    codec's formulas hold without one (exponent field 0 is zero).
    """

    bits: int = 4

    def __post_init__(self) -> None:
        """Nothing to choose."""


@dataclass(frozen=True)
class WeightChoice:
    """kind: how weights are stored. bits: n of AF<n,3>, 4..8; 8 for others. share: target share of
    second terms of DTSSQ (stored as two terms)."""

    kind: Weights
    bits: int = 8
    share: float | None = None

    @property
    def name(self) -> str:
        """As :func:`weight_choice` reads it."""
        if self.share is not None:
            return f"dtssq:{self.share:g}"
        return f"af{self.bits}" if self.kind == "af" else self.kind


def weight_choice(name: str, bits: int = 8) -> WeightChoice:
    """``af`` (with ``bits``), ``af8`` .. ``af4``, ``shift1``, ``shift2``, ``dtssq:F``.

    Raises InputError for another name, for bits outside 4..8, and for bits beside a name that has
    none or others.
    """
    af_format(bits)
    given: WeightChoice | None = None
    if name == "af":
        return WeightChoice("af", bits)
    if name in ("shift1", "shift2"):
        given = WeightChoice("shift1" if name == "shift1" else "shift2")
    elif name in tuple(f"af{n}" for n in BITS):
        given = WeightChoice("af", int(name[2:]))
    elif name.startswith("dtssq:"):
        try:
            share = float(name[6:])
        except ValueError:
            share = -1.0
        if 0 <= share <= 1:
            given = WeightChoice("shift2", share=share)
    if given is None:
        raise InputError(Problem(f"weights {name!r}", _REMEDY))
    if bits not in (8, given.bits):
        raise InputError(Problem(f"weights {name!r} of {bits} bits", "use af with bits"))
    return given


def af_format(bits: int) -> AdaptivFloatFormat:
    """AF<bits,3>, 4..8 bits. Raises InputError."""
    if bits not in BITS:
        raise InputError(Problem(f"weights of {bits} bits", "use 4 to 8"))
    return _Powers() if bits == 4 else AdaptivFloatFormat(bits, 3)


def af_codes(values: Floats, bits: int) -> tuple[NDArray[np.uint8], int]:
    """AF<8,3> codes of the nearest AF<bits,3> values, and their exponent bias.

    The bias is the published one of the largest magnitude (choose_bias), LEAST_BIAS or more.
    Values on the levels of AF<bits,3> with that bias come back exactly; zeros are code 0.
    """
    fmt = af_format(bits)
    bias = max(choose_bias(values, fmt), LEAST_BIAS)
    level = decode(encode(values, fmt, bias), fmt, bias)
    return encode(level, STORED, bias).astype(np.uint8), bias


def shift_channels(values: Floats, terms: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """SHIFT4 codes (N, K) and z (N,) of least squared error in each output channel."""
    fmt = ShiftFormat(4, terms, "S1" if terms == 1 else "S2")
    ranked = levels(fmt)
    middle = (ranked[1:] + ranked[:-1]) / 2
    peak = np.abs(values).max(axis=1)
    cover = np.ceil(np.log2(np.where(peak > 0, peak, 1) / ranked[-1])).astype(np.int64)
    best = np.zeros(values.shape, dtype=np.int64)
    z = cover.copy()
    least = np.full(len(values), np.inf)
    for finer in range(_FINER + 1):
        step = 2.0 ** (cover - finer)[:, None]
        chosen = ranked[np.searchsorted(middle, values / step)]
        error = np.square(chosen * step - values).sum(axis=1)
        better = error < least
        least[better], z[better] = error[better], (cover - finer)[better]
        best[better] = chosen[better]
    first, second = codes_from_ints(best, fmt)
    return first | (second << np.uint8(4)), z.astype(np.int8)
