"""Parameters of the EdgeBERT processing unit and the widths that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.options import LANES

__all__ = ["BUFFERS", "LANES", "MASKS_PER_BEAT", "PUBLISHED_BUFFER", "SMALL_BUFFER", "UnitConfig"]

LANE_BITS = 8  # a lane's slot in the buffers and on the external port
MASKS_PER_BEAT = 8  # one beat is n bytes, so eight n-bit masks
SHIFT_CODE_BITS = 4
SHIFT_MAX = 6  # SHIFT4 codes 1..7 shift by 0..6
PUBLISHED_BUFFER = 128 * 1024
PUBLISHED_AUXILIARY = 32 * 1024
SMALL_BUFFER = 64 * 1024
"""Bytes of each data buffer of the unit that fits an LFE5U-85 at n = 4: three of the published
size have more RAM than the part."""
BUFFERS = {"small": SMALL_BUFFER, "published": PUBLISHED_BUFFER}
"""Sizes of the data buffers that have names."""
WIDEST_ACCUMULATOR = 62


@dataclass(frozen=True)
class UnitConfig:
    """One processing unit.

    lanes: n; n VMACs of n lanes. af_bits, exp_bits: AdaptivFloat<n,e> of activations (and of
    weights where ``weights`` is "af"). weights: "af", or "shift" with ``terms`` SHIFT4 codes a
    weight. attention: what a shift unit does with a product of two activations: "passes" takes
    ``terms`` bits of the second significand at a time, "none" offers no such product (no effect
    on an "af" unit, which multiplies them as they are). multipliers: of an "af" unit's lanes,
    "logic" adds the rows of a product, "blocks" writes them as products, which tools put into a
    device's multiplier blocks (the same values in the same cycles). accumulator: "sat32" (32 bits,
    saturating each array cycle) or "exact" (wide enough for the longest product the buffers hold).
    a_buffer, b_buffer, c_buffer: bytes of the data buffers; each has a mask buffer of an eighth of
    it. aux_buffer: bytes of the special function unit's tile buffer. max_tiles: row or column tiles
    of a product. outstanding: reads under way on the external port, a power of two.
    """

    lanes: int = 16
    af_bits: int = 8
    exp_bits: int = 3
    weights: Literal["af", "shift"] = "af"
    terms: int = 1
    attention: Literal["passes", "none"] = "passes"
    multipliers: Literal["logic", "blocks"] = "logic"
    accumulator: Literal["sat32", "exact"] = "sat32"
    a_buffer: int = PUBLISHED_BUFFER
    b_buffer: int = PUBLISHED_BUFFER
    c_buffer: int = PUBLISHED_BUFFER
    aux_buffer: int = PUBLISHED_AUXILIARY
    max_tiles: int = 256
    outstanding: int = 64

    def __post_init__(self) -> None:
        problems = []

        def check(good: bool, what: str, remedy: str, where: str) -> None:
            if not good:
                problems.append(Problem(what, remedy, where))

        n = self.lanes
        check(n in LANES, f"{n} lanes are not offered", f"choose one of {LANES}", "lanes")
        check(
            4 <= self.af_bits <= LANE_BITS,
            f"{self.af_bits}-bit AdaptivFloat is not offered",
            "choose 4 to 8 bits",
            "af_bits",
        )
        check(
            2 <= self.exp_bits <= 4 and self.af_bits - self.exp_bits - 1 >= 1,
            f"{self.exp_bits} exponent bits do not suit {self.af_bits} bits",
            "choose 2 to 4, with at least one mantissa bit left",
            "exp_bits",
        )
        check(self.weights in ("af", "shift"), f"unknown weights {self.weights!r}", "af", "weights")
        check(self.terms in (1, 2), f"{self.terms} terms a weight", "choose 1 or 2", "terms")
        check(
            self.weights == "shift" or self.terms == 1,
            "AdaptivFloat weights have one term",
            "choose shift weights or one term",
            "terms",
        )
        check(
            self.attention in ("passes", "none"),
            f"unknown attention {self.attention!r}",
            "choose passes or none",
            "attention",
        )
        check(
            self.multipliers in ("logic", "blocks"),
            f"unknown multipliers {self.multipliers!r}",
            "choose logic or blocks",
            "multipliers",
        )
        check(
            self.accumulator in ("sat32", "exact"),
            f"unknown accumulator {self.accumulator!r}",
            "choose sat32 or exact",
            "accumulator",
        )
        for name in ("a_buffer", "b_buffer", "c_buffer", "aux_buffer"):
            size = getattr(self, name)
            check(
                size & (size - 1) == 0 and 2 * 32 * 16 <= size <= 2**20,
                f"a buffer of {size} bytes is not offered",
                "choose a power of two from 1,024 to 1,048,576",
                name,
            )
        for name, low, high in (("max_tiles", 256, 4096), ("outstanding", 4, 1024)):
            value = getattr(self, name)
            check(
                value & (value - 1) == 0 and low <= value <= high,
                f"{value} is not offered",
                f"choose a power of two from {low} to {high}",
                name,
            )
        if not problems:
            check(
                self.acc_bits <= WIDEST_ACCUMULATOR,
                f"an exact accumulator needs {self.acc_bits} bits",
                "choose fewer exponent bits or sat32",
                "accumulator",
            )
        if problems:
            raise InputError(problems)

    @property
    def man_bits(self) -> int:
        """m = n - e - 1."""
        return self.af_bits - self.exp_bits - 1

    @property
    def weight_bits(self) -> int:
        """Bits of one weight code: an AF code, or one or two SHIFT4 nibbles."""
        return self.af_bits if self.weights == "af" else SHIFT_CODE_BITS * self.terms

    @property
    def weight_pack(self) -> int:
        """Weights in one lane byte of the B buffer."""
        return 2 if self.weights == "shift" and self.terms == 1 else 1

    @property
    def takes_codes(self) -> bool:
        """A shift unit whose second operand may be AF codes, taken in mantissa-term passes."""
        return self.weights == "shift" and self.attention == "passes"

    @property
    def passes(self) -> int:
        """Passes of a K-step for a product of two activations: ceil((m + 1) / terms), or 1."""
        return -(-(self.man_bits + 1) // self.terms) if self.takes_codes else 1

    @property
    def b_bits(self) -> int:
        """Bits of an element of B as its decoder hands it over: a weight, or an AF code."""
        return max(self.af_bits, self.weight_bits) if self.takes_codes else self.weight_bits

    @property
    def term_bits(self) -> int:
        """Width of sa << (c - 1), or of sa << bit of a pass."""
        most = max(SHIFT_MAX, self.man_bits) if self.takes_codes else SHIFT_MAX
        return self.man_bits + 1 + most

    @property
    def lane_shift_bits(self) -> int:
        """Width of the last shift of a lane: ea, eb in a pass, and with one term its own amount."""
        top = (1 << self.exp_bits) - 1
        own = self.man_bits if self.takes_codes else 0
        most = top * (2 if self.takes_codes else 1)
        if self.terms == 1:
            most = max(top + SHIFT_MAX, most + own)
        return most.bit_length()

    @property
    def _largest_code(self) -> int:
        """s << exp of the largest AF code: (2^(m+1) - 1) * 2^(2^e - 1)."""
        return ((1 << (self.man_bits + 1)) - 1) << ((1 << self.exp_bits) - 1)

    @property
    def _largest_pass(self) -> int:
        """Largest B of one cycle of a shift unit.

        A weight: terms * 2^6. A pass of an AF code: the set bits of the significand among its
        ``terms`` neighbouring ones, times 2^exp; the last pass may have fewer bits than terms, so
        it is not always (2^terms - 1) times a power of two (m = 4, two terms: 1, 2 | 4, 8 | 16).
        """
        weight = self.terms << SHIFT_MAX
        if not self.takes_codes:
            return weight
        width, most = self.man_bits + 1, 0
        for low in range(0, width, self.terms):
            bits = min(self.terms, width - low)
            most = max(most, ((1 << bits) - 1) << low)
        return max(weight, most << ((1 << self.exp_bits) - 1))

    @property
    def product_bits(self) -> int:
        """Signed width of what one lane adds in one cycle.

        |P| <= (2^(m+1) - 1)^2 * 2^(2 (2^e - 1)) for AF x AF, (2^(m+1) - 1) * 2^(2^e - 1) times
        the largest weight or pass for a shift unit.
        """
        other = self._largest_code if self.weights == "af" else self._largest_pass
        return (self._largest_code * other).bit_length() + 1

    @property
    def sum_bits(self) -> int:
        """Signed width of the adder tree's result."""
        return self.product_bits + (self.lanes - 1).bit_length()

    @property
    def longest(self) -> int:
        """Largest K: one row tile (and one column tile) has to fit its buffer."""
        return min(self.a_rows, self.b_rows)

    @property
    def acc_bits(self) -> int:
        """Accumulator width; "exact" holds ``longest`` products of the largest size.

        All passes of an element add up to the whole product, and all have its sign.
        """
        if self.accumulator == "sat32":
            return 32
        whole = self._largest_code if self.weights == "af" else self._largest_pass
        if self.takes_codes:
            whole = max(whole, self._largest_code)
        return (self._largest_code * whole).bit_length() + 1 + (self.longest - 1).bit_length()

    @property
    def buffers(self) -> tuple[int, int, int]:
        """Bytes of the data buffers A, B and C."""
        return self.a_buffer, self.b_buffer, self.c_buffer

    @property
    def a_rows(self) -> int:
        """Vectors the A buffer holds (dense)."""
        return self.a_buffer // self.lanes

    @property
    def b_rows(self) -> int:
        """Vectors the B buffer holds (dense, one byte a weight)."""
        return self.b_buffer // self.lanes

    @property
    def c_rows(self) -> int:
        """Vectors the C buffer holds (dense)."""
        return self.c_buffer // self.lanes

    @property
    def aux_rows(self) -> int:
        """Rows of n 32-bit words the tile buffer holds."""
        return self.aux_buffer // (4 * self.lanes)

    @property
    def c_slots(self) -> int:
        """Row tiles of C with write pointers of their own."""
        return 16
