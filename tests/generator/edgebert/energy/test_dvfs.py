"""The table of voltages and frequencies, and the choice of a point against the unit's reference."""

from __future__ import annotations

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.energy.dvfs import (
    FREQUENCY_ONE,
    Transition,
    VoltageTable,
    alpha_power_table,
    choose_point,
    optimal_frequency,
)
from shiftforge.sim.golden.edgebert.dvfs import choose, row_scale

TABLE = alpha_power_table()


def test_the_table_follows_the_alpha_power_law() -> None:
    assert len(TABLE.steps) == 13 and TABLE.voltages[0] == 0.5
    assert TABLE.voltages[-1] == pytest.approx(0.8)
    assert TABLE.nominal.frequency == 1e9 and TABLE.steps[-1] == FREQUENCY_ONE
    assert list(TABLE.steps) == sorted(set(TABLE.steps))
    expected = (0.2**1.3 / 0.5) / (0.5**1.3 / 0.8) * 1e9
    assert expected - 1e9 / FREQUENCY_ONE < TABLE.point(0).frequency <= expected
    # Rounding never promises more speed than the law.
    for index, voltage in enumerate(TABLE.voltages):
        law = ((voltage - 0.3) ** 1.3 / voltage) / (0.5**1.3 / 0.8) * 1e9
        assert TABLE.point(index).frequency <= law + 1


def cases(count: int, seed: int) -> list[tuple[int, int, int]]:
    """Layer, cycles a layer, cycles left; some just in time, some a cycle short, some past."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        layer = int(rng.integers(2, 13))
        cycles = int(rng.choice([1, 997, 300_000, 3_786_314, 2**31]))
        left = int(cycles * layer * rng.uniform(-0.2, 4))
        if index % 3 == 0:
            work = (layer - 1) * cycles * FREQUENCY_ONE
            left = -(-work // int(rng.choice(TABLE.steps))) - index % 2
        found.append((layer, cycles, left))
    return found


def test_the_choice_is_the_units() -> None:
    seen = set()
    for layer, cycles, left in cases(3000, 0):
        own = choose_point(TABLE, (layer - 1) * cycles, left)
        unit = choose(
            60_000, 100, [layer], row_scale(5, 1), 12, cycles, left, list(TABLE.steps)
        )  # fmt: skip
        assert (own.point, own.late) == (unit.point, unit.late), (layer, cycles, left)
        seen.add(own.point)
    assert seen == set(range(13))


def late_by_one(table: VoltageTable, work: int, left: int) -> bool:
    """Whether another rule, strict instead of at most, differs from the unit's."""
    strict = next(
        (i for i, step in enumerate(table.steps) if step * left > work * FREQUENCY_ONE), table.last
    )
    return strict != choose_point(table, work, left).point


def test_the_cases_tell_a_strict_comparison_apart() -> None:
    exact = [(1, step, FREQUENCY_ONE) for step in TABLE.steps[:-1]]
    assert all(late_by_one(TABLE, work, left) for _, work, left in exact)


def test_the_point_sustains_the_optimal_frequency_and_the_one_below_does_not() -> None:
    for layer, cycles, left in cases(500, 1):
        own = choose_point(TABLE, (layer - 1) * cycles, left)
        need = optimal_frequency(layer, cycles, left / 1000)  # cycles of 1 GHz to us
        if own.late:
            assert own.point == TABLE.last and need > TABLE.nominal.frequency
        else:
            assert TABLE.point(own.point).frequency >= need * (1 - 1e-12)
            if own.point:
                assert TABLE.point(own.point - 1).frequency < need


def test_edges_of_the_formula() -> None:
    assert optimal_frequency(1, 1000, 0) == 0
    assert optimal_frequency(2, 1000, 0) == float("inf")
    assert optimal_frequency(3, 1000, 4) == pytest.approx(500e6)
    assert choose_point(TABLE, 0, 1).point == 0 and choose_point(TABLE, 0, 0).late


def test_switching_costs_nothing_at_the_nominal_point() -> None:
    change = Transition(settle_us=0.3, lock_us=0.2, rail_nf=2)
    assert change.time_us(TABLE, TABLE.last) == change.energy_nj(TABLE, TABLE.last) == 0
    assert change.time_us(TABLE, 0) == pytest.approx(0.5)
    assert change.energy_nj(TABLE, 0) == pytest.approx(2 * 0.8 * 0.3)
    with pytest.raises(InputError, match="rail_nf"):
        Transition(rail_nf=-1)


def test_bad_tables_are_refused() -> None:
    with pytest.raises(InputError, match="a threshold of"):
        alpha_power_table(threshold_v=0.5)
    with pytest.raises(InputError) as error:
        VoltageTable((0.8, 0.5), (4096, 2000), 0)
    assert len(error.value.problems) == 4
    with pytest.raises(InputError, match="1 to 16"):
        VoltageTable((), ())
