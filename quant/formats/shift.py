"""SHIFT<b>: weights that are sums of one or two signed powers of two.

A code has b bits: the top bit is the sign s, the lower b - 1 bits are e. e = 0 is zero; e >= 1 is
``(-1)**s * 2**(e - 1)``. Sign with e = 0 is reserved: never written, refused on load.

Two terms are canonical: e2 < e1; ``2**k - 2**(k-1)`` does not exist (it is one term) and
``2**k - 2**(k-2)`` is written ``2**(k-1) + 2**(k-2)``. At b = 4 that leaves 77 distinct values with
|w| <= 96, all inside int8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import ShiftFormat

__all__ = [
    "ShiftTables",
    "check_format",
    "codes_from_ints",
    "exponent_count",
    "ints_from_codes",
    "levels",
    "reserved_code",
    "tables",
    "term_count",
    "term_values",
]

_MODES = ("S1", "S2", "SEL")
NO_CODE = 255


@dataclass(frozen=True, eq=False)
class ShiftTables:
    """Both directions of the code, as tables.

    term1, term2: uint8 (256,), the codes of the weight w at index ``w & 0xff``; NO_CODE where w is
    not a value of the format.
    value: int16 (codes, codes), the weight of a pair of codes; 0x7fff where the pair is refused.
    """

    term1: NDArray[np.uint8]
    term2: NDArray[np.uint8]
    value: NDArray[np.int16]


def check_format(fmt: ShiftFormat) -> list[Problem]:
    """What is wrong with a format: bits other than 3 or 4, terms other than 1 or 2, mode."""
    problems = []
    if fmt.bits not in (3, 4):
        problems.append(Problem(f"shift format of {fmt.bits} bits", "use 3 or 4 bits"))
    if fmt.terms not in (1, 2):
        problems.append(Problem(f"shift format of {fmt.terms} terms", "use 1 or 2 terms"))
    if fmt.mode not in _MODES:
        problems.append(
            Problem(f"unknown storage mode {fmt.mode!r}", "use one of " + ", ".join(_MODES))
        )
    elif fmt.mode == "S1" and fmt.terms == 2:
        problems.append(
            Problem("storage mode S1 holds one term, the format has two", "use S2 or SEL")
        )
    return problems


def _checked(fmt: ShiftFormat) -> ShiftFormat:
    problems = check_format(fmt)
    if problems:
        raise InputError(problems)
    return fmt


def exponent_count(fmt: ShiftFormat) -> int:
    """E = 2**(b-1) - 1, the number of exponents of one term: magnitudes 1, 2, ..., 2**(E-1)."""
    return (1 << (fmt.bits - 1)) - 1


def reserved_code(fmt: ShiftFormat) -> int:
    """The code with the sign set and e = 0 (0b1000 at b = 4)."""
    return 1 << (fmt.bits - 1)


def term_values(fmt: ShiftFormat) -> NDArray[np.int16]:
    """Value of each of the 2**b codes of one term; the reserved code's entry is 0."""
    e = np.arange(1 << (fmt.bits - 1))
    magnitude = np.where(e == 0, 0, 1 << np.maximum(e - 1, 0))
    return np.concatenate([magnitude, -magnitude]).astype(np.int16)


def tables(fmt: ShiftFormat) -> ShiftTables:
    """The tables of a format; the storage mode does not matter. Raises InputError."""
    _checked(fmt)
    return _tables(fmt.bits, fmt.terms)


@cache
def _tables(bits: int, terms: int) -> ShiftTables:
    sign_bit = 1 << (bits - 1)
    term1 = np.full(256, NO_CODE, np.uint8)
    term2 = np.full(256, NO_CODE, np.uint8)
    value = np.full((1 << bits, 1 << bits), 0x7FFF, np.int16)

    def enter(w: int, code1: int, code2: int) -> None:
        term1[w & 0xFF], term2[w & 0xFF] = code1, code2
        value[code1, code2] = w

    enter(0, 0, 0)
    for e1 in range(1, sign_bit):
        for s1 in (0, 1):
            code1 = s1 * sign_bit + e1
            first = (-1) ** s1 << (e1 - 1)
            enter(first, code1, 0)
            for e2 in range(1, e1 if terms == 2 else 1):
                second = 1 << (e2 - 1)
                enter(first + (-second if s1 else second), code1, s1 * sign_bit + e2)
                # Opposite signs only three or more places apart: nearer ones have another form.
                if e1 - e2 >= 3:
                    opposite = (1 - s1) * sign_bit + e2
                    enter(first + (second if s1 else -second), code1, opposite)
    for table in (term1, term2, value):
        table.setflags(write=False)
    return ShiftTables(term1, term2, value)


def levels(fmt: ShiftFormat) -> NDArray[np.int64]:
    """The representable integer weights, ascending. Raises InputError for an impossible format."""
    value = tables(fmt).value
    return np.unique(value[value != 0x7FFF]).astype(np.int64)


def codes_from_ints(
    w_int: NDArray[np.integer], fmt: ShiftFormat
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Canonical (term1, term2) codes of integer weights, each of w_int's shape.

    Raises InputError where a weight is not a value of the format.
    """
    t = tables(fmt)
    w = np.asarray(w_int)
    outside = (w < -128) | (w > 127)
    index = np.asarray(np.where(outside, 0, w), dtype=np.int64) & 0xFF
    term1, term2 = t.term1[index], t.term2[index]
    bad = outside | (term1 == NO_CODE)
    if bad.any():
        raise InputError(
            Problem(
                f"{int(bad.sum())} weights are no values of SHIFT<{fmt.bits}> with {fmt.terms} "
                f"term(s), the first is {int(w[bad].flat[0])}",
                "round the weights onto the format's levels first",
            )
        )
    return term1, term2


def ints_from_codes(
    term1: NDArray[np.uint8], term2: NDArray[np.uint8], fmt: ShiftFormat
) -> NDArray[np.int8]:
    """Integer weights of (term1, term2) codes of one shape.

    Raises InputError for a code beyond b bits, the reserved code, a second term in a one-term
    format, or a pair that is not canonical.
    """
    t = tables(fmt)
    a, b = np.asarray(term1, dtype=np.uint8), np.asarray(term2, dtype=np.uint8)
    count = 1 << fmt.bits
    wide = (a >= count) | (b >= count)
    reserved = ((a == reserved_code(fmt)) | (b == reserved_code(fmt))) & ~wide
    value = t.value[np.minimum(a, count - 1), np.minimum(b, count - 1)]
    refused = (value == 0x7FFF) & ~wide & ~reserved
    problems = [
        Problem(f"{int(mask.sum())} weights hold {what}", "the codes are damaged: make them anew")
        for mask, what in (
            (wide, f"a code wider than {fmt.bits} bits"),
            (reserved, f"the reserved code 0b{reserved_code(fmt):b}"),
            (refused, "two terms that are not canonical"),
        )
        if mask.any()
    ]
    if problems:
        raise InputError(problems)
    return value.astype(np.int8)


def term_count(w_int: NDArray[np.integer], fmt: ShiftFormat) -> NDArray[np.uint8]:
    """Number of non-zero terms (0, 1 or 2) of each weight. Raises InputError as codes_from_ints."""
    term1, term2 = codes_from_ints(w_int, fmt)
    return np.asarray((term1 != 0).astype(np.uint8) + (term2 != 0).astype(np.uint8))
