"""The reference's fast paths against plain formulas, on random and extreme operands."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from albert_cases import optimised_case, sentences

from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence
from shiftforge.sim.golden.edgebert import mac
from shiftforge.sim.golden.edgebert.afcode import AfFormat, signed_value
from shiftforge.sim.golden.edgebert.fixed import bit_length, saturate, shift_round
from shiftforge.sim.golden.edgebert.mac import AccMode, accumulate, matmul_af, matmul_shift

EDGES = [0, 1, 2, 3, 5, (1 << 31) - 1, 1 << 31, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, 1 << 60,
         (1 << 61) - 1]  # fmt: skip


def plain_shift(value: int, right: int) -> int:
    """docs/EDGEBERT_UNIT.md: rhe, and a left shift that saturates to 32 bits."""
    if right >= 0:
        return round(Fraction(value, 1 << right))
    return max(-(1 << 31), min((1 << 31) - 1, value << min(-right, 70)))


def operands(rng: np.random.Generator) -> list[int]:
    random = [int(rng.integers(-(1 << int(k)), 1 << int(k))) for k in rng.integers(1, 61, 40)]
    ties = [int(v) << 4 | 8 for v in rng.integers(-99, 99, 10)]
    return [*EDGES, *(-v for v in EDGES), *random, *ties]


def test_rounded_shifts() -> None:
    values = operands(np.random.default_rng(0))
    whole = np.array(values, dtype=np.int64)
    amounts = [-70, -33, -31, -5, -1, 0, 1, 2, 4, 5, 31, 52, 61, 62, 63, 70]
    for right in amounts:
        want = [plain_shift(v, right) for v in values]
        assert shift_round(whole, right).tolist() == want, right
    # Amounts of every sign in one call.
    table = shift_round(whole[:, None], np.array(amounts))
    assert table.tolist() == [[plain_shift(v, r) for r in amounts] for v in values]
    assert shift_round(np.zeros((0, 3)), 2).shape == (0, 3)


def test_bit_lengths_and_clamps() -> None:
    values = [abs(v) for v in operands(np.random.default_rng(1))] + [(1 << 63) - 1]
    assert bit_length(np.array(values)).tolist() == [v.bit_length() for v in values]
    # Values that a float64 would round up to the next power of two.
    small = [v for v in values if v < 1 << 53]
    assert bit_length(np.array(small)).tolist() == [v.bit_length() for v in small]
    given = np.array([-(1 << 40), -32769, -32768, 0, 32767, 32768, 1 << 40])
    assert saturate(given, 16).tolist() == [max(-32768, min(32767, v)) for v in given.tolist()]


def test_values_of_codes() -> None:
    for code in range(256):
        exp, man = code >> 4 & 7, code & 15
        size = 0 if exp == man == 0 else (16 + man) << exp
        want = -size if code >> 7 else size
        assert signed_value(np.array([code], dtype=np.uint8))[0] == want
        assert signed_value(code) == want
    small = AfFormat(6, 2)
    assert signed_value(np.arange(64, dtype=np.uint8), small).max() == small.largest


def plain_product(a: np.ndarray, planes: list[np.ndarray], n: int, mode: AccMode) -> np.ndarray:
    """In Python integers, K-step by K-step and pass by pass (1.3)."""
    out = np.zeros((len(a), planes[0].shape[1]), dtype=np.int64)
    for i in range(len(a)):
        for j in range(planes[0].shape[1]):
            acc = 0
            for k0 in range(0, a.shape[1], n):
                for plane in planes:
                    own = slice(k0, k0 + n)
                    acc += sum(
                        int(x) * int(y) for x, y in zip(a[i, own], plane[own, j], strict=True)
                    )
                    if mode == "sat32":
                        acc = max(-(1 << 31), min((1 << 31) - 1, acc))
            out[i, j] = acc
    return out


@pytest.mark.parametrize("mode", ["sat32", "exact"])
@pytest.mark.parametrize("terms", [0, 1, 2])
def test_products_saturate_as_the_unit(mode: AccMode, terms: int) -> None:
    """Rows that saturate beside rows that do not; signs that come back from the limit."""
    rng = np.random.default_rng(terms)
    codes = rng.integers(0, 256, (6, 320)).astype(np.uint8)
    codes[0], codes[1, :160], codes[1, 160:] = 0x7F, 0x7F, 0xFF
    codes[2] = 0x10
    other = rng.integers(0, 256, (320, 5)).astype(np.uint8)
    other[:, 0], other[:, 1] = 0x7F, 0x70
    got = matmul_af(codes, other, 4, mode, passes_terms=terms)
    values = signed_value(other)
    planes = mac.passes(values, other, terms) if terms else [values]
    want = plain_product(signed_value(codes), planes, 4, mode)
    assert np.array_equal(got, want)
    assert mode == "exact" or (got[0, 0] == 2**31 - 1 and got[1, 0] < 2**31 - 1)


@pytest.mark.parametrize("terms", [1, 2])
def test_products_with_shift_weights(terms: int) -> None:
    rng = np.random.default_rng(terms)
    a = rng.integers(0, 256, (5, 64)).astype(np.uint8)
    w = rng.integers(0, 16 if terms == 1 else 256, (64, 6)).astype(np.uint8)
    a[0], w[:, 0] = 0x7F, 0x07 if terms == 1 else 0x77
    planes = [mac.shift_values(w, terms)]
    want = plain_product(signed_value(a), planes, 8, "sat32")
    assert np.array_equal(matmul_shift(a, w, terms, 8), want)


def test_a_bound_decides_which_rows_are_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the stepped rows a product that saturates comes out wrong."""
    a = np.full((1, 512), 3968, dtype=np.int64)
    b = np.concatenate([np.full((256, 1), 3968), np.full((256, 1), -3968)]).astype(np.int64)
    right = accumulate(a, [b], 8, "sat32")
    assert np.array_equal(right, plain_product(a, [b], 8, "sat32"))
    monkeypatch.setattr(mac, "_TOP32", 1 << 62)
    assert accumulate(a, [b], 8, "sat32")[0, 0] == 0 != right[0, 0]


def test_sentences_do_not_depend_on_what_ran_before() -> None:
    """Tables that are kept between calls are the formats'."""
    network, ids = optimised_case(), sentences()[1]
    unit = golden_unit(choose_unit(network, 4))
    first, again = (golden_sentence(network, ids, unit) for _ in range(2))
    for one, other in zip(first.layers, again.layers, strict=True):
        assert all(np.array_equal(one.stages[s], other.stages[s]) for s in one.stages)
