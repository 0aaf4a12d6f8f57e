"""Parameters of the special function unit, and its tables.

Entry i of a table is 2^Q f(x_i) rounded half to even, f to 50 decimal digits. A ROM word is the
entry and the step to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.unit import LANES

__all__ = ["LN2", "LOG2E", "SLOT_BITS", "TILES_IN_FLIGHT", "SfuConfig", "Table", "sfu_tables"]

SLOT_BITS = 2
TILES_IN_FLIGHT = 1 << SLOT_BITS
"""Row tiles of softmax or layer norm: one filled, one in each of two passes, and one to spare."""
DIGITS = 50
LOG2E_BITS, LN2_BITS = 15, 16
PI = Decimal("3.14159265358979323846264338327950288419716939937510")
CUBIC = Decimal("0.044715")


@dataclass(frozen=True)
class SfuConfig:
    """lanes: elements a cycle. af_bits, exp_bits: the codes. fraction: F of the fixed point.

    row: longest row of softmax and entropy; norm_row: longest row of layer norm; both powers of
    two. predictor_rows: entries of the exit-layer table, a power of two.
    """

    lanes: int = 16
    af_bits: int = 8
    exp_bits: int = 3
    fraction: int = 10
    row: int = 512
    norm_row: int = 1024
    predictor_rows: int = 128

    def __post_init__(self) -> None:
        problems = []

        def check(good: bool, what: str, remedy: str, where: str) -> None:
            if not good:
                problems.append(Problem(what, remedy, where))

        check(self.lanes in LANES, f"{self.lanes} lanes", f"choose one of {LANES}", "lanes")
        # Wider exponents make the exact sum of two codes longer than 32 bits.
        good = 4 <= self.af_bits <= 8 and 2 <= self.exp_bits <= 3
        check(
            good and self.af_bits - self.exp_bits > 1,
            f"AF<{self.af_bits},{self.exp_bits}> is not offered",
            "choose 4 to 8 bits, 2 or 3 of them exponent, at least one mantissa bit",
            "exp_bits",
        )
        check(6 <= self.fraction <= 16, f"{self.fraction} fraction bits", "6 to 16", "fraction")
        for name, low, high in (
            ("row", 64, 512),
            ("norm_row", 64, 4096),
            ("predictor_rows", 2, 1024),
        ):
            value = getattr(self, name)
            check(
                value & (value - 1) == 0 and low <= value <= high,
                f"{value} is not offered",
                f"choose a power of two from {low} to {high}",
                name,
            )
        if problems:
            raise InputError(problems)

    @property
    def man_bits(self) -> int:
        """m."""
        return self.af_bits - self.exp_bits - 1


@dataclass(frozen=True)
class Table:
    """entries: 2^k + 1 integers, Q fraction bits. words: (entry, step to the next) a ROM line."""

    name: str
    entries: tuple[int, ...]

    @property
    def words(self) -> tuple[tuple[int, int], ...]:
        """2^k pairs."""
        following = self.entries[1:]
        return tuple((a, b - a) for a, b in zip(self.entries[:-1], following, strict=True))


def _whole(value: Decimal, bits: int) -> int:
    return int((value * 2**bits).to_integral_value(rounding=ROUND_HALF_EVEN))


def _table(
    name: str, points: Iterable[Decimal], function: Callable[[Decimal], Decimal], bits: int
) -> Table:
    return Table(name, tuple(_whole(function(x), bits) for x in points))


def _gelu_part(u: Decimal) -> Decimal:
    """u - gelu_new(u) = u / (1 + e^(2a)), a = sqrt(2/pi) (u + 0.044715 u^3)."""
    a = (2 / PI).sqrt() * (u + CUBIC * u * u * u)
    return u / (1 + (2 * a).exp())


def sfu_tables() -> tuple[Table, ...]:
    """exp2: 2^(-i/32). log2: log2(1 + i/64). rsqrt0/1: of 1 + i/32, 2 + i/16. gelu: h(i/32)."""
    with localcontext() as context:
        context.prec = DIGITS + 5
        ln2 = Decimal(2).ln()
        fine = [Decimal(i) / 32 for i in range(129)]
        coarse = fine[:33]
        return (
            _table("exp2", coarse, lambda x: (-x * ln2).exp(), 15),
            _table("log2", [x / 2 for x in fine[:65]], lambda x: (1 + x).ln() / ln2, 15),
            _table("rsqrt0", coarse, lambda x: 1 / (1 + x).sqrt(), 15),
            _table("rsqrt1", coarse, lambda x: 1 / (2 + 2 * x).sqrt(), 15),
            _table("gelu", fine, _gelu_part, 16),
        )


def _constants() -> tuple[int, int]:
    with localcontext() as context:
        context.prec = DIGITS + 5
        ln2 = Decimal(2).ln()
        return _whole(1 / ln2, LOG2E_BITS), _whole(ln2, LN2_BITS)


LOG2E, LN2 = _constants()
"""log2 e with 15 fraction bits, ln 2 with 16."""
