"""Special function unit of the EdgeBERT unit: stated worst-case errors over whole input ranges."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_edgebert_golden_post import Nearest
from test_edgebert_golden_products import real_value

from shiftforge.errors import InputError
from shiftforge.sim.golden.edgebert import softmax as sm
from shiftforge.sim.golden.edgebert import tables
from shiftforge.sim.golden.edgebert.add import add_af, add_exact, add_fixed
from shiftforge.sim.golden.edgebert.afcode import AF8
from shiftforge.sim.golden.edgebert.dvfs import Choice, choose, predicted_layer, row_scale
from shiftforge.sim.golden.edgebert.entropy import entropy, exits
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants, normalised

Floats = NDArray[np.float64]


def gelu_new(x: Floats) -> Floats:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def float_softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_tables_are_the_rounded_functions() -> None:
    def check(table: tuple[int, ...], values: list[float], fraction: int) -> None:
        assert len(table) == len(values)
        assert max(abs(t - v * 2**fraction) for t, v in zip(table, values, strict=True)) <= 0.5001

    check(tables.exp2_table(), [2 ** (-i / 32) for i in range(33)], 15)
    check(tables.log2_table(), [math.log2(1 + i / 64) for i in range(65)], 15)
    even, odd = tables.rsqrt_tables()
    check(even, [(1 + i / 32) ** -0.5 for i in range(33)], 15)
    check(odd, [(2 + i / 16) ** -0.5 for i in range(33)], 15)
    u = np.arange(129) / 32
    check(tables.gelu_table(), list(u - gelu_new(u)), 16)
    assert (tables.LOG2E, tables.LN2) == (47274, 45426)
    assert max(tables.gelu_table()) == 11144


@pytest.mark.parametrize("fraction", [6, 8, 10, 12, 16])
def test_exponential_over_its_whole_range(fraction: int) -> None:
    d_in = np.arange(0, (32 << fraction) + 5)
    d, v = sm.distance(-d_in, np.int64(0), fraction)
    assert int(d.max()) == (32 << fraction) - 1 and int(v.max()) < 1 << 21
    true = np.exp(-d / 2.0**fraction)
    error = np.abs(sm.power(v) / 2.0**22 - true)
    assert (error <= true * 2.0**-11 + 2.0**-23).all()
    assert int(sm.power(np.int64(0))) == 1 << 22
    assert not sm.power(np.arange(26 << 15, 40 << 15, 999)).any()


def test_logarithm_over_its_whole_range() -> None:
    total = np.unique(np.geomspace(1 << 22, 512 << 22, 400_000).astype(np.int64))
    total = np.append(total, np.arange((1 << 23) - 600, (1 << 23) + 600))  # carries of the rounding
    error = np.abs(sm.log2_sum(total) / 2.0**15 - np.log2(total / 2.0**22))
    assert error.max() <= 2.0**-13
    assert int(sm.log2_sum(1 << 22)) == 0


@pytest.mark.parametrize("fraction", [6, 10, 16])
@pytest.mark.parametrize("length", [1, 2, 3, 128, 512])
def test_softmax(fraction: int, length: int) -> None:
    rng = np.random.default_rng(length)
    spread = rng.uniform(0, 12, (200, 1))
    x = np.rint(rng.normal(size=(200, length)) * spread * 2**fraction).astype(np.int64)
    x[0] = 0
    x[1, 0] = 40 << fraction
    true = float_softmax(x / 2.0**fraction)
    error = np.abs(sm.softmax_fixed(x, fraction) / 2.0**22 - true)
    assert (error <= true * 2.0**-10 + 2.0**-22).all()


def test_softmax_of_two_over_the_whole_distance() -> None:
    x = np.stack([np.zeros(40_000, np.int64), -np.arange(40_000)], axis=1)
    true = float_softmax(x / 1024)
    assert (np.abs(sm.softmax_fixed(x, 10) / 2.0**22 - true) <= true * 2.0**-10 + 2.0**-22).all()
    extremes = np.array([[-(1 << 31), (1 << 31) - 1]])
    assert sm.softmax_fixed(extremes, 10).tolist() == [[0, 1 << 22]]


def test_span_mask_is_a_ramp_without_renormalisation() -> None:
    table = sm.span_table(10 * 256 + 128, 32, 64)
    true = [round(256 * min(max(Fraction(32 * 2 + 21 - 2 * x, 64), 0), 1)) for x in range(64)]
    assert table.tolist() == true
    mask = sm.span_rows(table, 40, 40)
    assert mask[3, 30] == table[27] and mask[30, 3] == table[27]
    x = np.random.default_rng(0).integers(-4096, 4096, (40, 40))
    true_y = float_softmax(x / 1024) * mask / 256
    y = sm.softmax_fixed(x, 10, mask) / 2.0**22
    assert (np.abs(y - true_y) <= true_y * 2.0**-10 + 2.0**-22).all()
    assert y.sum(axis=1).min() < 0.9  # not renormalised
    codes = sm.softmax_af(x, 10, -10, mask)
    nearest = Nearest(AF8, -10, 22)
    assert codes[0].tolist() == [nearest(int(t)) for t in sm.softmax_fixed(x, 10, mask)[0]]
    assert not sm.span_rows(np.array([256]), 3, 3)[0, 1:].any()
    with pytest.raises(InputError):
        sm.softmax_fixed(x, 10, mask + 1)
    with pytest.raises(InputError):
        sm.softmax_fixed(np.zeros((1, 513)), 10)


def norm_rows(size: int, deviation: float, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, size)) * deviation + rng.normal(size=(60, 1)) * deviation * 3
    x[:20, 0] += deviation * 30  # an outlier, and rows with two values only
    x[20:30] = deviation * np.sign(rng.normal(size=(10, size)))
    return np.clip(np.rint(x), -(1 << 19), (1 << 19) - 1).astype(np.int64)


@pytest.mark.parametrize("size", [2, 4, 16, 64, 768, 1000, 1024])
@pytest.mark.parametrize("deviation", [1, 4, 16, 100, 3000, 100_000, 500_000])
def test_normalised_rows(size: int, deviation: float) -> None:
    x = norm_rows(size, deviation, size)
    sigma = x.std(axis=1, keepdims=True)
    x, sigma = x[sigma[:, 0] > 0], sigma[sigma > 0][:, None]
    z = (x - x.mean(axis=1, keepdims=True)) / sigma
    for fraction, epsilon in ((10, "1e-12"), (16, 0.0)):
        got = normalised(x, norm_constants(size, fraction, epsilon)) / 1024.0
        bound = 2.0**-9 * np.maximum(1, np.abs(z)) + 2.0**-5 / sigma
        assert (np.abs(got - np.clip(z, -32, 32)) <= bound).all()


def test_inverse_square_root_over_its_whole_range() -> None:
    position = np.arange(1 << 15)
    for table, scale in zip(tables.rsqrt_tables(), (1.0, 2.0), strict=True):
        value = tables.interpolate(table, position, 10) / 2.0**25
        true = 1 / np.sqrt(scale * (1 + position / 2.0**15))
        assert (np.abs(value / true - 1) <= 2.0**-13).all()


def test_layer_norm_with_gamma_and_beta() -> None:
    rng = np.random.default_rng(3)
    x = np.rint(rng.normal(size=(50, 768)) * 2000 + 300).astype(np.int64)
    gamma, beta = rng.uniform(-7, 7, 768), rng.uniform(-3, 3, 768)
    gamma_int, beta_int = np.rint(gamma * 4096), np.rint(beta * 1024)
    got = layer_norm(x, gamma_int, beta_int, 12, norm_constants(768, 10, "1e-12")) / 1024.0
    z = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    true = z * gamma_int / 4096 + beta_int / 1024
    bound = np.abs(gamma) * (2.0**-9 * np.maximum(1, np.abs(z)) + 2.0**-13) + 2.0**-10
    assert (np.abs(got - true) <= bound).all()
    swapped = layer_norm(x, beta_int, gamma_int, 12, norm_constants(768, 10))
    assert not (np.abs(swapped / 1024.0 - true) <= bound).all()


def test_zero_variance_gives_beta() -> None:
    for size in (2, 3, 768, 4095, 4096):
        beta = np.arange(size)
        for value in (-(1 << 19), -3, 0, 77777, (1 << 19) - 1):
            for epsilon in (0.0, "1e-5"):
                x = np.full((1, size), value)
                constants = norm_constants(size, 10, epsilon)
                assert layer_norm(x, np.full(size, 99), beta, 8, constants)[0].tolist() == list(
                    range(size)
                )


def test_epsilon() -> None:
    assert norm_constants(768, 10, "1e-12").epsilon == 0
    assert norm_constants(768, 10, "1e-5").epsilon == 2061584
    x = np.array([[1, -1, 1, -1]] * 1)  # variance 2**-20; epsilon ten times as large
    z = normalised(x, norm_constants(4, 10, 10 * 2.0**-20)) / 1024
    assert abs(z[0, 0] - 1 / math.sqrt(11)) < 2.0**-9
    with pytest.raises(InputError):
        norm_constants(768, 10, 1.0)
    with pytest.raises(InputError):
        norm_constants(5000, 10)


def test_layer_norm_saturates_its_input_and_output() -> None:
    constants = norm_constants(4, 10)
    wide = np.array([[1 << 30, -(1 << 30), 0, 0]])
    assert np.array_equal(normalised(wide, constants), normalised(wide >> 10, constants))
    top = layer_norm(wide, np.full(4, 32767), np.full(4, (1 << 31) - 1), 0, constants)
    assert top.max() == (1 << 31) - 1


@pytest.mark.parametrize("fraction", [5, 6, 8, 10, 12, 16])
def test_gelu_over_its_whole_range(fraction: int) -> None:
    t = np.arange(-(6 << fraction), (6 << fraction) + 1)
    true = gelu_new(t / 2.0**fraction)
    error = np.abs(gelu(t, fraction) / 2.0**fraction - true)
    assert error.max() <= 2.0**-13 + 2.0 ** -(fraction + 1)
    far = np.concatenate([np.geomspace(6, 2.0 ** (31 - fraction) - 1, 1000)])
    far_t = np.rint(far * 2**fraction).astype(np.int64)
    assert np.array_equal(gelu(far_t, fraction), far_t)
    assert not gelu(-far_t, fraction).any()
    assert gelu(np.array([-(1 << 31), (1 << 31) - 1, 0]), fraction).tolist() == [
        0,
        (1 << 31) - 1,
        0,
    ]


@pytest.mark.parametrize(
    ("a_bias", "b_bias", "out_bias"), [(-10, -10, -10), (-4, -9, -5), (3, -9, 2)]
)
def test_every_pair_of_an_addition(a_bias: int, b_bias: int, out_bias: int) -> None:
    codes = np.arange(256)
    t, fraction = add_exact(codes[:, None], a_bias, codes[None, :], b_bias)
    a = [real_value(c, a_bias, AF8) * Fraction(2) ** fraction for c in range(256)]
    b = [real_value(c, b_bias, AF8) * Fraction(2) ** fraction for c in range(256)]
    assert all(t[i].tolist() == [a[i] + y for y in b] for i in range(256))
    assert int(np.abs(t).max()) < 1 << 30
    nearest = Nearest(AF8, out_bias, fraction)
    table = {value: nearest(value) for value in set(t.ravel().tolist())}
    got = add_af(codes[:, None], a_bias, codes[None, :], b_bias, out_bias)
    assert got.ravel().tolist() == [table[value] for value in t.ravel().tolist()]
    fixed = add_fixed(codes[:, None], a_bias, codes[None, :], b_bias, 10)
    row = [round(Fraction(int(v)) * Fraction(2) ** (10 - fraction)) for v in t[17]]
    assert fixed[17].tolist() == row


def test_addition_refuses_far_biases() -> None:
    with pytest.raises(InputError):
        add_exact(np.array([1]), -10, np.array([1]), 7)


def float_entropy(x: Floats) -> Floats:
    p = float_softmax(x)
    terms = p * np.log(np.maximum(p, 1e-300))
    total: Floats = -terms.sum(axis=1)
    return total


@pytest.mark.parametrize("fraction", [6, 10, 16])
def test_entropy(fraction: int) -> None:
    two = np.stack([np.zeros(34 << 6, np.int64), np.arange(34 << 6) << (fraction - 6)], axis=1)
    assert (
        np.abs(entropy(two, fraction) / 65536 - float_entropy(two / 2.0**fraction)).max() < 2**-10
    )
    rng = np.random.default_rng(4)
    for classes in (1, 3, 16):
        x = rng.normal(size=(3000, classes)) * rng.uniform(0, 12, (3000, 1))
        xi = np.rint(x * 2**fraction).astype(np.int64)
        error = np.abs(entropy(xi, fraction) / 65536 - float_entropy(xi / 2.0**fraction))
        assert error.max() <= 2.0**-10
    h = entropy(np.zeros((1, 3), np.int64), fraction)
    assert exits(h, int(h[0])).tolist() == [True] and exits(h, int(h[0]) - 1).tolist() == [False]


def test_sentence_level_choice() -> None:
    table = [min(12, 1 + row // 8) for row in range(100)]
    scale, v_f = row_scale(3, 100), (1024, 2048, 3072, 4096)
    h_max = round(math.log(3) * 65536)
    assert predicted_layer(h_max, table, scale, 12) == table[99] == 12
    assert predicted_layer(1 << 20, table, scale, 12) == 12
    assert predicted_layer(0, table, scale, 12) == 2  # layer 1 has run already
    assert predicted_layer(h_max // 2, table, scale, 12) in (table[49], table[50])

    def at(h: int, left: int) -> Choice:
        return choose(h, 1000, table, scale, 12, 100, left, v_f)

    assert at(1000, 10**6) == Choice(1, 3, False)
    assert at(1001, 400) == Choice(2, 0, False)  # 100 cycles in 400: a quarter of the clock
    assert at(1001, 399) == Choice(2, 1, False)
    assert at(1001, 100) == Choice(2, 3, False)
    assert at(1001, 99) == Choice(2, 3, True)
    assert at(1001, -5) == Choice(2, 3, True)
    assert at(h_max, 11 * 200) == Choice(12, 1, False)
    with pytest.raises(InputError):
        choose(1, 0, table, scale, 12, 100, 10, (2, 1))


def test_planted_table_fault_breaks_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> tuple[int, ...]:
        entries = list(tables.exp2_table())
        entries[9] += 64
        return tuple(entries)

    monkeypatch.setattr(sm, "exp2_table", broken)
    with pytest.raises(AssertionError):
        test_exponential_over_its_whole_range(10)
