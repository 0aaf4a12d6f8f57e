"""Each scheme's levels against its published set, its costs, and what a wrong set does."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scheme_cases import weights

from shiftforge.errors import InputError
from shiftforge.quant.formats.encode import choose_exponent, encode, format_levels
from shiftforge.quant.formats.shift import levels as format_shift_levels
from shiftforge.quant.graph.types import IntFormat, ShiftFormat
from shiftforge.quant.schemes.apot import ApotQuantiser, apot_magnitudes
from shiftforge.quant.schemes.base import Codes, Scheme, WeightQuantiser
from shiftforge.quant.schemes.catalogue import NAMES, by_name
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser
from shiftforge.quant.schemes.inq import Inq, InqQuantiser, portion_at
from shiftforge.quant.schemes.levels import ScaledIntegers, best_scale, signed_digits
from shiftforge.quant.schemes.shift import Shift, shift_levels
from shiftforge.quant.schemes.uniform import Uniform


def signed(magnitudes: list[float]) -> list[float]:
    return sorted({s * m for s in (-1.0, 1.0) for m in magnitudes})


def apot(sets: list[list[int]]) -> list[float]:
    """Published form: sums of one element of {0, 2**-e} of each set, over the largest sum."""
    sums = {sum(p) for p in product(*[[0.0, *(2.0**-e for e in own)] for own in sets])}
    return signed([s / max(sums) for s in sums])


# Published levels, in units of the scheme's own scale of the largest level where it has one.
SEVEN = [0.0, *(2.0**e for e in range(7))]
PUBLISHED: list[tuple[Scheme, list[float]]] = [
    (Shift(4, 1), signed(SEVEN)),
    (Shift(3, 1), signed([0, 1, 2, 4])),
    (Shift(4, 1, rounding="log"), signed(SEVEN)),
    (Uniform(4, narrow=False), [float(i) for i in range(-8, 8)]),
    (Uniform(4), [float(i) for i in range(-7, 8)]),
    (Uniform(2), [-1.0, 0.0, 1.0]),
    (by_name("apot", bits=3), apot([[1, 2, 3]])),
    (by_name("apot", bits=4), apot([[1, 2, 4], [3]])),
    (by_name("apot", bits=5), apot([[1, 3, 5], [2, 4, 6]])),
    (by_name("apot", bits=6), apot([[1, 3, 6], [2, 4, 7], [5]])),
    (Inq(5), signed([0, *(2.0**e for e in range(8))])),
    (Inq(4), signed([0, 1, 2, 4, 8])),
    (by_name("deepshift-q", bits=5), signed([0, *(2.0**e for e in range(15))])),
    (by_name("deepshift-ps", bits=4), signed(SEVEN)),
    (by_name("dorefa", bits=2), [-3.0, -1.0, 1.0, 3.0]),
    (by_name("dorefa", bits=1), [-1.0, 1.0]),
    (by_name("twn"), [-1.0, 0.0, 1.0]),
    (by_name("binaryconnect"), [-1.0, 1.0]),
    (by_name("xnor"), [-1.0, 1.0]),
]


def check_levels(quantiser: WeightQuantiser, published: list[float]) -> None:
    """Both sets over their largest magnitude (scales differ in convention) must be the same."""
    found = quantiser.levels() / np.abs(quantiser.levels()).max()
    wanted = np.array(published) / np.abs(published).max()
    assert found.shape == wanted.shape and np.allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scheme", "published"), PUBLISHED, ids=lambda v: getattr(v, "name", ""))
def test_levels_are_the_published_ones(scheme: Scheme, published: list[float]) -> None:
    check_levels(scheme.weight_quantiser(weights(), "layer"), published)


class OffByOne(ApotQuantiser):
    """A planted fault: one level of the set is one unit away."""

    def integer_levels(self) -> NDArray[np.int64]:
        levels = super().integer_levels()
        levels[-2] += 1
        return levels


def test_a_level_off_by_one_is_caught() -> None:
    scheme = by_name("apot", bits=4)
    with pytest.raises(AssertionError):
        check_levels(OffByOne(scheme, "layer"), apot([[1, 2, 4], [3]]))  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("terms", [1, 2])
def test_shift_levels_are_those_of_the_format(bits: int, terms: int) -> None:
    wanted = format_shift_levels(ShiftFormat(bits, terms, "S1" if terms == 1 else "S2"))
    assert np.array_equal(shift_levels(bits, terms), wanted)


def test_b_bits_hold_no_more_values_than_codes() -> None:
    """The paper's Eq. 1 lists 2**b + 1 values; sign, zero and 2**(b-1) - 1 exponents fit b bits."""
    for bits in (2, 3, 4, 5):
        assert len(shift_levels(bits, 1)) == 2**bits - 1


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_a_level_times_the_scale(name: str) -> None:
    torch.manual_seed(0)
    scheme = by_name(name)
    quantiser = scheme.weight_quantiser(weights(), "layer")
    if isinstance(quantiser, InqQuantiser):
        quantiser.fix(weights(), 1.0)
    assert isinstance(quantiser, ScaledIntegers)
    with torch.no_grad():
        value = quantiser(weights())
        units = (value / quantiser.scale(weights())).double().numpy()
    assert np.isin(np.round(units, 4), np.round(quantiser.levels(), 4)).all()
    assert value.shape == weights().shape
    # In training a stochastic quantiser draws; its integers are those of evaluation.
    quantiser.eval()
    with torch.no_grad():
        exact = quantiser.integers(weights()) * quantiser.scale(weights())
        assert torch.equal(quantiser(weights()), exact)


