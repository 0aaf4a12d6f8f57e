"""Matrix products on the RTL under Verilator against the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matmul_cases import (
    Case,
    build,
    expected,
    expected_apart,
    pair_case,
    random_case,
    run_case,
    small,
    tie_case,
)

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory, build_clocked, build_matmul
from shiftforge.sim.rtl.checks import check_codes

# Cycles beyond the ideal that a product may take before its share counts: the first fetches and
# the last row tile's way out.
ALLOWANCE = 1000

WIDE = [
    (lanes, changes)
    for lanes in (2, 4, 8, 16, 32)
    for changes in (
        {},
        {"accumulator": "exact"},
        {"weights": "shift"},
        {"weights": "shift", "terms": 2, "accumulator": "exact"},
    )
] + [
    (4, {"af_bits": bits, "exp_bits": exp_bits})
    for bits, exp_bits in ((4, 2), (5, 2), (6, 3), (7, 4), (8, 2), (8, 4))
]


def shapes(config: UnitConfig) -> list[tuple[int, int, int]]:
    """Ragged and whole tiles; the longest K the buffers take; several groups of row tiles."""
    n = config.lanes
    longest = config.longest
    return [
        (1, 1, 1),
        (n + 1, 2 * n, n),
        (3 * n - 1, n + 1, 5 * n + 1),
        (2, longest, 3),
        (5 * n, longest // 2 - 3, 2 * n + 1),
    ]


@pytest.mark.parametrize(
    ("lanes", "changes"),
    [(4, {}), (2, {"weights": "shift", "terms": 2, "accumulator": "exact"})],
)
def test_random_products(lanes: int, changes: dict[str, Any]) -> None:
    config = small(lanes, **changes)
    program = build(config)
    for seed, shape in enumerate(shapes(config)):
        case = random_case(config, *shape, seed)
        run_case(program, config, case)
        run_case(program, config, case, memory=ExternalMemory((2, 5), 90), group=1)


@pytest.mark.parametrize(("lanes", "changes"), WIDE[:8])
def test_the_golden_reference_equals_a_second_model(lanes: int, changes: dict[str, Any]) -> None:
    config = small(lanes, **changes)
    for case in (random_case(config, 9, 70, 11, lanes), tie_case(config)):
        assert np.array_equal(expected(config, case), expected_apart(config, case))


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "changes"), WIDE)
def test_random_products_of_every_width(lanes: int, changes: dict[str, Any]) -> None:
    config = small(lanes, **changes)
    program = build(config)
    for seed, shape in enumerate(shapes(config)):
        case = random_case(config, *shape, seed)
        for memory in (ExternalMemory(), ExternalMemory((1, 7), 1), ExternalMemory((3, 4), 200)):
            run_case(program, config, case, memory=memory)


def test_all_pairs() -> None:
    config = small(4)
    run_case(build(config), config, pair_case(config, lane=1, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"weights": "shift"}, {"weights": "shift", "terms": 2}], ids=str
)
@pytest.mark.parametrize("accumulator", ["sat32", "exact"])
def test_all_pairs_over_a_spread(changes: dict[str, Any], accumulator: str) -> None:
    config = small(4, accumulator=accumulator, **changes)
    program = build(config)
    for seed in range(12):
        run_case(program, config, pair_case(config, lane=seed % 4, seed=seed))


def test_the_accumulator_saturates_at_each_step() -> None:
    """Up to the limit, then back: a sum that was saturated once differs from the exact one."""
    config = small(4)
    a = np.full((1, 240), 0x7F, dtype=np.uint8)
    b = np.full((1, 240), 0x7F, dtype=np.uint8)
    b[0, 160:] = 0xFF
    case = Case(a, b, np.array([16]), np.array([0]), frac=8, out_bias=1)
    exact = small(4, accumulator="exact")
    assert expected(config, case) != expected(exact, case)
    run_case(build(config), config, case)


def test_a_zero_row_keeps_the_multipliers_still() -> None:
    config = small(4)
    case = random_case(config, 8, 16, 8, 3)
    case.a[2] = 0
    run = run_case(build(config), config, case)
    assert run.busy == run.ideal_cycles == 64
    assert run.gated >= 2 * 4


def test_tiles_without_a_value() -> None:
    """Strips that consist of masks alone, in A, in B, in both; and results that are all zero."""
    config = small(4)
    program = build(config)
    case = random_case(config, 24, 40, 20, 4)
    case.a[4:12] = case.a[-4:] = 0
    case.b[:4] = case.b[8:16] = 0
    run_case(program, config, case)
    run_case(program, config, case, memory=ExternalMemory((1, 3), 255), group=2)
    case.a[:] = case.b[:] = case.bias[:] = 0
    run = run_case(program, config, case)
    assert not run.codes.any()
    assert run.gated == run.busy == run.ideal_cycles


def test_a_difference_is_located() -> None:
    want = np.zeros((9, 9), dtype=np.uint8)
    got = want.copy()
    got[1, 8] = got[7, 2] = 3
    with pytest.raises(CheckFailed, match=r"2 of 81 .* row tile 0, column tile 2, row 1, lane 0"):
        check_codes(got, want, 4)
    with pytest.raises(CheckFailed, match="nothing was compared"):
        check_codes(want[:0], want[:0], 4)
    with pytest.raises(CheckFailed, match="shape"):
        check_codes(want[:1], want, 4)


def test_impossible_memories_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        ExternalMemory((3, 2), 0)
    assert len(caught.value.problems) == 2


@pytest.mark.slow
def test_cocotb_waits_while_the_design_runs() -> None:
    """The same product with the C++ clock and under cocotb: the same codes and cycles."""
    config = UnitConfig()
    case = random_case(config, 64, 256, 128, 9)
    alone = run_case(build_matmul(config), config, case)
    waiting = run_case(build_clocked(config), config, case)
    assert waiting.cycles == alone.cycles
    assert np.array_equal(waiting.codes, alone.codes)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"weights": "shift"}], ids=str)
def test_cycles_at_sixteen_lanes(changes: dict[str, Any]) -> None:
    """Dense operands, one beat a cycle: within 1.10 of ideal for every product of a layer."""
    config = UnitConfig(**changes)
    program = build_matmul(config)
    for m, k, n in ((128, 768, 768), (128, 768, 3072), (128, 3072, 768), (128, 64, 128)):
        case = random_case(config, m, k, n, 5, density=1.0)
        run = run_case(program, config, case)
        assert run.cycles <= 1.10 * run.ideal_cycles + (ALLOWANCE if k < 128 else 0)
