"""The host's constants of a layer norm (docs/EDGEBERT_UNIT.md, layer norm)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from shiftforge.errors import InputError, Problem

__all__ = ["NormNumbers", "norm_registers"]

LONGEST = 4096
EPSILON_BITS = 32
DIGITS = 60


@dataclass(frozen=True)
class NormNumbers:
    """gamma_fraction: fraction bits of gamma, 0..15. epsilon: a number or its decimal text."""

    gamma_fraction: int = 12
    epsilon: float | str = "1e-12"


def norm_registers(length: int, fraction: int, numbers: NormNumbers) -> dict[str, int]:
    """Register values for rows of ``length`` (2..4096) elements with ``fraction`` bits.

    recip: rhe(2^(23 + hb) / H), hb = bitlen(H - 1). root, root_shift: sqrt(H) =
    root * 2^(root_shift - 15). epsilon: rhe(eps * H * 2^(2F + 8)). Raises InputError.
    """
    problems = []
    if not 2 <= length <= LONGEST:
        problems.append(Problem(f"layer norm over {length} elements", f"use 2 to {LONGEST}"))
    if not 0 <= numbers.gamma_fraction <= 15:
        problems.append(Problem(f"{numbers.gamma_fraction} fraction bits of gamma", "use 0 to 15"))
    epsilon = round(Fraction(numbers.epsilon) * length * 2 ** (2 * fraction + 8))
    if not 0 <= epsilon < 1 << EPSILON_BITS:
        problems.append(
            Problem(f"epsilon {numbers.epsilon} does not fit {EPSILON_BITS} bits", "use a smaller")
        )
    if problems:
        raise InputError(problems)
    bits = (length - 1).bit_length()
    root_shift = (length.bit_length() - 1) // 2
    with localcontext() as context:
        context.prec = DIGITS
        root = Decimal(length).sqrt() * 2 ** (15 - root_shift)
        whole = int(root.to_integral_value(rounding=ROUND_HALF_EVEN))
    return {
        "length": length,
        "recip": round(Fraction(1 << (23 + bits), length)),
        "len_bits": bits,
        "root": whole,
        "root_shift": root_shift,
        "epsilon": epsilon,
        "gamma_frac": numbers.gamma_fraction,
    }
