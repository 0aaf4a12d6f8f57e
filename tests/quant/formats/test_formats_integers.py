"""Rounding, accumulator widths and pool constants, against exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import InputError
from shiftforge.quant.formats.accumulator import accumulator_bits, accumulator_bound, data_free_bits
from shiftforge.quant.formats.reciprocal import TOLERANCE, pool_constant, pool_error, pool_peak
from shiftforge.quant.formats.rounding import quantise_to_grid, rhe_mul_shift, rhe_shift, saturate
from shiftforge.quant.graph.types import Grid


@settings(max_examples=300, deadline=None)
@given(v=st.integers(-(2**40), 2**40), r=st.integers(-20, 40))
def test_rhe_shift_is_exact(v: int, r: int) -> None:
    # Python rounds fractions half to even.
    assert int(rhe_shift(v, r)) == round(Fraction(v) / Fraction(2) ** r)


@settings(max_examples=300, deadline=None)
@given(v=st.integers(-(2**32) + 1, 2**32 - 1), m=st.integers(1, 2**31 - 1), s=st.integers(0, 62))
def test_rhe_mul_shift_is_exact(v: int, m: int, s: int) -> None:
    assert int(rhe_mul_shift(v, m, s)) == round(Fraction(v * m, 1 << s))


def test_rounding_broadcasts_over_channels() -> None:
    v = np.array([[5, 6, 7], [5, 6, 7]])
    r = np.array([[1], [2]])
    assert rhe_shift(v, r).tolist() == [[2, 3, 4], [1, 2, 2]]
    assert rhe_shift([1, 3, -1, -3, -5], 1).tolist() == [0, 2, 0, -2, -2]


def test_nothing_wraps() -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: rhe_shift(1 << 40, -40),
        lambda: rhe_shift(1, 63),
        lambda: rhe_mul_shift(1, 1 << 31, 0),
        lambda: rhe_mul_shift(1 << 32, 1, 0),
        lambda: rhe_mul_shift(1, 1, -1),
    )
    for call in calls:
        with pytest.raises(OverflowError):
            call()


def test_quantise_to_grid() -> None:
    unsigned, signed = Grid(8, False, -5), Grid(4, True, 1)
    real = [6.0, -1.0, 100.0, 0.5 / 32, 1.5 / 32, np.inf]
    assert quantise_to_grid(real, unsigned).tolist() == [192, 0, 255, 0, 2, 255]
    assert quantise_to_grid([3.0, 5.0, -99.0, 99.0], signed).tolist() == [2, 2, -8, 7]
    with pytest.raises(InputError, match="NaN"):
        quantise_to_grid([np.nan], signed)
    assert saturate([-9, 3, 9], -4, 4).tolist() == [-4, 3, 4]


@pytest.mark.parametrize(
    ("taps", "one", "two", "five"),
    [(9, 19, 19, 27), (27, 20, 21, 28), (960, 25, 26, 33), (1280, 26, 26, 34)],
)
def test_data_free_widths(taps: int, one: int, two: int, five: int) -> None:
    assert data_free_bits(taps, 4, 1) == one
    assert data_free_bits(taps, 4, 2) == two
    assert data_free_bits(taps, 5, 1) == five


def test_longest_sums_that_int32_holds() -> None:
    assert data_free_bits(131_586, 4, 1) == 32 < data_free_bits(131_587, 4, 1)
    assert data_free_bits(87_724, 4, 2) == 32 < data_free_bits(87_725, 4, 2)
    assert data_free_bits(514, 5, 1) == 32 < data_free_bits(515, 5, 1)


@pytest.mark.parametrize("signed", [False, True])
def test_accumulator_bound_is_exact(signed: bool) -> None:
    grid = Grid(3, signed, 0)
    weight = np.array([[3, -2, 1], [-6, -1, 0], [0, 0, 0]], np.int8).reshape(3, 3, 1, 1)
    bias = np.array([5, -7, 0], np.int32)
    codes = range(grid.qmin, grid.qmax + 1)
    for o in range(3):
        sums = [int(np.dot(x, weight[o].ravel())) for x in product(codes, repeat=3)]
        peak = max(max(sums), -min(sums)) + abs(int(bias[o]))
        bound = accumulator_bound(weight, bias, grid)
        assert bound[o] == peak
        bits = int(accumulator_bits(weight, bias, grid)[o])
        assert peak <= (1 << (bits - 1)) - 1
        assert bits == 1 or peak > (1 << (bits - 2)) - 1


def test_accumulator_formulas_of_the_8_bit_grids() -> None:
    rng = np.random.default_rng(0)
    w = rng.integers(-96, 97, size=(4, 8, 3, 3)).astype(np.int8)
    bias = rng.integers(-9999, 9999, size=4).astype(np.int32)
    rows = w.reshape(4, -1).astype(int)
    up, down = np.maximum(rows, 0).sum(1), np.maximum(-rows, 0).sum(1)
    unsigned = 255 * np.maximum(up, down) + abs(bias)
    np.testing.assert_array_equal(accumulator_bound(w, bias, Grid(8, False, 0)), unsigned)
    signed = accumulator_bound(w, bias, Grid(8, True, 0))
    assert (signed <= 128 * (up + down) + abs(bias)).all()
    assert (signed > 127 * (up + down)).all()


def test_rounding_offset_widens_the_accumulator() -> None:
    w, bias, grid = np.ones((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), Grid(8, False, 0)
    assert accumulator_bits(w, bias, grid).tolist() == [9]
    assert accumulator_bits(w, bias, grid, np.array([-3])).tolist() == [9]
    assert accumulator_bits(w, bias, grid, np.array([1])).tolist() == [10]
    assert accumulator_bits(w, bias, grid, np.array([20])).tolist() == [21]


@pytest.mark.parametrize("area", [1, 4, 9, 25, 49, 100, 144, 2_500])
@pytest.mark.parametrize("change", [-2, 0, 3])
def test_pool_constants(area: int, change: int) -> None:
    source, target = Grid(8, False, -5), Grid(8, False, -5 + change)
    m, s = pool_constant(area, source, target)
    assert 0 < m < 1 << 16
    assert pool_error(area, source, target, m, s) <= TOLERANCE
    assert pool_peak(area, source, m, s) < 1 << 31


def test_known_pool_constant_and_impossible_one() -> None:
    grid = Grid(8, False, -5)
    assert pool_error(49, grid, grid, 1337, 16) < TOLERANCE
    shift_add = pool_error(49, grid, grid, (1 << 4) + (1 << 2) + 1, 10)  # 2^-6 + 2^-8 + 2^-10
    assert float(shift_add) == pytest.approx(0.005, abs=1e-3)
    assert shift_add > TOLERANCE
    with pytest.raises(InputError, match="no 16-bit constant"):
        pool_constant(49, grid, Grid(8, False, 30))
