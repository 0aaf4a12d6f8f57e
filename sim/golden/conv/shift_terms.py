"""The shift arithmetic itself, one scalar at a time: slow, and easy to check by eye.

A term of SHIFT<b> is a code of b bits: the top bit is the sign s, the rest is e. ``e = 0`` is zero,
``e = 1 .. 2**(b-1) - 1`` is ``(-1)**s * 2**(e-1)``. Sign set with ``e = 0`` is reserved. A weight
is the sum of one or two terms, so a product with an activation is a sum of shifted activations.
Canonical two-term form: ``e2 < e1``, and for opposite signs ``e1 - e2 >= 3``, because
``2**k - 2**(k-1) = 2**(k-1)`` and ``2**k - 2**(k-2) = 2**(k-1) + 2**(k-2)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Conv, ShiftFormat

__all__ = ["canonical_codes", "shift_convolution", "shift_product", "term_product", "term_value"]


def term_product(x: int, code: int, bits: int) -> int:
    """Return the activation x times one term, by a shift and a sign; raises on a reserved code."""
    if not 0 <= code < 1 << bits:
        raise InputError(Problem(f"term code {code} does not fit {bits} bits"))
    negative = code >> (bits - 1)
    exponent = code & ((1 << (bits - 1)) - 1)
    if exponent == 0:
        if negative:
            raise InputError(Problem(f"term code {code:#x} is reserved", "write zero as code 0"))
        return 0
    shifted = x << (exponent - 1)
    return -shifted if negative else shifted


def term_value(code: int, bits: int) -> int:
    """Return the integer that one term stands for."""
    return term_product(1, code, bits)


def shift_product(x: int, codes: tuple[int, ...], bits: int) -> int:
    """Return x times a weight, given by its term codes: the sum of the shifted activations."""
    total = 0
    for code in codes:
        total += term_product(x, code, bits)
    return total


def canonical_codes(bits: int, terms: int) -> dict[int, tuple[int, ...]]:
    """Map every representable integer weight to its term codes, in canonical form.

    bits: bits of one term; terms: 1 or 2. 15 and 77 values at 4 bits, 7 and 13 at 3 bits.
    """
    exponents = (1 << (bits - 1)) - 1
    sign_bit = 1 << (bits - 1)
    table: dict[int, tuple[int, ...]] = {0: (0,) * terms}
    for first in range(1, exponents + 1):
        for sign in (0, sign_bit):
            table[term_value(first | sign, bits)] = (first | sign,) + (0,) * (terms - 1)
    if terms == 1:
        return table
    for first in range(1, exponents + 1):
        for second in range(1, first):
            for sign in (0, sign_bit):
                same = (first | sign, second | sign)
                table[shift_product(1, same, bits)] = same
                if first - second >= 3:
                    opposite = (first | sign, second | (sign ^ sign_bit))
                    table[shift_product(1, opposite, bits)] = opposite
    return table


def shift_convolution(node: Conv, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the accumulators (O, OH, OW) of one frame x (I, H, W), by shifts and additions only.

    Raises InputError where the node's weights are not shift weights of its format.
    """
    if not isinstance(node.format, ShiftFormat):
        raise InputError(Problem("the weights are not shift weights", "", node.name))
    bits, table = node.format.bits, canonical_codes(node.format.bits, node.format.terms)
    outputs, depth, kernel_h, kernel_w = node.weight.shape
    height, width = x.shape[1:]
    top, left, bottom, right = node.padding
    out_h = (height + top + bottom - node.dilation * (kernel_h - 1) - 1) // node.stride + 1
    out_w = (width + left + right - node.dilation * (kernel_w - 1) - 1) // node.stride + 1
    acc = np.zeros((outputs, out_h, out_w), dtype=np.int64)
    for o, row, column in np.ndindex(outputs, out_h, out_w):
        total = int(node.bias[o])
        first_input = (o // (outputs // node.groups)) * depth
        for i, ky, kx in np.ndindex(depth, kernel_h, kernel_w):
            weight = int(node.weight[o, i, ky, kx])
            if weight not in table:
                raise InputError(Problem(f"{weight} is no {bits}-bit shift weight", "", node.name))
            y = row * node.stride + ky * node.dilation - top
            z = column * node.stride + kx * node.dilation - left
            if 0 <= y < height and 0 <= z < width:
                total += shift_product(int(x[first_input + i, y, z]), table[weight], bits)
        acc[o, row, column] = total
    return acc
