"""Post-processing and conversion of the EdgeBERT unit, against fractions."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_edgebert_golden_products import real_value

from shiftforge.errors import InputError
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.fixed import bit_length, normalise, shift_round
from shiftforge.sim.golden.edgebert.post import (
    post_af,
    post_fixed,
    shift_amount_af,
    shift_amount_shift,
)

LOW, HIGH = -(1 << 31), (1 << 31) - 1


def sat32(value: int) -> int:
    return min(max(value, LOW), HIGH)


class Nearest:
    """The nearest code of a value: a search among all values; ties to the even code."""

    def __init__(self, fmt: AfFormat, bias: int, fraction: int) -> None:
        self.sign = 1 << (fmt.bits - 1)
        values = [real_value(c, bias, fmt) * Fraction(2) ** fraction for c in range(self.sign)]
        self.unit = max(v.denominator for v in values)
        self.values = [int(v * self.unit) for v in values]

    def __call__(self, t: int) -> int:
        w = abs(t) * self.unit
        above = bisect_left(self.values, w)
        if above == len(self.values):
            code = above - 1
        elif above == 0:
            code = 0
        else:
            down, up = w - self.values[above - 1], self.values[above] - w
            code = above if up < down or (up == down and above % 2 == 0) else above - 1
        return code + self.sign if code and t < 0 else code


@pytest.mark.parametrize(
    ("bits", "exp_bits", "fraction", "bias"),
    [
        (8, 3, 10, -10),
        (8, 3, 10, -3),
        (8, 3, 10, 3),
        (8, 3, 16, -6),
        (8, 3, 6, -9),
        (8, 3, 0, -12),
        (8, 4, 10, -8),
        (8, 2, 12, -4),
        (4, 2, 10, -2),
    ],
)
def test_every_16_bit_value(bits: int, exp_bits: int, fraction: int, bias: int) -> None:
    fmt, t = AfFormat(bits, exp_bits), np.arange(-(1 << 15), 1 << 15)
    nearest = Nearest(fmt, bias, fraction)
    assert fixed_to_af(t, fraction, bias, fmt).tolist() == [
        nearest(v) for v in range(-32768, 32768)
    ]


@settings(max_examples=300, deadline=None)
@given(
    t=st.integers(LOW, HIGH),
    fraction=st.integers(-30, 40),
    bias=st.integers(-64, 63),
    fmt=st.sampled_from([AF8, AfFormat(8, 4), AfFormat(4, 2), AfFormat(8, 1)]),
)
def test_any_32_bit_value(t: int, fraction: int, bias: int, fmt: AfFormat) -> None:
    assert int(fixed_to_af(t, fraction, bias, fmt)) == Nearest(fmt, bias, fraction)(t)


def test_codes_come_back_through_fixed_point() -> None:
    codes = np.arange(256)
    for bias in range(-10, -2):
        t = af_to_fixed(codes, bias, 16)
        back = fixed_to_af(t, 16, bias)
        assert np.array_equal(back, np.where(codes == 0x80, 0, codes))
    assert af_to_fixed(0x7F, 20, 10) == HIGH and af_to_fixed(0xFF, 20, 10) == LOW
    # 1.5 steps and 2.5 steps: ties to even.
    assert [int(af_to_fixed(c, -4, 0)) for c in (0x48, 0x54)] == [2, 2]


@settings(max_examples=400, deadline=None)
@given(
    acc=st.integers(-(1 << 40), 1 << 40),
    shift=st.integers(-64, 63),
    bias=st.integers(LOW, HIGH),
)
def test_any_accumulator(acc: int, shift: int, bias: int) -> None:
    t = sat32(sat32(round(acc / Fraction(2) ** shift)) + bias)
    assert int(post_fixed(acc, shift, bias)) == t
    assert int(post_fixed(acc, shift, bias, "relu")) == max(t, 0)
    expected = Nearest(AF8, -6, 10)(t)
    assert int(post_af(acc, shift, bias, "none", 10, -6)) == expected


def test_saturation_points_and_ties() -> None:
    acc = np.array([1 << 31, -(1 << 31) - 1, 3, 5, -3, -5, 1])
    assert post_fixed(acc[:2], 0, 0).tolist() == [HIGH, LOW]
    assert post_fixed(acc[2:6], 1, 0).tolist() == [2, 2, -2, -2]
    assert post_fixed(acc[6:], -31, 0).tolist() == [HIGH]
    assert post_fixed(-acc[6:], [-31, -32, -64], 0).tolist() == [LOW, LOW, LOW]
    assert post_fixed(np.array([0]), -64, 0).tolist() == [0]
    assert post_fixed(np.array([HIGH]), 0, HIGH).tolist() == [HIGH]
    # The shift saturates before the bias is added.
    assert post_fixed(np.array([1 << 35]), 0, -5).tolist() == [HIGH - 5]


def test_shifts_belong_to_their_channels() -> None:
    acc = np.array([[1024, 1024]])
    z = np.array([0, -3], dtype=np.int8)
    sh = shift_amount_shift(-4, z, 10)
    assert sh.tolist() == [-2, 1]
    assert post_fixed(acc, sh, np.array([1, 2])).tolist() == [[4097, 514]]
    # One times one: 16 << 4 with bias -4, squared, at 10 fraction bits.
    assert post_fixed(np.array([(16 << 4) ** 2]), shift_amount_af(-4, -4, 10), 0) == 1 << 10
    assert shift_amount_af(-4, -4, 10, -3) == shift_amount_af(-4, -4, 10) + 3


def test_refusals() -> None:
    for shift, bias in ((64, 0), (-65, 0), (0, 1 << 31)):
        with pytest.raises(InputError):
            post_fixed(np.array([1]), shift, bias)
    with pytest.raises(InputError):
        shift_round(1 << 61, 1)
    with pytest.raises(InputError):
        fixed_to_af(1 << 41, 0, 0)


@settings(max_examples=200, deadline=None)
@given(value=st.integers(1, (1 << 60) - 1))
def test_normalised_values(value: int) -> None:
    assert int(bit_length(value)) == value.bit_length()
    p, g = normalise(value, 15)
    assert 1 << 15 <= int(g) < 1 << 16
    exact = round(Fraction(value) * Fraction(2) ** (15 - (value.bit_length() - 1)))
    assert int(g) << int(p) - value.bit_length() + 1 == exact


def test_a_planted_truncation_is_seen() -> None:
    t = np.arange(-(1 << 15), 1 << 15)
    nearest = Nearest(AF8, -10, 10)
    truncated = fixed_to_af(t & ~1, 10, -10)
    assert truncated.tolist() != [nearest(int(v)) for v in t]
