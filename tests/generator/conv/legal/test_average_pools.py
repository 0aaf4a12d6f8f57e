"""Average pools: constants of few digits, and networks that keep their codes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from random_maps import random_maps
from random_networks import random_frames

from shiftforge.generator.conv.averages import Average, digits_of, find_average
from shiftforge.generator.conv.legal import legalise
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import AveragePool, Conv, Grid, MaxPool
from shiftforge.sim.golden.conv.network import run_golden

SHIFTS = tuple(sign << e for e in range(7) for sign in (1, -1))
INTEGERS = tuple(n for n in range(-7, 8) if n)


def rounded(value: Fraction, clamp: tuple[int, int]) -> int:
    """Half to even, as Python rounds fractions."""
    return min(max(round(value), clamp[0]), clamp[1])


@pytest.mark.parametrize("weights", [SHIFTS, INTEGERS])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9])
def test_every_sum_becomes_the_code_that_the_node_has(count: int, weights: tuple[int, ...]) -> None:
    for signed, up in ((False, 0), (True, 1), (False, -2)):
        x, out = Grid(8, signed, -5), Grid(8, signed, -5 - up)
        multiplier, shift = pool_constant(count, x, out)
        clamp = (out.qmin + 3, out.qmax)
        sums = count * x.qmin, count * x.qmax
        own = find_average(sums, multiplier, shift, clamp, (3, 9), weights)
        assert own is not None and set(own.digits) <= {0, *weights} and len(own.digits) <= 7
        for s in range(sums[0], sums[1] + 1):
            found = rounded(Fraction(s * own.constant + own.bias, 1 << own.right), clamp)
            assert found == rounded(Fraction(s * multiplier, 1 << shift), clamp), (s, own)


def test_an_average_over_nine_has_four_digits() -> None:
    grid = Grid(8, False, -4)
    own = find_average((0, 9 * 255), *pool_constant(9, grid, grid), (0, 255), (4, 9), SHIFTS)
    assert own == Average((8, -4, 2, -1), 12, 28)
    assert own is not None and own.constant == 455


def test_digits_make_their_number() -> None:
    for number in range(1, 4000):
        found = digits_of(number, SHIFTS, 9)
        assert found is not None and Average(found, 0, 0).constant == number
    assert digits_of(3, (1, -1), 1) is None


def test_pools_of_random_networks_keep_their_codes() -> None:
    pools = 0
    for seed in range(60):
        model = random_maps(
            seed,
            nodes=10,
            kinds=(Conv, AveragePool, AveragePool, AveragePool, MaxPool),
            on_array=True,
        )
        legal = legalise(model)
        frames = random_frames(model, seed)
        want, found = run_golden(model, frames), run_golden(legal.model, frames)
        for name in model.tensors:
            assert np.array_equal(want[name], found[name]), f"seed {seed}, {name}"
        for node in legal.model.nodes:
            pools += isinstance(node, AveragePool)
            assert not isinstance(node, AveragePool) or max(node.kernel) <= 3
    assert pools > 20
