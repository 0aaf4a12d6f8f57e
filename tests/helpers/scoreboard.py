"""Comparison of what a block gives with what it should: the first difference, never nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed


def check_rows(
    function: str,
    got: NDArray[Any],
    want: NDArray[Any],
    rows: Sequence[int],
    parts: Sequence[str] = (),
) -> int:
    """The number of equal values; got and want are (transfers, lanes), rows (transfers,).

    rows: to which row of the function each transfer belongs. parts: names of the columns where
    they are no lanes. Raises CheckFailed with the number of differences and the first one
    (function, row, transfer in it, lane), or where shapes differ or nothing was compared.
    """
    if got.shape != want.shape or len(rows) != len(want):
        raise CheckFailed(f"{function}: results of shape {got.shape}, expected {want.shape}")
    if got.size == 0:
        raise CheckFailed(f"{function}: nothing was compared")
    wrong = np.argwhere(got != want)
    if len(wrong) == 0:
        return int(got.size)
    at, lane = wrong[0].tolist()
    vector = list(rows[:at]).count(rows[at])
    part = parts[lane] if parts else f"lane {lane}"
    raise CheckFailed(
        f"{function}: {len(wrong)} of {got.size} values differ; first in row {rows[at]}, vector "
        f"{vector}, {part}: {int(got[at, lane])}, expected {int(want[at, lane])}"
    )


class Scoreboard:
    """Expected values in order against observed ones.

    parts: where values are tuples, the names of their items.
    """

    def __init__(self, name: str, parts: Sequence[str] = ()) -> None:
        self.name = name
        self.parts = parts
        self.compared = 0
        self._expected: list[tuple[object, str]] = []

    def expect(self, value: object, place: str = "") -> None:
        """Add the next expected value; place says where it belongs."""
        self._expected.append((value, place))

    def observe(self, value: object) -> None:
        """Compare the next observed value; raises CheckFailed where it differs."""
        if self.compared >= len(self._expected):
            raise CheckFailed(f"{self.name}: {value!r} was not expected")
        want, place = self._expected[self.compared]
        place = place or f"transfer {self.compared}"
        if isinstance(value, tuple) and isinstance(want, tuple):
            for part, one, other in zip(self.parts, value, want, strict=bool(self.parts)):
                if one != other:
                    raise CheckFailed(f"{self.name}: {place}, {part} is {one}, expected {other}")
        if value != want:
            raise CheckFailed(f"{self.name}: {place} is {value!r}, expected {want!r}")
        self.compared += 1

    @property
    def done(self) -> bool:
        """Whether every expected value was seen."""
        return self.compared == len(self._expected)

    def finish(self) -> int:
        """The number of values compared; raises CheckFailed where it is 0 or some are missing."""
        if not self.done:
            missing = len(self._expected) - self.compared
            raise CheckFailed(f"{self.name}: {missing} expected transfers never came")
        if self.compared == 0:
            raise CheckFailed(f"{self.name}: nothing was compared")
        return self.compared
