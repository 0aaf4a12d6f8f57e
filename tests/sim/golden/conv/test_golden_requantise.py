"""Rounding, requantisation, residual addition and pooling against exact fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from golden_cases import one_conv, one_node, random_codes, round_exact
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.quant.graph.types import Add, Grid, Pool, Tensor
from shiftforge.sim.golden import run_golden
from shiftforge.sim.golden.conv.requantise import (
    divide_half_even,
    requantise_multiplier,
    requantise_shift,
)

CLAMPS = [(0, 255), (-128, 127), (0, 192), (-(2**31), 2**31 - 1), (0, 2**32 - 1), (3, 3)]


def edge_values(right: int) -> list[int]:
    """Ties and their neighbours on both sides of zero, and the ends of usual accumulators."""
    half = (1 << right) >> 1 if right > 0 else 1
    near = [half * k + d for k in (0, 1, 2, 3, 5, 7, 255, 511) for d in (-1, 0, 1)]
    far = [2**25 - 1, 2**31 - 1, 2**31, 2**40 + 1, 2**52 + 1]
    return sorted({sign * v for v in near + far for sign in (-1, 1)})


@pytest.mark.parametrize("right", range(-31, 32))
def test_shift_requantisation(right: int) -> None:
    values = edge_values(right)
    acc = np.array(values, np.int64).reshape(1, 1, 1, -1)
    for lo, hi in CLAMPS:
        y = requantise_shift(acc, np.array([right]), lo, hi)
        scale = Fraction(2) ** right
        assert y.ravel().tolist() == [round_exact(v, scale, lo, hi) for v in values]
        assert y.dtype == np.int64


@pytest.mark.parametrize("right", [-200, -62, -33, 32, 60, 61, 62, 63, 64, 127, 200])
def test_shifts_beyond_the_machine_word_are_exact(right: int) -> None:
    values = [0, 1, -1, 2**61 - 1, -(2**61), 2**62, -(2**62), 2**62 - 1, 3 << 60]
    y = divide_half_even(np.array(values, np.int64), right)
    assert y.tolist() == [round(Fraction(v) / Fraction(2) ** right) for v in values]


def test_ties_go_to_the_even_code() -> None:
    acc = np.array([-6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6, 10], np.int64)
    assert divide_half_even(acc, 2).tolist() == [-2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2, 2]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.integers(-31, 31)), min_size=1, max_size=20
    ),
    st.sampled_from(CLAMPS),
)
def test_shift_requantisation_of_mixed_channels(
    pairs: list[tuple[int, int]], clamp: tuple[int, int]
) -> None:
    acc = np.array([v for v, _ in pairs], np.int64).reshape(1, -1, 1, 1)
    y = requantise_shift(acc, np.array([r for _, r in pairs]), *clamp)
    expected = [round_exact(v, Fraction(2) ** r, *clamp) for v, r in pairs]
    assert y.ravel().tolist() == expected


MULTIPLIERS = [1, 3, 2**15 + 1, 2**30, 2**30 + 1, 2**31 - 1]


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_multiplier_requantisation(multiplier: int) -> None:
    for shift in [-3, 0, 1, 15, 16, 30, 31, 32, 33, 45, 61, 62, 63, 70]:
        # Accumulators at which the product passes close to a tie, and the extremes.
        near = [((1 << max(shift, 1)) >> 1) * k // multiplier + d for k in (1, 3) for d in (-1, 0)]
        values = [s * v for v in [*near, 0, 1, 2, 2**31, 2**33 + 1] for s in (1, -1)]
        values = [v for v in values if abs(v) < 2**62]
        acc = np.array(values, np.int64).reshape(1, 1, 1, -1)
        for lo, hi in CLAMPS:
            y = requantise_multiplier(acc, np.array([multiplier]), np.array([shift]), lo, hi)
            scale = Fraction(2) ** shift / multiplier
            assert y.ravel().tolist() == [round_exact(v, scale, lo, hi) for v in values]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**36), 2**36), st.integers(1, 2**31 - 1), st.integers(0, 62)),
        min_size=1,
        max_size=12,
    )
)
def test_multiplier_requantisation_of_mixed_channels(rows: list[tuple[int, int, int]]) -> None:
    acc, multiplier, shift = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    y = requantise_multiplier(acc.reshape(1, -1, 1, 1), multiplier, shift, -128, 127)
    expected = [round_exact(v * m, 2**s, -128, 127) for v, m, s in rows]
    assert y.ravel().tolist() == expected


@pytest.mark.parametrize("signed", [False, True])
def test_a_convolution_requantises_by_its_formula(signed: bool) -> None:
    rng = np.random.default_rng(5)
    x, out = Tensor("x", 3, 4, 5, Grid(8, signed, -7)), Grid(8, not signed, -4)
    weight, z = rng.integers(-96, 97, (6, 3, 1, 1)), np.array([-9, -6, -3, -1, 3, 5])
    codes = random_codes(rng, x, 2)
    for requant in ("shift", "multiplier"):
        m = rng.integers(2**20, 2**31, 6) if requant == "multiplier" else None
        s = rng.integers(24, 44, 6) if requant == "multiplier" else None
        model = one_conv(weight, x, out=out, z=z, multiplier=m, shift=s)
        result = run_golden(model, codes, accumulators=True)
        for n, o, row, column in np.ndindex(result["y"].shape):
            acc = int(result["conv.acc"][n, o, row, column])
            scale = (
                Fraction(2) ** (out.exponent - x.grid.exponent - int(z[o]))
                if m is None or s is None
                else Fraction(2) ** int(s[o]) / int(m[o])
            )
            assert result["y"][n, o, row, column] == round_exact(acc, scale, out.qmin, out.qmax)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    grids=st.tuples(
        *[st.tuples(st.sampled_from([4, 8, 32]), st.booleans(), st.integers(-20, 12))] * 3
    ),
)
def test_add(seed: int, grids: tuple[tuple[int, bool, int], ...]) -> None:
    rng = np.random.default_rng(seed)
    grid_a, grid_b, grid_y = (Grid(*grid) for grid in grids)
    a, y = Tensor("a", 2, 3, 3, grid_a), Tensor("y", 2, 3, 3, grid_y)
    lo, hi = sorted(int(v) for v in rng.integers(grid_y.qmin, grid_y.qmax + 1, 2))
    # b comes from a by a 1x1 convolution of weight 1 onto its own grid: two inputs, one network.
    b = Tensor("b", 2, 3, 3, grid_b)
    z = np.full(2, grid_b.exponent - grid_a.exponent)
    copy = one_conv(np.eye(2).reshape(2, 2, 1, 1), a, out=grid_b, z=z).conv_nodes()[0]
    model = one_node(Add("add", "net.add", "a", "b", "y", lo, hi), a, b, y)
    model = replace(model, nodes=(replace(copy, output="b"), *model.nodes))
    codes = random_codes(rng, a)
    result = run_golden(model, codes)
    for left, right, got in zip(result["a"].flat, result["b"].flat, result["y"].flat, strict=True):
        total = int(left) * Fraction(2) ** grid_a.exponent
        total += int(right) * Fraction(2) ** grid_b.exponent
        assert int(got) == min(max(round(total / Fraction(2) ** grid_y.exponent), lo), hi)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (7, 7), (3, 5), (14, 14)])
@pytest.mark.parametrize("gain", [0, -2, 3])
def test_pool(height: int, width: int, signed: bool, gain: int) -> None:
    rng = np.random.default_rng(height * 31 + width)
    x = Tensor("x", 40, height, width, Grid(8, signed, -4))
    y = Tensor("y", 40, 1, 1, Grid(8, signed, -4 - gain))
    shift = 15 - gain + (height * width).bit_length()
    multiplier = round(Fraction(2) ** (shift + gain) / (height * width))
    node = Pool("pool", "net.pool", "x", "y", multiplier, shift, y.grid.qmin, y.grid.qmax)
    codes = random_codes(rng, x, 3)
    codes[:, 0], codes[:, 1] = x.grid.qmin, x.grid.qmax
    result = run_golden(one_node(node, x, y), codes)["y"]
    sums = codes.sum(axis=(2, 3))
    for n, channel in np.ndindex(sums.shape):
        expected = round_exact(
            int(sums[n, channel]) * multiplier, 2**shift, y.grid.qmin, y.grid.qmax
        )
        assert int(result[n, channel, 0, 0]) == expected
