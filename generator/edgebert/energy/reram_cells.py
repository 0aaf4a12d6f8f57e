"""Cells of a resistive memory (ReRAM): levels, read thresholds and probabilities of a wrong level.

A programmed level is a Gaussian of a normalised read value. A read compares with the thresholds
between neighbouring levels, each where the two densities are equal. The published analysis counts a
read on the wrong side of a threshold as the next level (one-level moves); the exact probabilities
of every level stand beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["CELLS", "MLC2", "MLC3", "SLC", "CellKind", "symmetric_cell"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellKind:
    """levels: (mean, standard deviation) of the normalised read value, by rising mean.

    2**bits levels. rest: how the cell of a byte's left-over bits is programmed, None where the bits
    divide 8; a byte in cells of 3 bits is 3 + 3 + 2 bits, and its third cell has the levels of
    ``rest``. Raises InputError for another number of levels, means that do not rise, deviations
    that are not positive, or a rest of other bits.
    """

    name: str
    levels: tuple[tuple[float, float], ...]
    rest: CellKind | None = None

    def __post_init__(self) -> None:
        problems = []
        count = len(self.levels)
        if count < 2 or count & (count - 1):
            problems.append(Problem(f"{count} levels", "give a power of 2, at least 2", self.name))
        means = [mean for mean, _ in self.levels]
        if any(a >= b for a, b in pairwise(means)):
            problems.append(Problem(f"means {means}", "give rising means", self.name))
        if not all(sigma > 0 and math.isfinite(sigma) for _, sigma in self.levels):
            problems.append(Problem("a deviation that is not positive", "above 0", self.name))
        left = 0 if problems else 8 % self.bits
        if not problems and left != (self.rest.bits if self.rest else 0):
            what = f"a byte leaves {left} bits, the rest has another number"
            problems.append(Problem(what, "give a rest of that many bits, or none", self.name))
        if problems:
            raise InputError(problems)

    @property
    def bits(self) -> int:
        """Bits a cell holds."""
        return len(self.levels).bit_length() - 1

    @property
    def byte_kinds(self) -> tuple[CellKind, ...]:
        """The cells of a byte, the most significant bits first; no cell has bits of two bytes."""
        return (self,) * (8 // self.bits) + ((self.rest,) if self.rest else ())

    @property
    def byte_cells(self) -> int:
        """Cells a byte takes."""
        return len(self.byte_kinds)

    @cached_property
    def thresholds(self) -> tuple[float, ...]:
        """Between each level and the next, where their densities are equal.

        Raises InputError where no such point lies between the two means: levels so wide that a
        read cannot tell them apart.
        """
        return tuple(_intersection(low, high, self.name) for low, high in pairwise(self.levels))

    @cached_property
    def moves(self) -> Floats:
        """Probabilities (levels, levels) of reading column j where row i was written, one level at
        most away: all beyond the next threshold counts as the next level."""
        count = len(self.levels)
        found = np.zeros((count, count))
        for i, level in enumerate(self.levels):
            if i > 0:
                found[i, i - 1] = _below(self.thresholds[i - 1], level)
            if i < count - 1:
                found[i, i + 1] = _above(self.thresholds[i], level)
            found[i, i] = 1 - found[i].sum()
        return found

    @cached_property
    def reads(self) -> Floats:
        """The exact probabilities (levels, levels): where between all thresholds a read falls."""
        edges = (-math.inf, *self.thresholds, math.inf)
        count = len(self.levels)
        found = np.zeros((count, count))
        for i, level in enumerate(self.levels):
            for j in range(count):
                # Differences of the tail on the level's own side keep small probabilities.
                if j > i:
                    found[i, j] = _above(edges[j], level) - _above(edges[j + 1], level)
                elif j < i:
                    found[i, j] = _below(edges[j + 1], level) - _below(edges[j], level)
            found[i, i] = 1 - found[i].sum()
        return found

    @property
    def rates(self) -> Floats:
        """Probability of a wrong read, by the level written (levels,). Equal in both matrices."""
        off = self.moves.copy()
        np.fill_diagonal(off, 0)
        found: Floats = off.sum(axis=1)
        return found

    @property
    def rate(self) -> float:
        """The mean of ``rates``: that of a cell where all levels are equally frequent."""
        return float(self.rates.mean())

    def scaled(self, factor: float) -> CellKind:
        """The same means, every deviation times ``factor``; thresholds follow."""
        levels = tuple((mean, sigma * factor) for mean, sigma in self.levels)
        rest = self.rest.scaled(factor) if self.rest else None
        return replace(self, name=f"{self.name} x{factor:g}", levels=levels, rest=rest)


def _above(x: float, level: tuple[float, float]) -> float:
    mean, sigma = level
    return 0.5 * math.erfc((x - mean) / (sigma * math.sqrt(2)))


def _below(x: float, level: tuple[float, float]) -> float:
    mean, sigma = level
    return 0.5 * math.erfc((mean - x) / (sigma * math.sqrt(2)))


def _intersection(low: tuple[float, float], high: tuple[float, float], name: str) -> float:
    """Where two Gaussian densities are equal between their means: a quadratic's root.

    (x - m0)^2 / (2 s0^2) + ln s0 = (x - m1)^2 / (2 s1^2) + ln s1.
    """
    (m0, s0), (m1, s1) = low, high
    a = 1 / (2 * s0**2) - 1 / (2 * s1**2)
    b = m1 / s1**2 - m0 / s0**2
    c = m0**2 / (2 * s0**2) - m1**2 / (2 * s1**2) + math.log(s0 / s1)
    if a == 0:
        roots = [-c / b]
    else:
        square = b * b - 4 * a * c
        if square < 0:
            roots = []
        else:
            # Without the difference of two nearly equal numbers.
            q = -(b + math.copysign(math.sqrt(square), b)) / 2
            roots = [q / a, c / q]
    inside = [x for x in roots if m0 < x < m1]
    if len(inside) != 1:
        what = f"no threshold between levels at {m0:g} and {m1:g}"
        raise InputError(Problem(what, "give smaller deviations", name))
    return inside[0]


# Published levels of EdgeBERT's fault analysis (Tambe et al., MICRO 2021; arXiv 2011.14203). The
# authors' fault injector (NVMExplorer, nvmFI) programs a cell that holds 2 bits of a byte to the
# levels of MLC2, whatever its neighbours hold: the rest of MLC3.
SLC = CellKind("SLC", ((0.0, 0.00865), (1.0, 0.0034)))
MLC2 = CellKind("MLC2", ((0.0, 0.00865), (0.3846, 0.03351), (0.7217, 0.02742), (1.0, 0.0034)))
MLC3 = CellKind(
    "MLC3",
    (
        (0.0, 0.00865),
        (0.0783, 0.01346),
        (0.2038, 0.03042),
        (0.3846, 0.03351),
        (0.5421, 0.02483),
        (0.7217, 0.02742),
        (0.8861, 0.03719),
        (1.0, 0.0034),
    ),
    rest=MLC2,
)
CELLS = {kind.name: kind for kind in (SLC, MLC2, MLC3)}


def symmetric_cell(bits: int, rate: float) -> CellKind:
    """Evenly spaced levels of one deviation, such that a threshold is crossed with probability
    ``rate`` (0 to 0.5, both excluded): a cell of any error rate, for sweeps."""
    if not (1 <= bits <= 4 and 0 < rate < 0.5):
        raise InputError(Problem(f"{bits} bits, rate {rate}", "1 to 4 bits, a rate in (0, 0.5)"))
    top = (1 << bits) - 1
    sigma = 0.5 / top / -NormalDist().inv_cdf(rate)
    rest = symmetric_cell(8 % bits, rate) if 8 % bits else None
    levels = tuple((i / top, sigma) for i in range(top + 1))
    return CellKind(f"{bits}-bit p={rate:g}", levels, rest)
