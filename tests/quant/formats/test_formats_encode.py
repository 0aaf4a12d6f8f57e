"""Real weights onto levels: nearest, log rounding, scale exponents, SQNR."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.formats import encode, shift, sqnr, uniform
from shiftforge.quant.graph.types import IntFormat, ShiftFormat, WeightFormat


def test_nearest_matches_brute_force_and_ties_go_down() -> None:
    for fmt in (ShiftFormat(), ShiftFormat(4, 1), ShiftFormat(3, 2)):
        levels = shift.levels(fmt)
        v = np.arange(-110 * 8, 110 * 8 + 1) / 8
        distance = np.abs(v[:, None] - levels[None, :])
        # Of the nearest levels, the one of least magnitude.
        rank = np.where(distance == distance.min(axis=1, keepdims=True), np.abs(levels), 1 << 20)
        expected = levels[rank.argmin(axis=1)]
        np.testing.assert_array_equal(encode.nearest(v, levels), expected)
    assert encode.nearest([3.0, -6.0, 48.0, 1e9], shift.levels(ShiftFormat(4, 1))).tolist() == [
        2, -4, 32, 64,
    ]  # fmt: skip


def test_nearest_refuses_lopsided_levels() -> None:
    for bad in ([-2, -1, 0, 1], [-1, 1], [0]):
        with pytest.raises(ValueError, match="symmetric"):
            encode.nearest([1.0], bad)


def test_log_rounding_of_one_term() -> None:
    fmt = ShiftFormat(4, 1)
    v = [0.0, 0.70, 0.71, 1.41, 1.42, -2.9, 1000.0, -45.0, -45.3]
    assert encode.log_round(v, fmt).tolist() == [0, 0, 1, 1, 2, -4, 64, -32, -64]


def test_log_rounding_of_two_terms() -> None:
    fmt = ShiftFormat()
    # 6.5 -> 8 - 1 (the residual -1.5 rounds to 2**1, that is 6); 5 -> 4 + 1; 1000 -> 64 + 32.
    assert encode.log_round([6.5, 5.0, 1000.0, -5.0, 1.4], fmt).tolist() == [6, 5, 96, -5, 1]
    v = np.linspace(-130, 130, 5201)
    for bits in (3, 4):
        found = encode.log_round(v, ShiftFormat(bits, 2))
        assert set(found.tolist()) <= set(shift.levels(ShiftFormat(bits, 2)).tolist())


def test_nearest_beats_log_rounding() -> None:
    w = np.random.default_rng(1).normal(size=(4, 4000))
    fmt = ShiftFormat(4, 1)
    z = encode.choose_exponent(w, shift.levels(fmt))
    error = {}
    roundings: tuple[Literal["nearest", "log"], ...] = ("nearest", "log")
    for rounding in roundings:
        w_int = encode.encode(w, z, fmt, rounding)
        error[rounding] = sqnr.sqnr_db(w, np.ldexp(w_int.astype(float), z[:, None].astype(int)))
    assert 0.1 < error["nearest"] - error["log"] < 1.0


def test_uniform_rounds_half_to_even_and_saturates() -> None:
    assert uniform.round_to_levels([0.5, 1.5, -2.5, 99, -99], IntFormat(4)).tolist() == [
        0, 2, -2, 7, -7,
    ]  # fmt: skip
    assert uniform.levels(IntFormat(2)).tolist() == [-1, 0, 1]
    for bits in (1, 9):
        with pytest.raises(InputError, match="2 to 8 bits"):
            uniform.levels(IntFormat(bits))


@pytest.mark.parametrize("fmt", [ShiftFormat(), ShiftFormat(4, 1), IntFormat(4), IntFormat(8)])
def test_chosen_exponent_is_the_best_of_all(fmt: WeightFormat) -> None:
    rng = np.random.default_rng(3)
    w = (
        rng.laplace(size=(6, 3, 5, 5))
        * np.array([1e-3, 0.02, 0.5, 1.0, 30.0, 1e4])[:, None, None, None]
    )
    levels = encode.format_levels(fmt)
    z = encode.choose_exponent(w, levels)
    assert z.dtype == np.int8
    for k in range(6):
        errors = {
            e: np.square(w[k] - np.ldexp(encode.nearest(np.ldexp(w[k], -e), levels), e)).sum()
            for e in range(-30, 31)
        }
        assert errors[int(z[k])] == min(errors.values())


def test_zero_channel_keeps_the_spread_and_bad_weights_are_refused() -> None:
    levels = shift.levels(ShiftFormat())
    w = np.array([[1.0], [0.0], [8.0]])
    z = encode.choose_exponent(w, levels)
    assert z[1] == z[0] < z[2]
    assert encode.choose_exponent(np.zeros((2, 3)), levels).tolist() == [0, 0]
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="NaN"):
            encode.choose_exponent(np.array([[bad]]), levels)
        with pytest.raises(InputError, match="NaN"):
            encode.encode(np.array([[bad]]), np.zeros(1, np.int8), ShiftFormat())
    with pytest.raises(InputError, match="outside"):
        encode.choose_exponent(np.array([[1e-60]]), levels)


def test_encode_uses_each_channels_scale() -> None:
    w = np.array([0.75, 0.75]).reshape(2, 1, 1, 1)
    z = np.array([-2, -5], np.int8)
    assert encode.encode(w, z, ShiftFormat()).ravel().tolist() == [3, 24]
    assert encode.encode(w, z, IntFormat(4)).ravel().tolist() == [3, 7]


@pytest.mark.parametrize(
    ("fmt", "gauss", "laplace"),
    [
        (ShiftFormat(4, 1), 14.2, 14.2),
        (IntFormat(4), 18.9, 15.6),
        (IntFormat(5), 24.3, 20.4),
        (IntFormat(6), 29.7, 25.2),
        (ShiftFormat(4, 2), 28.5, 27.9),
    ],
)
def test_sqnr_of_the_formats(fmt: WeightFormat, gauss: float, laplace: float) -> None:
    rng = np.random.default_rng(0)
    levels = encode.format_levels(fmt)
    assert sqnr.best_sqnr_db(rng.normal(size=40000), levels) == pytest.approx(gauss, abs=0.5)
    assert sqnr.best_sqnr_db(rng.laplace(size=40000), levels) == pytest.approx(laplace, abs=0.5)


def test_sqnr_edges() -> None:
    assert sqnr.sqnr_db([1.0, 2.0], [1.0, 2.0]) == float("inf")
    assert sqnr.sqnr_db([10.0], [9.0]) == pytest.approx(20.0)
    with pytest.raises(ValueError, match="shapes"):
        sqnr.sqnr_db([1.0], [1.0, 2.0])
