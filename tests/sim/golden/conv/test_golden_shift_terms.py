"""Every activation times every shift code, value-based against shift-based."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from golden_cases import one_conv, random_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import InputError
from shiftforge.quant.graph.types import Grid, IntFormat, ShiftFormat, Tensor
from shiftforge.sim.golden import run_golden
from shiftforge.sim.golden.conv.shift_terms import (
    canonical_codes,
    shift_convolution,
    shift_product,
    term_value,
)


def test_term_values_are_those_of_the_format() -> None:
    positive = [term_value(code, 4) for code in range(8)]
    negative = [term_value(code, 4) for code in range(9, 16)]
    assert positive == [0, 1, 2, 4, 8, 16, 32, 64]
    assert negative == [-1, -2, -4, -8, -16, -32, -64]
    assert [term_value(code, 3) for code in (0, 1, 2, 3, 5, 6, 7)] == [0, 1, 2, 4, -1, -2, -4]


@pytest.mark.parametrize(("code", "bits"), [(0b1000, 4), (0b100, 3), (16, 4), (8, 3), (-1, 4)])
def test_reserved_and_foreign_codes_are_refused(code: int, bits: int) -> None:
    with pytest.raises(InputError):
        term_value(code, bits)


@pytest.mark.parametrize(
    ("bits", "terms", "count", "largest"),
    [(4, 1, 15, 64), (4, 2, 77, 96), (3, 1, 7, 4), (3, 2, 13, 6)],
)
def test_canonical_codes_cover_each_value_once(
    bits: int, terms: int, count: int, largest: int
) -> None:
    table = canonical_codes(bits, terms)
    assert len(table) == count
    assert max(table) == -min(table) == largest
    assert len(set(table.values())) == count
    for value, codes in table.items():
        assert len(codes) == terms
        assert sum(term_value(code, bits) for code in codes) == value


@pytest.mark.parametrize("signed", [False, True], ids=["uint8", "int8"])
@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("terms", [1, 2])
def test_every_activation_times_every_code(bits: int, terms: int, signed: bool) -> None:
    reserved = 1 << (bits - 1)
    valid = [code for code in range(1 << bits) if code != reserved]
    # Two-term pairs in any order, canonical or not, as long as the weight is an int8.
    pairs = [
        codes
        for codes in product(valid, repeat=terms)
        if abs(sum(term_value(code, bits) for code in codes)) <= 127
    ]
    weights = np.array([sum(term_value(code, bits) for code in codes) for codes in pairs])
    grid = Grid(8, signed, 0)
    x = np.arange(grid.qmin, grid.qmax + 1).reshape(1, 16, 16)
    model = one_conv(weights.reshape(-1, 1, 1, 1), Tensor("x", 1, 16, 16, grid))

    result = run_golden(model, x, accumulators=True)

    expected = [[shift_product(int(value), codes, bits) for value in x.flat] for codes in pairs]
    assert len(pairs) >= len(canonical_codes(bits, terms))
    np.testing.assert_array_equal(result["conv.acc"].reshape(len(pairs), 256), expected)
    np.testing.assert_array_equal(result["y"].reshape(len(pairs), 256), expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_whole_layers_are_equal_by_values_and_by_shifts(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    bits, terms = data.draw(st.sampled_from([(4, 2), (4, 1), (3, 2), (3, 1)]))
    kernel, stride, dilation = data.draw(
        st.tuples(st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
    )
    groups, depth, per_group = (int(v) for v in rng.integers(1, 4, 3))
    height, width = (int(v) for v in rng.integers(1, 6, 2))
    reach = dilation * (kernel - 1)
    padding = (reach // 2, 0, reach - reach // 2, reach)
    levels = sorted(canonical_codes(bits, terms))
    x = Tensor("x", groups * depth, height, width, Grid(8, data.draw(st.booleans()), -3))
    model = one_conv(
        rng.choice(levels, (groups * per_group, depth, kernel, kernel)),
        x,
        bias=rng.integers(-1000, 1000, groups * per_group),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        format=ShiftFormat(bits=bits, terms=terms),
    )
    codes = random_codes(rng, x)
    acc = run_golden(model, codes, accumulators=True)["conv.acc"]
    np.testing.assert_array_equal(acc, shift_convolution(model.conv_nodes()[0], codes))


def test_weights_that_are_no_shift_weights_are_refused() -> None:
    x = Tensor("x", 1, 1, 1, Grid(8, False, 0))
    weight = np.full((1, 1, 1, 1), 11)
    frame = np.ones((1, 1, 1), np.uint8)
    for weight_format in (IntFormat(8), ShiftFormat()):
        node = one_conv(weight, x, format=weight_format).conv_nodes()[0]
        with pytest.raises(InputError):
            shift_convolution(node, frame)