CONVERTIBLE = [
    (Shift(4, 1), "S1"), (Shift(4, 2), "S2"), (Shift(3, 2), "S2"), (DTSSQ(), "SEL"),
    (by_name("flightnn"), "SEL"), (Uniform(4), "int"), (Uniform(8), "int"), (Inq(4), "S1"),
    (by_name("apot", bits=4), "S2"), (by_name("apot", bits=5), "S2"),
    (by_name("apot", bits=6), "int"), (by_name("twn"), "S1"), (by_name("bwn"), "S1"),
    (by_name("binaryconnect"), "S1"), (by_name("deepshift-q", bits=4), "S1"),
    (by_name("deepshift-ps", bits=4), "S1"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "kind"), CONVERTIBLE, ids=lambda v: getattr(v, "name", v))
def test_codes_are_the_quantised_weights(scheme: Scheme, kind: str) -> None:
    quantiser = scheme.weight_quantiser(weights(), "layer").eval()
    if isinstance(quantiser, InqQuantiser):
        quantiser.fix(weights(), 1.0)
    codes = quantiser.codes(weights())
    assert isinstance(codes, Codes)
    assert codes.format.kind == "int" if kind == "int" else codes.format.mode == kind  # type: ignore[union-attr]
    assert np.isin(codes.weight, format_levels(codes.format)).all()
    real = np.ldexp(codes.weight.astype(np.float32), codes.exponent.reshape(-1, 1, 1, 1))
    with torch.no_grad():
        assert np.array_equal(quantiser(weights()).numpy(), real)


REASONS = [
    (Shift(5, 1), "3 or 4 bits"), (Shift(4, 1, scale="real"), "power-of-two"),
    (DTSSQ(scale="real"), "power-of-two"), (Uniform(8, scale="real"), "power-of-two"),
    (Uniform(4, narrow=False), "narrow"), (Inq(5), "8 exponents"),
    (by_name("deepshift-q", bits=5), "15 exponents"), (by_name("dorefa", bits=4), "odd multiples"),
    (by_name("apot", scale="real"), "power-of-two"), (by_name("twn", scale="real"), "power-of-two"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "reason"), REASONS, ids=lambda v: getattr(v, "name", ""))
def test_a_scheme_that_does_not_fit_says_why(scheme: Scheme, reason: str) -> None:
    codes = scheme.weight_quantiser(weights(), "layer").codes(weights())
    assert isinstance(codes, str) and reason in codes


def test_one_and_two_terms_are_what_the_formats_encode() -> None:
    w = weights((5, 7, 3, 3), 3)
    for terms, rounding in product((1, 2), ("linear", "log")):
        fmt = ShiftFormat(4, terms, "S1" if terms == 1 else "S2")
        z = choose_exponent(w.numpy(), format_levels(fmt))
        wanted = encode(w.numpy(), z, fmt, "nearest" if rounding == "linear" else "log")
        quantiser = Shift(4, terms, rounding=rounding).weight_quantiser(w, "layer")  # type: ignore[arg-type]
        codes = quantiser.codes(w)
        assert isinstance(codes, Codes)
        assert np.array_equal(codes.weight, wanted) and np.array_equal(codes.exponent, z)


