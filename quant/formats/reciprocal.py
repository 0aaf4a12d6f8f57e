"""The constant that turns a global sum into an average without a divider."""

from __future__ import annotations

from fractions import Fraction

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Grid

__all__ = ["TOLERANCE", "pool_constant", "pool_error", "pool_peak"]

# Largest relative error of a pool constant; 1337/65536 for 1/49 errs 3.5e-4.
TOLERANCE = Fraction(1, 1024)
_MAX_BITS = 16
_MAX_SHIFT = 31


def _wanted(area: int, source: Grid, target: Grid) -> Fraction:
    return Fraction(2) ** (source.exponent - target.exponent) / area


def pool_error(area: int, source: Grid, target: Grid, multiplier: int, shift: int) -> Fraction:
    """Relative error of multiplier / 2**shift against 2**(source - target exponent) / area."""
    return abs(Fraction(multiplier, 1 << shift) / _wanted(area, source, target) - 1)


def pool_peak(area: int, source: Grid, multiplier: int, shift: int) -> int:
    """Largest magnitude of sum * multiplier plus the rounding offset; must stay under 2**31."""
    return area * max(source.qmax, -source.qmin) * multiplier + ((1 << shift) >> 1)


def pool_constant(area: int, source: Grid, target: Grid) -> tuple[int, int]:
    """(multiplier, shift) of a global average over area codes, from one grid to another.

    The multiplier has at most 16 bits, the shift is at most 31, and sum * multiplier plus the
    rounding offset stays under 2**31. Raises InputError where no constant comes within TOLERANCE.
    """
    wanted = _wanted(area, source, target)
    for shift in range(_MAX_SHIFT, -1, -1):
        multiplier = round(wanted * (1 << shift))
        if not 0 < multiplier < 1 << _MAX_BITS:
            continue
        if pool_peak(area, source, multiplier, shift) >= 1 << 31:
            continue
        if pool_error(area, source, target, multiplier, shift) <= TOLERANCE:
            return multiplier, shift
    raise InputError(
        Problem(
            f"no 16-bit constant averages {area} codes of {source.bits} bits from exponent "
            f"{source.exponent} to {target.exponent} within 31 bits",
            "use a smaller map or bring the two exponents closer",
        )
    )
