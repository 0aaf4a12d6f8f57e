"""Tables of the special function unit: rhe(2**Q * f(x_i)), with f to 50 decimal digits.

Tables are tuples of Python integers, computed with ``decimal`` (correctly rounded exp, ln, sqrt),
so that any other program that follows the rule finds the same integers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache

import numpy as np

from shiftforge.sim.golden.edgebert.fixed import Ints

__all__ = [
    "LN2",
    "LOG2E",
    "exp2_table",
    "gelu_table",
    "interpolate",
    "log2_table",
    "rsqrt_tables",
    "scaled",
]

_PI = Decimal("3.14159265358979323846264338327950288419716939937510")


def scaled(value: Decimal, fraction: int) -> int:
    """Return rhe(value * 2**fraction)."""
    with localcontext(Context(prec=60)):
        product = value * (Decimal(2) ** fraction)
        return int(product.to_integral_value(rounding=ROUND_HALF_EVEN))


@cache
def exp2_table() -> tuple[int, ...]:
    """33 entries 2**(-i/32), 15 fraction bits."""
    with localcontext(Context(prec=50)):
        ln2 = Decimal(2).ln()
        return tuple(scaled((-ln2 * i / 32).exp(), 15) for i in range(33))


@cache
def log2_table() -> tuple[int, ...]:
    """65 entries log2(1 + i/64), 15 fraction bits."""
    with localcontext(Context(prec=50)):
        ln2 = Decimal(2).ln()
        return tuple(scaled((1 + Decimal(i) / 64).ln() / ln2, 15) for i in range(65))


@cache
def rsqrt_tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two tables of 33 entries, 15 fraction bits: 1/sqrt(1 + i/32) and 1/sqrt(2 + i/16)."""
    with localcontext(Context(prec=50)):
        even = tuple(scaled(1 / (1 + Decimal(i) / 32).sqrt(), 15) for i in range(33))
        odd = tuple(scaled(1 / (2 + Decimal(i) / 16).sqrt(), 15) for i in range(33))
    return even, odd


@cache
def gelu_table() -> tuple[int, ...]:
    """129 entries h(i/32), 16 fraction bits; h(u) = u - gelu_new(u) = u / (1 + exp(2 a)).

    a = sqrt(2/pi) (u + 0.044715 u**3), since 1 - (1 + tanh a)/2 = 1 / (1 + exp(2 a)).
    """
    with localcontext(Context(prec=50)):
        root = (2 / _PI).sqrt()
        entries = []
        for i in range(129):
            u = Decimal(i) / 32
            a = root * (u + Decimal("0.044715") * u**3)
            entries.append(scaled(u / (1 + (2 * a).exp()), 16))
    return tuple(entries)


def _constants() -> tuple[int, int]:
    with localcontext(Context(prec=50)):
        ln2 = Decimal(2).ln()
        return scaled(1 / ln2, 15), scaled(ln2, 16)


LOG2E, LN2 = _constants()
"""log2 e with 15 fraction bits; ln 2 with 16."""


def interpolate(table: tuple[int, ...], position: Ints, width: int) -> Ints:
    """Return N = (T[i] << width) + (T[i+1] - T[i]) * r, i = position >> width, r the rest.

    position: 0 .. (len(table) - 1) << width; the last one has r = 0. N has ``width`` fraction bits
    more than the table and is not rounded.
    """
    entries = np.array((*table, table[-1]), dtype=np.int64)
    i = position >> width
    r = position - (i << width)
    result: Ints = (entries[i] << width) + (entries[i + 1] - entries[i]) * r
    return result
