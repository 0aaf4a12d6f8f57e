"""SHIFT<b>: values, codes, canonical form and storage modes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import InputError
from shiftforge.quant.formats import packing, shift
from shiftforge.quant.graph.types import ShiftFormat

FORMATS = [
    ShiftFormat(bits, terms, mode)
    for bits in (3, 4)
    for terms in (1, 2)
    for mode in ("S1", "S2", "SEL")
    if not (mode == "S1" and terms == 2)
]


def test_one_term_code_table() -> None:
    assert shift.term_values(ShiftFormat(4, 1)).tolist() == [
        0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64,
    ]  # fmt: skip
    assert shift.term_values(ShiftFormat(3, 1)).tolist() == [0, 1, 2, 4, 0, -1, -2, -4]


@pytest.mark.parametrize(
    ("bits", "terms", "count", "top"), [(4, 2, 77, 96), (4, 1, 15, 64), (3, 1, 7, 4), (3, 2, 13, 6)]
)
def test_levels(bits: int, terms: int, count: int, top: int) -> None:
    levels = shift.levels(ShiftFormat(bits, terms))
    assert (len(levels), levels.max(), levels.min()) == (count, top, -top)
    assert levels.tolist() == sorted(set(levels.tolist()))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_pair_of_codes(fmt: ShiftFormat) -> None:
    """The canonical rules, written independently of the tables, over all pairs of codes."""
    values = shift.term_values(fmt).astype(int)
    reserved = shift.reserved_code(fmt)
    accepted: dict[int, tuple[int, int]] = {}
    for a in range(1 << fmt.bits):
        for b in range(1 << fmt.bits):
            first, second = abs(values[a]), abs(values[b])
            canonical = a != reserved and b != reserved and (b == 0 or fmt.terms == 2)
            if b != 0:
                opposite = values[a] * values[b] < 0
                canonical &= second < first and not (opposite and first <= 4 * second)
            pair = np.array([a], np.uint8), np.array([b], np.uint8)
            if not canonical:
                with pytest.raises(InputError):
                    shift.ints_from_codes(*pair, fmt)
                continue
            w = int(shift.ints_from_codes(*pair, fmt)[0])
            assert w == values[a] + values[b]
            assert w not in accepted
            accepted[w] = (a, b)
    assert sorted(accepted) == shift.levels(fmt).tolist()
    ints = np.array(sorted(accepted), np.int8)
    term1, term2 = shift.codes_from_ints(ints, fmt)
    assert [(int(a), int(b)) for a, b in zip(term1, term2, strict=True)] == [
        accepted[int(w)] for w in ints
    ]


def test_rewritten_and_rejected_forms() -> None:
    fmt = ShiftFormat()
    term1, term2 = shift.codes_from_ints(np.array([12, 8, 14, 96, -12]), fmt)
    # 16 - 4 is written 8 + 4; 16 - 8 is one term; 14 = 16 - 2 stays a difference.
    assert list(zip(term1.tolist(), term2.tolist(), strict=True)) == [
        (4, 3), (4, 0), (5, 0b1010), (7, 6), (0b1100, 0b1011),
    ]  # fmt: skip
    with pytest.raises(InputError, match="not canonical"):
        shift.ints_from_codes(np.array([5], np.uint8), np.array([0b1100], np.uint8), fmt)
    with pytest.raises(InputError, match="not canonical"):
        shift.ints_from_codes(np.array([5], np.uint8), np.array([0b1011], np.uint8), fmt)


def test_reserved_and_wide_codes_are_refused() -> None:
    zero = np.zeros(2, np.uint8)
    with pytest.raises(InputError, match="reserved code 0b1000"):
        shift.ints_from_codes(np.array([1, 8], np.uint8), zero, ShiftFormat())
    with pytest.raises(InputError, match="wider than 3 bits"):
        shift.ints_from_codes(np.array([1, 9], np.uint8), zero, ShiftFormat(3, 1))


@pytest.mark.parametrize("w", [11, 97, -97, 128, -129, 300])
def test_values_outside_the_format_are_refused(w: int) -> None:
    with pytest.raises(InputError, match=str(w)):
        shift.codes_from_ints(np.array([0, w]), ShiftFormat())


def test_impossible_formats() -> None:
    assert not any(shift.check_format(f) for f in FORMATS)
    for fmt in (ShiftFormat(5), ShiftFormat(4, 3), ShiftFormat(4, 2, "S1")):
        with pytest.raises(InputError):
            shift.levels(fmt)


def test_term_count() -> None:
    w = np.array([[0, 1], [3, -64]], np.int8)
    assert shift.term_count(w, ShiftFormat()).tolist() == [[0, 1], [2, 1]]


@settings(max_examples=60, deadline=None)
@given(
    fmt=st.sampled_from(FORMATS),
    shape=st.tuples(*[st.integers(1, 6)] * 2, *[st.integers(1, 3)] * 2),
    seed=st.integers(0, 1 << 20),
)
def test_packing_round_trip(fmt: ShiftFormat, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.choice(shift.levels(fmt), size=shape).astype(np.int8)
    w[::2] = rng.choice(shift.levels(ShiftFormat(fmt.bits, 1)), size=w[::2].shape)
    packed = packing.pack(w, fmt)
    assert packed.dtype == np.uint8
    assert packed.size % 4 == 0
    np.testing.assert_array_equal(packing.unpack(packed, fmt, shape), w)


def test_packed_layout_by_hand() -> None:
    w = np.array([[1, -2, 3], [64, 0, 0]], np.int8).reshape(2, 3, 1, 1)
    # Codes: 1 = 1, -2 = 0b1010, 3 = 2 + 1 = (2, 1), 64 = 7.
    plane_a = [0xA1, 0x02, 0, 0, 0x07, 0, 0, 0]
    assert packing.pack(w, ShiftFormat(mode="SEL")).tolist() == [
        *plane_a, 0b100, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0,
    ]  # fmt: skip
    assert packing.pack(w, ShiftFormat(mode="S2")).tolist() == [
        0x01, 0x0A, 0x12, 0, 0x07, 0, 0, 0,
    ]  # fmt: skip
    one = np.where(np.abs(w) == 3, 4, w)
    assert packing.pack(one, ShiftFormat(4, 1, "S1")).tolist() == [
        0xA1, 0x03, 0, 0, 0x07, 0, 0, 0,
    ]  # fmt: skip


def test_bits_per_weight() -> None:
    rng = np.random.default_rng(0)
    shape = (16, 64, 1, 1)
    for fmt, bits in (
        (ShiftFormat(4, 1, "S1"), 4.0),
        (ShiftFormat(4, 2, "S2"), 8.0),
        (ShiftFormat(4, 1, "SEL"), 5.0),
    ):
        w = rng.choice(shift.levels(fmt), size=shape).astype(np.int8)
        assert packing.pack(w, fmt).size * 8 / w.size == bits
    w = np.tile(np.array([3, 1, 1, 3], np.int8), 256).reshape(shape)
    assert packing.pack(w, ShiftFormat(mode="SEL")).size * 8 / w.size == 5 + 4 * 0.5


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_damaged_packing_is_refused(fmt: ShiftFormat) -> None:
    w = np.ones((3, 5, 1, 1), np.int8)
    packed = packing.pack(w, fmt)
    for damaged in (packed[:-4], np.append(packed, np.zeros(4, np.uint8))):
        with pytest.raises(InputError, match="packed codes"):
            packing.unpack(damaged, fmt, w.shape)
    dirty = packed.copy()
    dirty[-1] = 0x10 if fmt.mode != "SEL" else 0x80
    with pytest.raises(InputError, match="padding"):
        packing.unpack(dirty, fmt, w.shape)


def test_mask_without_second_term_is_refused() -> None:
    fmt = ShiftFormat(mode="SEL")
    packed = packing.pack(np.full((1, 1, 1, 1), 3, np.int8), fmt)
    packed[-4] = 0
    with pytest.raises(InputError, match="no second term"):
        packing.unpack(packed, fmt, (1, 1, 1, 1))
