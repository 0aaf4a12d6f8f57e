"""Products, and matrix products into accumulators, in the unit's order.

Each operand of a product is an integer in units of its own format: AF codes give ``+-s * 2**exp``,
SHIFT codes the sum of their terms, so that P is the plain product of two integers (the circuits
shift instead; the numbers are the same). The accumulator takes the sum of n products at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, af_fields, signed_value
from shiftforge.sim.golden.edgebert.fixed import Ints, saturate

__all__ = [
    "AccMode",
    "accumulate",
    "accumulator_bits",
    "af_product",
    "matmul_af",
    "matmul_shift",
    "passes",
    "product_bound",
    "shift_product",
    "shift_values",
    "steps",
]

AccMode = Literal["sat32", "exact"]
_TOP32 = (1 << 31) - 1
_FLOAT_EXACT = 1 << 53


def shift_values(codes: ArrayLike, terms: int) -> Ints:
    """Return the integer weights of SHIFT4 codes: one term in a nibble, or two in a byte."""
    if terms not in (1, 2):
        raise InputError(Problem(f"{terms} terms a weight", "use 1 or 2"))
    c = np.asarray(codes, dtype=np.int64)
    if c.size and (int(c.min()) < 0 or int(c.max()) >= 1 << (4 * terms)):
        raise InputError(Problem(f"a code does not fit {4 * terms} bits"))
    total = np.zeros_like(c)
    for term in range(terms):
        nibble = (c >> (4 * term)) & 15
        magnitude = (np.int64(1) << (nibble & 7)) >> 1  # 0 for code 0, else 2**(code - 1)
        total = total + np.where(nibble >= 8, -magnitude, magnitude)
    return total


def af_product(a: ArrayLike, b: ArrayLike, fmt: AfFormat = AF8) -> Ints:
    """Return P = +-(sa * sb) << (ea + eb) of two arrays of AF codes that broadcast."""
    return signed_value(a, fmt) * signed_value(b, fmt)


def shift_product(a: ArrayLike, w: ArrayLike, terms: int, fmt: AfFormat = AF8) -> Ints:
    """Return P = sum over the terms of +-(sa << (ea + c - 1)) of AF codes and SHIFT codes."""
    return signed_value(a, fmt) * shift_values(w, terms)


def product_bound(fmt: AfFormat = AF8, terms: int = 0) -> int:
    """Return the largest |P|; terms = 0 for AF x AF, else of AF x SHIFT."""
    return fmt.largest * (fmt.largest if terms == 0 else 64 * terms)


def accumulator_bits(k: int, n: int, fmt: AfFormat = AF8, terms: int = 0) -> int:
    """Return the signed width that no sum over K (padded to n) can leave."""
    return (-(-k // n) * n * product_bound(fmt, terms)).bit_length() + 1


def passes(b: Ints, codes: ArrayLike, terms: int, fmt: AfFormat = AF8) -> list[Ints]:
    """Split second operands for mantissa-term passes, ``terms`` bits of the significand a pass.

    b: ``signed_value(codes)``. The list holds ceil((m + 1) / terms) arrays whose sum is b, the
    lowest bits first.
    """
    negative, s, exp = af_fields(codes, fmt)
    planes = []
    for low in range(0, fmt.man_bits + 1, terms):
        part = (s & (((1 << terms) - 1) << low)) << exp
        planes.append(np.where(negative == 1, -part, part))
    if not np.array_equal(sum(planes), b):
        raise InputError(Problem("the codes are not those of the operand"))
    return planes


def steps(a: Ints, planes: Sequence[Ints], n: int, mode: AccMode) -> Iterator[Ints]:
    """Yield the accumulators (M, N) after every K-step (and pass), in the unit's order.

    a: (M, K) integers; planes: the second operand (K, N), in one piece or as passes.
    """
    rows, depth = a.shape
    left = a.astype(np.float64)
    right = [plane.astype(np.float64) for plane in planes]
    acc = np.zeros((rows, planes[0].shape[1]), dtype=np.int64)
    for k0 in range(0, depth, n):
        for plane in right:
            tree = (left[:, k0 : k0 + n] @ plane[k0 : k0 + n]).astype(np.int64)
            acc = acc + tree
            if mode == "sat32":
                acc = saturate(acc, 32)
            yield acc


def accumulate(a: Ints, planes: Sequence[Ints], n: int, mode: AccMode) -> Ints:
    """Return the final accumulators (M, N) of a (M, K) times the sum of planes (K, N).

    One float64 product where sum |a||b| < 2**53, which makes every partial sum an exact integer;
    in "sat32" only where sum |a||b| < 2**31 as well, so that no partial sum saturates, and
    step by step for the rows in which that may fail.
    """
    if a.ndim != 2 or any(p.ndim != 2 or p.shape[0] != a.shape[1] for p in planes):
        raise InputError(Problem("the operands' shapes are not (M, K) and (K, N)"))
    whole = np.sum(np.stack(planes), axis=0) if len(planes) > 1 else planes[0]
    reach = np.sum(np.stack([np.abs(p) for p in planes]), axis=0)
    if _peak(a) * _peak(reach) * a.shape[1] >= _FLOAT_EXACT:
        raise InputError(Problem("products too large for exact sums", "use fewer exponent bits"))
    acc = (a.astype(np.float64) @ whole.astype(np.float64)).astype(np.int64)
    if mode == "exact":
        return acc
    bound = np.abs(a).astype(np.float64) @ reach.astype(np.float64)
    risky = (bound > _TOP32).any(axis=1)
    if risky.any():
        for last in steps(a[risky], planes, n, mode):
            stepped = last
        acc[risky] = stepped
    return acc


def matmul_af(
    a: ArrayLike,
    b: ArrayLike,
    n: int,
    mode: AccMode = "sat32",
    fmt: AfFormat = AF8,
    passes_terms: int = 0,
) -> Ints:
    """Return accumulators (M, N) of AF codes a (M, K) x b (K, N).

    passes_terms: 0 for an AF x AF array; 1 or 2 for the mantissa-term passes of a SHIFT array.
    """
    values = signed_value(b, fmt)
    planes = passes(values, b, passes_terms, fmt) if passes_terms else [values]
    return accumulate(signed_value(a, fmt), planes, n, mode)


def matmul_shift(
    a: ArrayLike,
    w: ArrayLike,
    terms: int,
    n: int,
    mode: AccMode = "sat32",
    fmt: AfFormat = AF8,
) -> Ints:
    """Return accumulators (M, N) of AF codes a (M, K) x SHIFT codes w (K, N)."""
    return accumulate(signed_value(a, fmt), [shift_values(w, terms)], n, mode)


def _peak(value: Ints) -> int:
    return int(np.abs(value).max(initial=0))
