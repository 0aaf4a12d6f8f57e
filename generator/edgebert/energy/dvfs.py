"""Sentence-level voltage and frequency: the table of points, the choice of one, and its switching.

A model. The published V/F figures could not be verified, so the table follows the alpha-power law.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

from shiftforge.errors import InputError, Problem

__all__ = [
    "FREQUENCY_ONE",
    "OperatingPoint",
    "PointChoice",
    "Transition",
    "VoltageTable",
    "alpha_power_table",
    "choose_point",
    "optimal_frequency",
]

FREQUENCY_ONE = 4096
"""The nominal clock in units of the unit's frequency table (docs/EDGEBERT_UNIT.md 2.8)."""
VOLTAGES = tuple(0.5 + 0.025 * step for step in range(13))
MOST_POINTS = 16  # of the unit's table
_MHZ = 1e6


@dataclass(frozen=True)
class OperatingPoint:
    """voltage: V. frequency: Hz."""

    voltage: float
    frequency: float


@dataclass(frozen=True)
class VoltageTable:
    """Ascending points; the last is the nominal one. steps: each point's frequency in 1/4096 of
    the nominal clock, as the unit's table holds it.

    Raises InputError where voltages or steps do not ascend, or the last step is not 4096.
    """

    voltages: tuple[float, ...]
    steps: tuple[int, ...]
    nominal_hz: float = 1e9

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= len(self.voltages) <= MOST_POINTS or len(self.voltages) != len(self.steps):
            what = f"{len(self.voltages)} voltages with {len(self.steps)} frequencies"
            problems.append(Problem(what, f"give 1 to {MOST_POINTS} of both", "table"))
        for name, row in (("voltages", self.voltages), ("steps", self.steps)):
            if list(row) != sorted(row) or (row and row[0] <= 0):
                problems.append(Problem(f"{name} {row}", "ascending, above 0", "table"))
        if self.steps and self.steps[-1] != FREQUENCY_ONE:
            what = f"the last step is {self.steps[-1]}"
            problems.append(Problem(what, f"it is the nominal clock, {FREQUENCY_ONE}", "table"))
        if not self.nominal_hz > 0:
            problems.append(Problem(f"a clock of {self.nominal_hz} Hz", "above 0", "table"))
        if problems:
            raise InputError(problems)

    def point(self, index: int) -> OperatingPoint:
        """Voltage and frequency of a point."""
        hz = self.steps[index] * self.nominal_hz / FREQUENCY_ONE
        return OperatingPoint(self.voltages[index], hz)

    @property
    def last(self) -> int:
        """Index of the nominal point."""
        return len(self.steps) - 1

    @property
    def nominal(self) -> OperatingPoint:
        """The last point."""
        return self.point(self.last)


def alpha_power_table(
    voltages: tuple[float, ...] = VOLTAGES,
    *,
    nominal_hz: float = 1e9,
    threshold_v: float = 0.3,
    alpha: float = 1.3,
) -> VoltageTable:
    """F(V) = F_n ((V - V_t)^alpha / V) / ((V_n - V_t)^alpha / V_n), rounded down to 1/4096 of F_n.

    Alpha-power law (Sakurai and Newton, IEEE JSSC 25(2), 1990). Range, step, clock, V_t and alpha
    are assumptions: 0.5 to 0.8 V by 25 mV, 1 GHz at 0.8 V, 0.3 V, 1.3. Raises InputError where a
    voltage is not above V_t.
    """
    if not voltages or min(voltages) <= threshold_v or alpha <= 0:
        what = f"voltages {voltages} with a threshold of {threshold_v} V, alpha {alpha}"
        raise InputError(Problem(what, "use voltages above the threshold, alpha above 0"))
    speeds = [(v - threshold_v) ** alpha / v for v in voltages]
    steps = tuple(floor(FREQUENCY_ONE * speed / speeds[-1]) for speed in speeds)
    return VoltageTable(tuple(voltages), steps, nominal_hz)


@dataclass(frozen=True)
class PointChoice:
    """point: index into the table. late: no point is in time; the nominal one is taken."""

    point: int
    late: bool


def choose_point(table: VoltageTable, work: int, left: int) -> PointChoice:
    """The slowest point that does ``work`` cycles in ``left`` cycles of the nominal clock.

    step * left >= work * 4096, as the unit compares: no division. left may be negative.
    """
    for index, step in enumerate(table.steps):
        if left > 0 and step * left >= work * FREQUENCY_ONE:
            return PointChoice(index, False)
    return PointChoice(table.last, True)


def optimal_frequency(layer: int, cycles_per_layer: float, left_us: float) -> float:
    """F_opt = (L - 1) cycles_per_layer / (T - t_elapsed) in Hz; infinite where no time is left."""
    work = (layer - 1) * cycles_per_layer
    if work == 0:
        return 0.0
    return work / left_us * _MHZ if left_us > 0 else float("inf")


@dataclass(frozen=True)
class Transition:
    """Leaving the nominal point and coming back to it.

    settle_us, lock_us: regulator and clock generator; the unit stands still. rail_nf: the supply
    rail, emptied on the way down (the unit's use of that charge is not credited) and charged again.
    """

    settle_us: float = field(default=0.1, metadata={"source": "assumed"})
    lock_us: float = field(default=0.1, metadata={"source": "assumed"})
    rail_nf: float = field(default=1.0, metadata={"source": "assumed"})

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} is {value}", "use 0 or more", "transition")
            for name, value in vars(self).items()
            if not value >= 0
        ]
        if problems:
            raise InputError(problems)

    def time_us(self, table: VoltageTable, point: int) -> float:
        """Before the first cycle at the point; 0 at the nominal one."""
        return 0.0 if point == table.last else self.settle_us + self.lock_us

    def energy_nj(self, table: VoltageTable, point: int) -> float:
        """C V_nominal (V_nominal - V), there and back."""
        nominal = table.nominal.voltage
        return self.rail_nf * nominal * (nominal - table.voltages[point])
