"""Commands of the EdgeBERT unit's kernels: a product, and a layer norm of a sum."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.kernel_fields import FUNCTIONS
from shiftforge.generator.edgebert.kernel_memory import Commands, Stored
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = [
    "GELU",
    "NORM",
    "SOFTMAX",
    "add_norm",
    "af_bits",
    "multiply",
    "norm_table",
    "value_bits",
]

GELU, SOFTMAX, NORM = (FUNCTIONS.index(name) for name in ("gelu", "softmax", "norm"))
Operand: TypeAlias = tuple[Stored, int]
"""A stored matrix with its exponent bias."""


def af_bits(config: UnitConfig) -> int:
    """The bits that make an AF code other than zero."""
    return (1 << (config.af_bits - 1)) - 1


def value_bits(config: UnitConfig) -> int:
    """The bits that make a weight other than zero."""
    if config.weights == "af":
        return af_bits(config)
    return 0x77 & ((1 << config.weight_bits) - 1)


def multiply(
    into: Commands, a: Stored, b: Stored, c: Stored | None, p_base: int, **fields: int
) -> None:
    """Add the command C = post(A B); c is None for fixed point, which goes to ``c_base``."""
    n = into.lanes
    m_tiles, n_tiles = a.tiles, b.tiles
    outers, inners = (n_tiles, m_tiles) if fields.get("transposed") else (m_tiles, n_tiles)
    result = {"c_part_steps": inners, "c_part_strips": outers, "c_parts": 1}
    if c is not None:
        result |= c.operand("c") | {"c_parts": c.parts}
    into.command(
        m=a.rows, n=b.rows, m_tiles=m_tiles, n_tiles=n_tiles,
        k_tiles=-(-a.columns // a.parts // n) * a.parts, p_base=p_base,
        **a.operand("a"), **b.operand("b"), **{**result, **fields},
    )  # fmt: skip


def norm_table(gamma: ArrayLike, beta: ArrayLike, lanes: int) -> NDArray[np.int64]:
    """The words of a layer norm's table: n gammas, n betas, and so on."""
    size = len(np.asarray(gamma))
    steps = -(-size // lanes)
    words = np.zeros((steps, 2, lanes), np.int64)
    for i, values in enumerate((gamma, beta)):
        padded = np.zeros(steps * lanes, np.int64)
        padded[:size] = values
        words[:, i] = padded.reshape(steps, lanes)
    return words.reshape(-1)


def add_norm(
    into: Commands, a: Operand, b: Operand, total: tuple[int, int], c: Operand,
    numbers: NormNumbers, *, fraction: int, table: int,
) -> None:  # fmt: skip
    """Add the command C = layer norm of A + B.

    total: where the sums go in the trace, and their exponent bias. table: where ``norm_table``
    lies. Raises InputError for biases more
    than 16 apart, a gamma's fraction outside 0..15 or an epsilon that does not fit.
    """
    (left, a_bias), (right, b_bias), (result, out_bias) = a, b, c
    (trace, sum_bias), gamma_fraction = total, numbers.gamma_fraction
    size = left.columns
    hb = (size - 1).bit_length()
    root_shift = (size.bit_length() - 1) // 2
    eps = round(Fraction(numbers.epsilon) * size * 2 ** (2 * fraction + 8))
    problems = []
    if abs(a_bias - b_bias) > 16:
        problems.append(Problem(f"exponent biases {a_bias} and {b_bias}", "at most 16 apart"))
    if not 0 <= eps < 1 << 32:
        problems.append(
            Problem(f"epsilon {numbers.epsilon} does not fit 32 bits", "use a smaller one")
        )
    if not 0 <= gamma_fraction <= 15:
        problems.append(Problem(f"{gamma_fraction} fraction bits of gamma", "0 to 15"))
    if problems:
        raise InputError(problems)
    with localcontext() as context:
        context.prec = 60
        scaled = Decimal(size).sqrt() * 2 ** (15 - root_shift)
        root = int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))
    into.command(
        m=left.rows, n=size, m_tiles=left.tiles, n_tiles=left.steps, k_tiles=left.steps,
        function=NORM, fraction=fraction, out_bias=out_bias, a_bias=a_bias, b_bias=b_bias,
        sum_bias=sum_bias, reciprocal=round(Fraction(1 << (23 + hb), size)), size_bits=hb,
        root=root, root_shift=root_shift, epsilon=eps, gamma_fraction=gamma_fraction, table=table,
        trace=trace, c_parts=1, **left.operand("a"), **right.operand("b"), **result.operand("c"),
    )  # fmt: skip