def test_a_real_scale_is_no_worse_than_a_power_of_two() -> None:
    w = weights((8, 16, 3, 3), 1)
    levels = shift_levels(4, 2)
    pow2, real = (best_scale(w, levels, kind, "channel") for kind in ("pow2", "real"))  # type: ignore[arg-type]

    def error(scale: torch.Tensor) -> torch.Tensor:
        v = (w / scale.view(-1, 1, 1, 1)).double().numpy()
        middles = (levels[1:] + levels[:-1]) / 2
        near = torch.from_numpy(levels[np.searchsorted(middles, v)].astype(np.float32))
        return (near * scale.view(-1, 1, 1, 1) - w).square().sum((1, 2, 3))

    assert (error(real) <= error(pow2) * (1 + 1e-6)).all()
    assert bool((real != pow2).any())


def test_signed_digits_are_the_fewest() -> None:
    powers = [s * 2**e for s in (-1, 1) for e in range(9)]
    one = set(powers)
    two = {a + b for a in powers for b in powers} | one
    for n in range(-128, 129):
        count = int(signed_digits(torch.tensor(n)))
        assert (count == 0) == (n == 0)
        assert (count == 1) == (n in one)
        assert (count <= 2) == (n in two or n == 0)


def test_terms_and_bits_are_counted() -> None:
    scheme = DTSSQ(threshold_start=4.0)
    quantiser = scheme.weight_quantiser(weights(), "layer")
    assert isinstance(quantiser, DtssqQuantiser)
    share = quantiser.second_fraction(weights())
    first, second, square = quantiser.parts(weights())
    by_hand = ((second != 0) & (square > 4.0)).double().mean()
    assert 0 < share < 1 and share == pytest.approx(float(by_hand))
    assert quantiser.bits_per_weight(weights()) == pytest.approx(5 + 4 * share)
    counted = (first != 0).double().mean() + by_hand
    # Two terms that sum to one power of two (2**k - 2**(k-1)) count as the one that is stored.
    assert quantiser.shifts_per_weight(weights()) <= float(counted)
    assert Uniform(5).weight_quantiser(weights(), "l").adds_per_weight(weights()) == 4
    assert by_name("twn").weight_quantiser(weights(), "l").shifts_per_weight(weights()) == 0


def test_inq_follows_its_published_range_and_schedule() -> None:
    w = torch.tensor([[0.9, -0.3, 0.04], [0.001, 0.5, -0.07]])
    quantiser = Inq(5).weight_quantiser(w, "layer")
    assert isinstance(quantiser, InqQuantiser)
    assert int(quantiser.top) == 0  # floor(log2(4 * 0.9 / 3)), and the lowest is 0 + 1 - 8
    quantiser.fix(w, 0.5)
    assert quantiser.fixed.tolist() == [[True, True, False], [False, True, False]]
    # 0.9 is nearer to 1 than to 1/2; -0.3 to -1/4.
    assert quantiser(w)[quantiser.fixed].tolist() == [1.0, -0.25, 0.5]
    quantiser.fix(w * 2, 1.0)  # those fixed stay where they are
    assert quantiser(w)[0, 0] == 1.0 and bool(quantiser.fixed.all())
    assert [portion_at((0.3, 0.6, 0.8, 1.0), e, 8) for e in range(8)] == [
        0.3, 0.3, 0.6, 0.6, 0.8, 0.8, 1.0, 1.0,
    ]  # fmt: skip
    assert portion_at((0.3, 0.6, 0.8, 1.0), 0, 1) == 1.0


def test_six_bit_apot_needs_three_terms() -> None:
    top = apot_magnitudes(6)
    assert (
        int(signed_digits(torch.from_numpy(top)).max()) == 3 and top.max() <= IntFormat(8).bits * 16
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shift(6), lambda: Shift(4, 3), lambda: Uniform(9), lambda: DTSSQ(tau=0.0),
        lambda: DTSSQ(target=1.5), lambda: Inq(5, portions=(0.5, 0.4)), lambda: Inq(8),
        lambda: by_name("apot", bits=2), lambda: by_name("nonesuch"),
        lambda: by_name("twn", bits=4), lambda: by_name("int", activation_bits=9),
        lambda: by_name("xnor", activation_bits=8),
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused(make: object) -> None:
    with pytest.raises(InputError):
        make()  # type: ignore[operator]
