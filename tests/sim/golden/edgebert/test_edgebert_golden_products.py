"""Products and accumulators of the EdgeBERT unit, against Python integers and fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.sim.golden.edgebert import mac
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, af_values, signed_value

LOW, HIGH = -(1 << 31), (1 << 31) - 1


def real_value(code: int, bias: int, fmt: AfFormat) -> Fraction:
    """The value of a code by the definition: (-1)^s 2^(exp + B) (1 + man / 2^m)."""
    m = fmt.man_bits
    man, exp, negative = code % 2**m, code // 2**m % 2**fmt.exp_bits, code // 2 ** (fmt.bits - 1)
    if man == exp == 0:
        return Fraction(0)
    size = Fraction(2) ** (exp + bias) * (1 + Fraction(man, 2**m))
    return -size if negative else size


def shift_weight(code: int, terms: int) -> int:
    """The weight of a SHIFT4 code by the definition."""
    table = [0, 1, 2, 4, 8, 16, 32, 64]
    nibbles = [code % 16, code // 16][:terms]
    return sum(-table[nib - 8] if nib >= 8 else table[nib] for nib in nibbles)


@pytest.mark.parametrize(("bits", "exp_bits"), [(4, 2), (8, 2), (8, 3), (8, 4)])
def test_every_value_of_a_format(bits: int, exp_bits: int) -> None:
    fmt = AfFormat(bits, exp_bits)
    codes = np.arange(1 << bits)
    for bias in (-10, 0, 3):
        expected = [float(real_value(int(c), bias, fmt)) for c in codes]
        assert af_values(codes, bias, fmt).tolist() == expected
    assert int(np.abs(signed_value(codes, fmt)).max()) == fmt.largest


def test_all_pairs_of_af8_codes() -> None:
    codes = np.arange(256)
    product = mac.af_product(codes[:, None], codes[None, :])
    for bias_a, bias_b in ((0, 0), (-10, -7)):
        scale = Fraction(2) ** (bias_a + bias_b - 8)
        a = [real_value(c, bias_a, AF8) for c in range(256)]
        b = [real_value(c, bias_b, AF8) for c in range(256)]
        for i in range(256):
            assert [int(p) * scale for p in product[i]] == [a[i] * y for y in b]
    assert int(np.abs(product).max()) == mac.product_bound() == 961 << 14


@pytest.mark.parametrize("terms", [1, 2])
def test_all_pairs_of_af8_and_shift_codes(terms: int) -> None:
    count = 16**terms
    product = mac.shift_product(np.arange(256)[:, None], np.arange(count)[None, :], terms)
    weights = [shift_weight(w, terms) for w in range(count)]
    for code in range(256):
        a, scale = real_value(code, -10, AF8), Fraction(2) ** -14
        assert [int(p) * scale for p in product[code]] == [a * w for w in weights]
    assert int(np.abs(product).max()) == mac.product_bound(AF8, terms) == 31 * terms << 13


def test_accumulator_widths_of_the_published_depths() -> None:
    assert [mac.accumulator_bits(k, 16) for k in (256, 768, 3072)] == [33, 35, 37]
    assert mac.accumulator_bits(3, 2) == (4 * 961 << 14).bit_length() + 1


def by_hand(
    a: NDArray[Any], planes: list[NDArray[Any]], n: int, saturating: bool
) -> NDArray[np.int64]:
    """One element at a time, in Python integers."""
    out = np.zeros((a.shape[0], planes[0].shape[1]), dtype=np.int64)
    for i, j in np.ndindex(*out.shape):
        acc = 0
        for k0 in range(0, a.shape[1], n):
            for plane in planes:
                stop = min(k0 + n, a.shape[1])
                acc += sum(int(a[i, k]) * int(plane[k, j]) for k in range(k0, stop))
                acc = min(max(acc, LOW), HIGH) if saturating else acc
        out[i, j] = acc
    return out


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("passes_terms", [0, 1, 2])
def test_matrix_products_with_saturation_in_every_order(n: int, passes_terms: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.integers(0, 256, (5, 300)), rng.integers(0, 256, (300, 3))
    a[:2], b[:, :2] = 0x7F, 0x7F
    a[1, 150:], a[2, 140:] = 0xFF, 0x7F
    values = signed_value(b)
    planes = mac.passes(values, b, passes_terms) if passes_terms else [values]
    left = signed_value(a)
    got = mac.matmul_af(a, b, n, "sat32", AF8, passes_terms)
    expected = by_hand(left, planes, n, True)
    assert np.array_equal(got, expected)
    assert HIGH in got  # the case is there
    exact = mac.matmul_af(a, b, n, "exact", AF8, passes_terms)
    assert np.array_equal(exact, by_hand(left, [values], n, False))
    assert not np.array_equal(got, exact)
    # Saturating at the end only is another result: the walk down from the top shows it.
    assert not np.array_equal(got, np.clip(exact, LOW, HIGH))


def test_saturation_on_the_way_depends_on_the_order_of_k() -> None:
    a = np.array([[0x7F] * 400 + [0xFF] * 400])
    b = np.full((800, 1), 0x7F)
    assert mac.matmul_af(a, b, 16)[0, 0] < 0
    assert mac.matmul_af(a[:, ::-1], b, 16)[0, 0] > 0
    assert mac.matmul_af(a, b, 16, "exact")[0, 0] == 0


def test_steps_end_in_the_product_and_saturate_once_a_step() -> None:
    a, b = np.full((1, 20), 0x7F), np.full((20, 1), 0x7F)
    seen = list(mac.steps(signed_value(a), [signed_value(b)], 8, "sat32"))
    assert [int(x[0, 0]) for x in seen] == [8 * 961 << 14, 16 * 961 << 14, 20 * 961 << 14]
    assert np.array_equal(seen[-1], mac.matmul_af(a, b, 8))


@pytest.mark.parametrize("terms", [1, 2])
def test_shift_products_of_matrices(terms: int) -> None:
    rng = np.random.default_rng(terms)
    a, w = rng.integers(0, 256, (3, 37)), rng.integers(0, 16**terms, (37, 5))
    values = np.array([[shift_weight(int(c), terms) for c in row] for row in w])
    got = mac.matmul_shift(a, w, terms, 4)
    assert np.array_equal(got, by_hand(signed_value(a), [values], 4, True))


def test_passes_split_every_code_into_bits() -> None:
    codes = np.arange(256)
    for terms, count in ((1, 5), (2, 3)):
        planes = mac.passes(signed_value(codes), codes, terms)
        assert len(planes) == count
        assert np.array_equal(sum(planes), signed_value(codes))
        for plane in planes:  # at most `terms` bits each
            assert max(int(v).bit_count() for v in np.abs(plane)) <= terms
    with pytest.raises(InputError):
        mac.passes(signed_value(codes) + 1, codes, 1)


@pytest.mark.parametrize("shape", [(128, 768, 768), (128, 768, 3072), (128, 3072, 768)])
def test_albert_shapes(shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 256, (rows, depth)), rng.integers(0, 256, (depth, columns))
    got = mac.matmul_af(a, b, 16)
    exact = mac.matmul_af(a, b, 16, "exact")
    i, j = rng.integers(0, rows, 40), rng.integers(0, columns, 40)
    left, right = signed_value(a[i]), signed_value(b[:, j]).T
    assert np.array_equal(exact[i, j], (left * right).sum(axis=1))
    for r, c in zip(i[:4], j[:4], strict=True):
        element = by_hand(signed_value(a[r : r + 1]), [signed_value(b[:, c : c + 1])], 16, True)
        assert got[r, c] == element[0, 0]


def test_bad_operands_are_refused() -> None:
    with pytest.raises(InputError):
        mac.shift_values(np.array([16]), 1)
    with pytest.raises(InputError):
        mac.shift_values(np.array([1]), 3)
    with pytest.raises(InputError):
        mac.af_product(np.array([256]), np.array([0]))
    with pytest.raises(InputError):
        mac.matmul_af(np.zeros((2, 3), int), np.zeros((2, 3), int), 4)
    with pytest.raises(InputError):
        AfFormat(8, 7)
