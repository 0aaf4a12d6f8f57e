"""AdaptivFloat<n,e>: the published example, every code, nearest values, biases and their choice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.quant.formats import adaptivfloat as af
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, BiasRegister
from shiftforge.quant.formats.adaptivfloat_calibration import calibrate_bias

FORMATS = [AdaptivFloatFormat(n, e) for n in range(3, 9) for e in range(1, n - 1)]
WIDE = [AdaptivFloatFormat(12, 5), AdaptivFloatFormat(16, 6), AdaptivFloatFormat(16, 1)]
BIASES = [af.MIN_BIAS, -10, -3, 0, 5, af.MAX_BIAS]
formats = st.sampled_from(FORMATS)


def oracle(w: float, fmt: AdaptivFloatFormat, bias: int) -> int:
    """The code by the published rules, one value at a time, in exact fractions."""
    m, e = fmt.mantissa_bits, fmt.exponent_bits
    size, unit = abs(Fraction(w)), Fraction(1, 2**m)
    v_min = Fraction(2) ** bias * (1 + unit)
    v_max = Fraction(2) ** (bias + 2**e - 1) * (2 - unit)
    if size <= v_min / 2:
        return 0
    sign = (1 << (fmt.bits - 1)) if w < 0 else 0
    if size < v_min:
        return sign + 1
    if size >= v_max:
        return sign + (1 << (fmt.bits - 1)) - 1
    exponent = bias
    while size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    mantissa = round((size / Fraction(2) ** exponent - 1) * 2**m)  # Fraction rounds half to even
    if mantissa == 2**m:
        exponent, mantissa = exponent + 1, 0
    return sign + ((exponent - bias) << m) + mantissa


def test_published_example() -> None:
    """The 4 x 4 matrix of the AdaptivFloat paper, AF<4,2>."""
    w = [
        [-1.17, 2.71, -1.60, 0.43],
        [-1.14, 2.05, 1.01, 0.07],
        [0.16, -0.03, -0.89, -0.87],
        [-0.04, -0.39, 0.64, -2.89],
    ]
    expected = [[-1, 3, -1.5, 0.375], [-1, 2, 1, 0], [0, 0, -1, -0.75], [0, -0.375, 0.75, -3]]
    fmt = AdaptivFloatFormat(4, 2)
    bias = af.choose_bias(w, fmt)
    assert (bias, fmt.smallest(bias), fmt.largest(bias)) == (-2, 0.375, 3.0)
    codes = af.encode(w, fmt, bias)
    assert codes.dtype == np.uint8
    assert af.decode(codes, fmt, bias).tolist() == expected
    assert not np.signbit(af.decode(codes, fmt, bias)[codes == 0]).any()


def test_edgebert_values() -> None:
    """AF<8,3> by hand: s eee mmmm."""
    fmt = AdaptivFloatFormat()
    assert (str(fmt), fmt.mantissa_bits, fmt.exponent_span) == ("AF<8,3>", 4, 7)
    codes = np.array([0x00, 0x80, 0x01, 0x81, 0x10, 0x7F, 0xFF])
    expected = [0, 0, 17 / 16, -17 / 16, 2, 248, -248]
    assert af.decode(codes, fmt, 0).tolist() == expected
    assert [part.tolist() for part in af.fields([0x80, 0x95], fmt)] == [[1, 1], [0, 1], [0, 21]]


@pytest.mark.parametrize("fmt", FORMATS + WIDE, ids=str)
def test_every_code_round_trips(fmt: AdaptivFloatFormat) -> None:
    codes = np.arange(fmt.code_count)
    negative_zero = 1 << (fmt.bits - 1)
    for bias in BIASES:
        table = af.values(fmt, bias)
        back = af.encode(table, fmt, bias)
        assert back.dtype == (np.uint8 if fmt.bits <= 8 else np.uint16)
        assert np.array_equal(back, np.where(codes == negative_zero, 0, codes))
        assert np.unique(table).size == fmt.code_count - 1
        positive = table[1:negative_zero]
        assert (positive[0], positive[-1]) == (fmt.smallest(bias), fmt.largest(bias))
        assert (np.diff(positive) > 0).all()
        assert np.array_equal(table[negative_zero + 1 :], -positive)
        assert np.array_equal(table, table.astype(np.float32))


def interesting(fmt: AdaptivFloatFormat, bias: int) -> NDArray[np.float64]:
    """All values, the middles between them, and the float64 neighbours of both."""
    levels = np.unique(af.values(fmt, bias))
    top = levels[-1]
    middles = (levels[1:] + levels[:-1]) / 2
    points = np.concatenate([levels, middles, [top * 1.01, -2 * top, 1e300, -1e300, 5e-324, -0.0]])
    return np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("bias", [-10, 3])
def test_encode_at_every_threshold(fmt: AdaptivFloatFormat, bias: int) -> None:
    x = interesting(fmt, bias)
    codes = af.encode(x, fmt, bias)
    assert codes.tolist() == [oracle(float(v), fmt, bias) for v in x]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_encode_is_nearest_with_ties_to_the_even_code(fmt: AdaptivFloatFormat) -> None:
    """Against brute force over the table: no rule of the encoder is used."""
    bias = -5
    table = af.values(fmt, bias)
    top = fmt.largest(bias)
    rng = np.random.default_rng(7)
    x = np.concatenate([interesting(fmt, bias), rng.normal(0, top / 4, 500)])
    x = x[np.abs(x) <= 2 * top]  # the distances below stay exact
    distance = np.abs(x[:, None] - table[None, :])
    # Of equally near codes: the even ones first, and of the two zeros the positive.
    order = np.argsort(np.arange(fmt.code_count) % 2, kind="stable")
    nearest = order[np.argmin(distance[:, order], axis=1)]
    assert np.array_equal(af.encode(x, fmt, bias), nearest)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), formats, st.integers(-20, 20))
def test_encode_any_float(w: float, fmt: AdaptivFloatFormat, bias: int) -> None:
    assert int(af.encode(w, fmt, bias)) == oracle(w, fmt, bias)


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.integers(1, 20), elements=st.floats(-1000, 1000, width=32)),
    formats,
)
def test_own_bias(w: NDArray[np.float32], fmt: AdaptivFloatFormat) -> None:
    bias = af.choose_bias(w, fmt)
    quantised = af.decode(af.encode(w, fmt, bias), fmt, bias)
    peak = float(np.abs(w).max())
    if peak >= 2.0 ** (af.MIN_BIAS + fmt.exponent_span):
        assert 2.0 ** (bias + fmt.exponent_span) <= peak < 2.0 ** (bias + fmt.exponent_span + 1)
    else:
        assert bias == af.MIN_BIAS
    assert af.choose_bias(quantised, fmt) == bias
    again = af.decode(af.encode(quantised, fmt, bias), fmt, bias)
    assert np.array_equal(again, quantised)
    # Half a unit of the value's own exponent, or half the smallest value; saturation adds less
    # than one unit of the top.
    unit = 2.0**-fmt.mantissa_bits
    size = np.abs(w.astype(np.float64))
    bound = np.maximum(size * unit / 2, fmt.smallest(bias) / 2)
    saturated = size > fmt.largest(bias)
    bound[saturated] = 2.0 ** (bias + fmt.exponent_span) * unit
    assert (np.abs(quantised - w) <= bound).all()


def test_bias_beside_powers_of_two() -> None:
    fmt = AdaptivFloatFormat(8, 3)
    for k in (-3, 0, 4):
        power = 2.0**k
        assert af.choose_bias([power], fmt) == k - 7
        assert af.choose_bias([0.0, -np.nextafter(power, 0)], fmt) == k - 8
    assert af.choose_bias([], fmt) == af.choose_bias([0.0], fmt) == af.MIN_BIAS
    assert af.choose_bias([1e-300], fmt) == af.MIN_BIAS
    assert not af.encode([0.0, 1e-300], fmt, af.MIN_BIAS).any()


def test_shapes_are_kept() -> None:
    fmt = AdaptivFloatFormat(6, 2)
    for shape in [(), (0,), (2, 0, 3), (2, 3, 4)]:
        codes = af.encode(np.ones(shape), fmt, -2)
        assert isinstance(codes, np.ndarray) and codes.shape == shape
        real = af.decode(codes, fmt, -2)
        assert isinstance(real, np.ndarray) and real.shape == shape and (real == 1).all()


@pytest.mark.parametrize(
    ("bits", "exponent_bits", "count"), [(2, 1, 1), (2, 0, 2), (17, 3, 1), (8, 0, 1), (8, 7, 1)]
)
def test_impossible_formats(bits: int, exponent_bits: int, count: int) -> None:
    with pytest.raises(InputError) as refused:
        AdaptivFloatFormat(bits, exponent_bits)
    assert len(refused.value.problems) == count
    assert all(p.remedy for p in refused.value.problems)


def test_refusals() -> None:
    fmt = AdaptivFloatFormat(4, 2)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="NaN or infinity"):
            af.encode([0.0, bad], fmt, 0)
        with pytest.raises(InputError, match="NaN or infinity"):
            af.choose_bias([bad], fmt)
        with pytest.raises(InputError, match="NaN or infinity"):
            calibrate_bias([[1.0], [bad]], fmt, "percentile")
    for bias in (af.MIN_BIAS - 1, af.MAX_BIAS + 1):
        with pytest.raises(InputError, match="bias"):
            af.encode([1.0], fmt, bias)
        with pytest.raises(InputError, match="bias"):
            af.decode([1], fmt, bias)
    with pytest.raises(InputError, match="bias"):
        af.choose_bias([1e30], fmt)
    for codes in ([16], [-1]):
        with pytest.raises(InputError, match="wider than the 4 bits"):
            af.decode(codes, fmt, 0)
    with pytest.raises(InputError, match="integer codes"):
        af.decode([1.0], fmt, 0)


def test_bias_register() -> None:
    register = BiasRegister()
    assert (register.lowest, register.highest) == (-10, -3)
    assert [register.field(b) for b in range(-10, -2)] == list(range(8))
    assert [register.bias(f) for f in range(8)] == list(range(-10, -2))
    assert (register.fit(-40), register.fit(-10), register.fit(-3)) == (-10, -10, -3)
    for bias in (-11, -2):
        with pytest.raises(InputError, match="outside the register"):
            register.field(bias)
    with pytest.raises(InputError, match="outside the register"):
        register.fit(-2)
    for content in (-1, 8):
        with pytest.raises(InputError):
            register.bias(content)
    for offset, bits in ((-10, 0), (-10, 9), (-97, 3), (60, 3)):
        with pytest.raises(InputError):
            BiasRegister(offset, bits)


def test_calibration_methods() -> None:
    rng = np.random.default_rng(1)
    fmt = AdaptivFloatFormat(6, 2)
    batches = [rng.normal(size=5000).clip(-3.9, 3.9), np.r_[rng.normal(size=5000), 40.0, 0.0]]
    everything = np.concatenate(batches)
    assert calibrate_bias(batches, fmt, "max") == af.choose_bias(everything, fmt) == 5 - 3
    assert calibrate_bias(batches, fmt, "percentile") == af.choose_bias([3.9], fmt) == -2
    assert calibrate_bias(batches, fmt, "percentile", percentile=100) == 2
    errors = {
        b: np.square(af.decode(af.encode(everything, fmt, b), fmt, b) - everything).sum()
        for b in range(-8, 6)
    }
    assert calibrate_bias(batches, fmt, "mse") == min(errors, key=lambda b: (errors[b], -b))


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 50), elements=st.floats(-100, 100)),
    st.integers(1, 100),
    formats,
)
def test_percentile_is_the_order_statistic(
    x: NDArray[np.float64], percentile: int, fmt: AdaptivFloatFormat
) -> None:
    size = np.sort(np.abs(x[x != 0]))
    rank = -(-percentile * size.size // 100) - 1
    expected = af.bias_of_peak(float(size[rank]), fmt) if size.size else af.MIN_BIAS
    # A little below, so that the product with the count does not land above the rank.
    share = percentile - 1e-9
    assert calibrate_bias([x[:3], x[3:]], fmt, "percentile", percentile=share) == expected


def test_calibration_with_a_register_and_refusals() -> None:
    fmt, register = AdaptivFloatFormat(), BiasRegister()
    assert calibrate_bias([[0.0]], fmt, register=register) == -10
    assert calibrate_bias([[0.0]], fmt) == af.MIN_BIAS
    assert calibrate_bias([[31.0]], fmt, "max", register=register) == -3
    with pytest.raises(InputError, match="outside the register"):
        calibrate_bias([[32.0]], fmt, "max", register=register)
    with pytest.raises(InputError) as refused:
        calibrate_bias([], fmt, "median", percentile=0)  # type: ignore[arg-type]
    assert len(refused.value.problems) == 3
