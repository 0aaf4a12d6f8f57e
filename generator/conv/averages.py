"""Averages over windows by shifts and additions: the constant that a pass multiplies a sum with.

The network's average of a window's sum S is ``F(S) = clamp(rhe(S * m / 2**s))`` with m of some 16
bits. S has few values, so that a smaller constant c with a bias b gives the same codes:
``rhe((S * c + b) / 2**r) = F(S)`` for every S that there is, which is tried for each. The array has
S * c as digits of c, a weight word each: the sum so far goes ``DIGIT_PLACES`` places to the left,
and the window with the next word's weights comes to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGIT_PLACES", "MOST_DIGITS", "Average", "digits_of", "find_average"]

DIGIT_PLACES = 2
"""Places of a sum between two words of a window: any integer has digits then that are 0 or a power
of two with a sign."""
_MOST_BITS = 30
MOST_DIGITS = 9
_BESIDE = (0, -1, 1, -2, 2)


@dataclass(frozen=True)
class Average:
    """digits: of the constant, the highest first; right: places of the shift that rounds; bias."""

    digits: tuple[int, ...]
    right: int
    bias: int

    @property
    def constant(self) -> int:
        """What a sum is multiplied with."""
        found = 0
        for digit in self.digits:
            found = (found << DIGIT_PLACES) + digit
        return found


def find_average(
    sums: tuple[int, int], multiplier: int, shift: int, clamp: tuple[int, int],
    usual: tuple[int, int], weights: tuple[int, ...], words: int = MOST_DIGITS,
) -> Average | None:  # fmt: skip
    """The constant of fewest digits for sums from the least to the most; None where there is none.

    multiplier, shift, clamp: m, s and the bounds of F. usual: least and most right shift that the
    network has anyway: of equally many digits a constant within is taken, or one next to it.
    weights: values that a digit may have. words: digits at most.
    """
    values = np.arange(sums[0], sums[1] + 1, dtype=np.int64)
    codes = np.clip(_rounded(values * multiplier, shift), *clamp)
    most = max(abs(sums[0]), abs(sums[1]))
    found: list[tuple[int, int, int, Average]] = []
    for right in range(shift + 1):
        near = (multiplier << right) + (1 << shift >> 1) >> shift
        for constant in (near + step for step in _BESIDE):
            if constant < 1 or (most * constant).bit_length() > _MOST_BITS:
                continue
            bias = _bias(values, codes, constant, right, clamp)
            digits = None if bias is None else digits_of(constant, weights, words)
            if bias is not None and digits is not None:
                away = max(usual[0] - right, right - usual[1], 0)
                found.append((len(digits), away, right, Average(digits, right, bias)))
    return min(found, key=lambda own: own[:3])[3] if found else None


def _rounded(values: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """values / 2**shift, half to even."""
    down = values >> shift
    rest, half = values - (down << shift), 1 << shift >> 1
    up = (rest > half) | ((rest == half) & (down & 1 == 1)) if shift else np.zeros_like(rest, bool)
    return np.asarray(down + up, np.int64)


def _bias(
    values: NDArray[np.int64], codes: NDArray[np.int64], constant: int, right: int,
    clamp: tuple[int, int],
) -> int | None:  # fmt: skip
    """The smallest bias with which every sum becomes its code; None where none does."""
    # A tie goes to the even code; past the clamp's bounds any number will do.
    half, odd = 1 << right >> 1, codes & 1 if right else np.zeros_like(codes)
    middle = (codes << right) - values * constant
    least = (middle - half + odd)[codes > clamp[0]].max(initial=-(1 << _MOST_BITS))
    most = (middle + half - odd)[codes < clamp[1]].min(initial=1 << _MOST_BITS)
    return None if least > most else int(min(max(least, 0), most))


def digits_of(constant: int, weights: tuple[int, ...], words: int) -> tuple[int, ...] | None:
    """A number as the fewest digits, ``DIGIT_PLACES`` places each, the highest first."""
    for count in range(1, words + 1):
        found = _digits(constant, weights, count)
        if found is not None:
            return found
    return None


@cache
def _digits(rest: int, weights: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    if count == 1:
        return (rest,) if rest in weights else None
    # What is left is no larger than the largest digits make.
    if abs(rest) > max(weights) * ((1 << DIGIT_PLACES * count) - 1):
        return None
    for digit in (0, *weights):
        if (rest - digit) % (1 << DIGIT_PLACES) == 0:
            above = _digits((rest - digit) >> DIGIT_PLACES, weights, count - 1)
            if above is not None:
                return (*above, digit)
    return None
