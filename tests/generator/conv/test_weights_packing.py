"""Weight words and requantisation constants against their definitions, weight by weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from conv_chains import chain
from conv_walks import Definition
from numpy.typing import NDArray
from random_networks import Family, random_network

from shiftforge.errors import InputError
from shiftforge.generator.conv.array import TAPS, ArrayShape, tile_layer
from shiftforge.generator.conv.options import UNITS
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.generator.conv.weights import (
    REST_BEAT,
    ParameterLayout,
    ShiftRanges,
    negative_terms,
    pack_parameters,
    pack_weights,
    parameter_bytes,
    parameter_content,
    parameter_layout,
    shift_ranges,
    weight_beats,
    weight_word_bytes,
    weight_words,
)
from shiftforge.generator.conv.word_layout import word_counts
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat

Row = tuple[int, int | None, int]
Counts = Sequence[tuple[int, int]]
# Bytes a cycle: of an Arria 10 board, and of the DE10-Nano.
FAST, SLOW = 95.5, 0.7 * 3.2e9 / 120e6
NETWORK = random_network(21, layers=20)


def defined(layer: Layer, array: ArrayShape) -> dict[tuple[int, int, int, int], int]:
    """Weight at (group, word, tap, unit), where the array looks for it."""
    found = {}
    for index, value in np.ndenumerate(layer.weight):
        o = index[0]
        group, unit = divmod(o, array.units)
        if layer.mode == "pointwise":
            word, tap = divmod(index[1], min(TAPS, array.units))
        elif layer.mode == "depthwise":
            group, word, tap = 0, group, 3 * index[1] + index[2]
        else:
            word, tap = index[1], 3 * index[2] + index[3]
        found[group, word, tap, unit] = int(value)
    return found


@pytest.mark.parametrize("units", UNITS)
def test_weight_words_hold_each_weight_at_its_place(units: int) -> None:
    array = ArrayShape(units, 7)
    modes = set()
    for layer in schedule(NETWORK).layers:
        words = weight_words(layer, array)
        assert words.shape[2:] == (TAPS, units)
        expected = np.zeros_like(words)
        for place, value in defined(layer, array).items():
            expected[place] = value
        assert np.array_equal(words, expected)
        modes.add(layer.mode)
    assert modes == {"pointwise", "depthwise", "standard"}


def nibble(code: int) -> int:
    magnitude = 1 << ((code & 7) - 1) if code & 7 else 0
    return -magnitude if code & 8 else magnitude


def codes_of(
    layers: Sequence[Layer], array: ArrayShape, counts: Sequence[Counts] | None = None,
    rate: float = FAST,
) -> NDArray[np.uint8]:  # fmt: skip
    """Codes (n, 9 taps * units) of the packed words, put together as the feeder does: its beats,
    and its part of a rest. rate: of the memory, bytes a cycle."""
    if counts is None:
        counts = [
            word_counts(layer, tiling, array)
            for layer in layers for tiling in [tile_layer(layer, array)]
        ]  # fmt: skip
    size, found = weight_word_bytes(array), weight_beats(array, rate)
    beats, rests = pack_weights(tuple(layers), counts, array, found)
    main, lanes = found.main, TAPS * array.units
    assert main & (main - 1) == 0 and 0 <= size - lanes * array.code_bits // 8 < 8
    count = len(beats) // (found.count * main)
    assert len(beats) == count * found.count * main
    own = [beats[at : at + main] for at in range(0, len(beats), main)]
    words = [b"".join(own[n : n + found.count]) for n in range(0, len(own), found.count)]
    first = np.array([list(word) for word in words], np.uint8)
    assert found.frame_bytes(count) == len(beats) + len(rests) * (found.rest > 0)
    if found.rest:
        assert main + found.rest == size
        assert len(rests) == -(-count // found.share) * REST_BEAT
        parts = np.frombuffer(rests, np.uint8).reshape(-1, found.rest)
        assert not parts[count:].any()
        packed = np.concatenate([first, parts[:count]], axis=1)
    else:
        assert rests == bytes(REST_BEAT) and not first[:, size:].any()
        packed = first[:, :size]
    if array.code_bits == 8:
        return packed
    codes = np.concatenate([packed & 15, packed >> 4], axis=1)
    assert not codes[:, lanes:].any()
    return codes[:, :lanes]


def wanted_values(layer: Layer, array: ArrayShape) -> list[list[int]]:
    """Values of a layer's words in the order of their use, two terms of a value added."""
    words = defined(layer, array)
    found = []
    for group, word, second in Definition(layer, array).weights():
        if layer.mode == "depthwise":
            group, word = 0, group
        if second:
            continue
        found.append([
            words.get((group, word, tap, unit), 0)
            for tap in range(TAPS) for unit in range(array.units)
        ])  # fmt: skip
    return found


@pytest.mark.parametrize("rate", [FAST, SLOW])
@pytest.mark.parametrize("family", ["one-term", "two-term", "mixed"])
@pytest.mark.parametrize("units", UNITS)
def test_a_word_and_the_second_one_behind_it_hold_the_terms(
    units: int, family: Family, rate: float
) -> None:
    array, twice = ArrayShape(units, 7), 0
    for layer in schedule(random_network(22, layers=20, family=family)).layers:
        codes = codes_of([layer], array, rate=rate).tolist()
        found: list[list[int]] = []
        for own, (_, _, second) in zip(codes, Definition(layer, array).weights(), strict=True):
            terms = [nibble(code) for code in own]
            if second:
                # A term behind none would be one that the first word could hold.
                assert all(a != 0 for a, b in zip(found[-1], terms, strict=True) if b)
                found[-1] = [a + b for a, b in zip(found[-1], terms, strict=True)]
                twice += 1
            else:
                found.append(terms)
        assert found == wanted_values(layer, array)
    assert (twice > 0) == (family != "one-term")


@pytest.mark.parametrize(
    ("units", "rate", "main", "count", "rest"),
    [(8, FAST, 64, 1, 0), (16, FAST, 64, 1, 8), (24, FAST, 128, 1, 0), (32, FAST, 128, 1, 16),
     (48, FAST, 256, 1, 0), (8, SLOW, 16, 3, 0), (16, SLOW, 64, 1, 8), (24, SLOW, 32, 4, 0),
     (32, SLOW, 128, 1, 16), (48, SLOW, 32, 7, 0), (8, 30.0, 32, 2, 0), (8, 1.0, 16, 3, 0)],
)  # fmt: skip
def test_a_word_lies_in_narrow_beats_where_the_memory_takes_as_long(
    units: int, rate: float, main: int, count: int, rest: int
) -> None:
    found = weight_beats(ArrayShape(units, 7), rate)
    assert (found.main, found.count, found.rest) == (main, count, rest)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("units", UNITS)
def test_no_other_beats_are_narrower_and_as_fast(units: int, bits: int) -> None:
    array = ArrayShape(units, 7, unit="multiplier", weight_bits=bits)
    size, counts = weight_word_bytes(array), set()
    for rate in np.geomspace(0.5, 500, 200):
        found, wide = weight_beats(array, rate), weight_beats(array, 1e9)
        most = max(1, wide.word / rate)
        assert found.cycles(rate) == max(found.count, found.word / rate) <= most
        counts.add(found.count)
        for main in (16, 32, 64):
            beats = -(-size // main)
            if main < found.main:
                assert max(beats, beats * main / rate) > most
        if found.count > 1:
            assert (found.count - 1) * found.main == found.held < size <= found.word
        else:
            assert found == wide
    assert 1 in counts


def test_words_of_layers_follow_each_other() -> None:
    layers, array = schedule(NETWORK).layers, ArrayShape(16, 7)
    one_by_one = np.concatenate([codes_of([layer], array) for layer in layers])
    assert np.array_equal(codes_of(layers, array), one_by_one)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("units", UNITS)
def test_integers_are_themselves(units: int, bits: int) -> None:
    model = random_model(3, ModelOptions(weight_format=IntFormat(bits)))
    layers, array = (
        schedule(model).layers,
        ArrayShape(units, 7, unit="multiplier", weight_bits=bits),
    )
    codes = codes_of(layers, array).astype(np.int64)
    values = np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes)
    expected = [own for layer in layers for own in wanted_values(layer, array)]
    assert values.tolist() == expected


def test_weights_that_the_array_cannot_hold_are_refused() -> None:
    integers = schedule(random_model(3, ModelOptions(weight_format=IntFormat(8)))).layers
    array = ArrayShape(16, 7)
    counts = [((tile_layer(own, array).weight_words, 0),) * tile_layer(own, array).out_groups
              for own in integers]  # fmt: skip
    with pytest.raises(InputError, match="no values of SHIFT"):
        codes_of(integers, array, counts)


@pytest.mark.parametrize(
    ("change", "told"),
    [((-1, 0), "weights behind the 2 words of group 1"),
     ((0, -1), "weights of two terms behind the 1 second words of group 1")],
)  # fmt: skip
def test_weights_that_no_word_holds_are_refused(change: tuple[int, int], told: str) -> None:
    model = chain({"out": 40, "kernel": 1}, channels=27, height=2, width=2)
    (layer,) = schedule(model).layers
    weight = np.full_like(layer.weight, 4)
    weight[16:32, 9:18] = 5
    weight[32:, 9:] = 0
    layer, array = replace(layer, weight=weight), ArrayShape(16, 7)
    counts = [(3, 0), (3, 2), (1, 0)]
    assert len(codes_of([layer], array, [counts])) == 9
    counts[1] = (3 + change[0], 2 + change[1])
    with pytest.raises(ValueError, match=told):
        codes_of([layer], array, [counts])


TOGETHER, APART = ParameterLayout(False, 26, True), ParameterLayout(False, 32, False)


@pytest.mark.parametrize(
    ("layout", "content"), [(TOGETHER, 4), (APART, 5), (ParameterLayout(True, 32, False), 9)]
)
@pytest.mark.parametrize("units", UNITS)
def test_a_parameter_record_is_a_power_of_two(
    units: int, layout: ParameterLayout, content: int
) -> None:
    size = parameter_bytes(ArrayShape(units, 7), layout)
    assert parameter_content(ArrayShape(units, 7), layout) == units * content
    assert size & (size - 1) == 0 and units * content <= size < 2 * units * content


@pytest.mark.parametrize(
    ("acc", "ranges", "bits"),
    [
        (20, ShiftRanges(3, 18, 0), 20),
        (28, ShiftRanges(1, 16, 0), 28),
        (29, ShiftRanges(1, 16, 0), None),
        (22, ShiftRanges(1, 16, 0, 6), 28),
        (23, ShiftRanges(1, 16, 0, 6), None),
        (32, ShiftRanges(4, 4, 0), 32),
        (32, ShiftRanges(4, 5, 0), None),
        (20, ShiftRanges(0, 9, 8), None),
    ],
)
def test_bias_and_shift_share_a_word_where_both_fit(
    acc: int, ranges: ShiftRanges, bits: int | None
) -> None:
    own = ParameterLayout(False, bits or 32, bits is not None)
    assert parameter_layout(False, ranges, acc) == own
    assert parameter_layout(True, ranges, acc) == ParameterLayout(True, 32, False)


def layout_of(layers: tuple[Layer, ...], multiplier: bool) -> ParameterLayout:
    acc = max(int(own.conv.acc_bits.max()) for own in layers)
    return parameter_layout(multiplier, shift_ranges(layers, multiplier), acc)


def unpacked(
    layers: tuple[Layer, ...], array: ArrayShape, layout: ParameterLayout
) -> Iterator[Row]:
    """(bias, multiplier or None, shift) of every channel of every group, in order."""
    size, units, multiplier = parameter_bytes(array, layout), array.units, layout.multiplier
    table = np.frombuffer(pack_parameters(layers, array, layout), np.uint8).reshape(-1, size)
    for record in table:
        if layout.shared:
            assert not record[4 * units :].any()
            for word in record[: 4 * units].view(np.uint32).tolist():
                bias, sign = word % (1 << layout.bias_bits), 1 << layout.bias_bits - 1
                yield (bias ^ sign) - sign, None, word >> layout.bias_bits
            continue
        ints = record[: units * (8 if multiplier else 4)].view(np.int32)
        rest = record[units * (8 if multiplier else 4) :]
        assert not rest[units:].any()
        for u in range(units):
            factor = int(ints[units + u]) if multiplier else None
            yield int(ints[u]), factor, int(rest[u : u + 1].view(np.int8)[0])


def negative_lanes(layer: Layer, array: ArrayShape) -> list[int]:
    """Of each output channel: terms below zero in all words that its unit sees, padding too."""
    units, groups = array.units, -(-layer.weight.shape[0] // array.units)
    found = [0] * (groups * units)
    words = Definition(layer, array).weights()
    for own, (group, _, _) in zip(codes_of([layer], array), words, strict=True):
        for unit in range(units):
            found[group * units + unit] += sum(nibble(int(c)) < 0 for c in own[unit::units])
    outputs = layer.weight.shape[0]
    assert not any(found[outputs:])
    return found[:outputs]


@pytest.mark.parametrize("family", ["one-term", "two-term", "mixed"])
@pytest.mark.parametrize("seed", range(4))
def test_negative_terms_are_counted_one_by_one(seed: int, family: Family) -> None:
    """What the array's complements lack: -x is ~x + 1, in every lane that holds a negative term."""
    array = ArrayShape(32 if seed % 2 else 16, 7)
    for layer in schedule(random_network(seed, layers=6, family=family)).layers:
        assert negative_terms(layer, array).tolist() == negative_lanes(layer, array)
        assert not negative_terms(layer, ArrayShape(16, 7, unit="multiplier")).any()


def test_every_code_lacks_its_negative_terms() -> None:
    """Over all pairs of nibbles: sums with complements, and the ones put back."""
    x = 200
    for first in range(16):
        for second in range(16):
            exact = x * (nibble(first) + nibble(second))
            parts = [x * abs(nibble(c)) for c in (first, second)]
            below = [bool(nibble(c) < 0) for c in (first, second)]
            flipped = sum(~p if b else p for p, b in zip(parts, below, strict=True))
            assert flipped + sum(below) == exact
            # A code of zero with a sign is no negative term.
            assert sum(below) == (first > 8) + (second > 8)


@pytest.mark.parametrize("bias", [2**31 - 1, 2**31 - 2, -(2**31), 0])
def test_a_bias_at_the_limits_wraps(bias: int) -> None:
    """The sum wraps back: the array's sum is as much too small."""
    layers = schedule(random_network(3, layers=4)).layers
    conv = replace(layers[0].conv, bias=np.full_like(layers[0].conv.bias, bias))
    layers = (replace(layers[0], conv=conv), *layers[1:])
    array = ArrayShape(16, 7)
    missing = negative_terms(layers[0], array)
    assert missing.any()
    layout, ranges = layout_of(layers, False), shift_ranges(layers, False)
    rows = list(unpacked(layers, array, layout))
    for o, lacks in enumerate(missing.tolist()):
        held, _, shift = rows[o]
        half = (1 << (shift + ranges.right_least)) >> 1 if ranges.folded else 0
        assert -(2**31) <= held < 2**31
        assert (held - half - ((lacks + bias) << ranges.raised)) % 2**layout.bias_bits == 0


@pytest.mark.parametrize("kind", ["together", "apart", "multiplier"])
@pytest.mark.parametrize("seed", [8, 11, 12])
def test_parameters_are_rows_of_a_group(seed: int, kind: str) -> None:
    multiplier = kind == "multiplier"
    model = random_network(seed, multiplier_requant=multiplier, layers=14)
    layers, array = schedule(model).layers, ArrayShape(16, 7)
    ranges, layout = shift_ranges(layers, multiplier), layout_of(layers, multiplier)
    if kind == "apart":
        layout = APART
    assert layout.shared == (kind == "together")
    rows = unpacked(layers, array, layout)
    rights = []
    for layer in layers:
        conv, missing = layer.conv, negative_terms(layer, array)
        for o in range(-(-len(conv.bias) // 16) * 16):
            own = next(rows)
            if o >= len(conv.bias):
                assert not any(own)
                continue
            r = layer.conv_output.grid.exponent - layer.input.grid.exponent - int(conv.z[o])
            bias = int(conv.bias[o]) + int(missing[o])
            if conv.multiplier is not None and conv.shift is not None:
                assert own == (bias, conv.multiplier[o], conv.shift[o] - ranges.right_least)
                rights.append(int(conv.shift[o]))
                continue
            # Eight places of left shift take every sum but 0 past all 8-bit codes.
            places = r if layer.direct else max(r, -8)
            rights.append(places)
            if ranges.folded:
                own_right = places + ranges.raised
                assert own_right >= ranges.right_least >= 1
                exact = (bias << ranges.raised) + (1 << (own_right - 1))
                assert (own[0] - exact) % 2**layout.bias_bits == 0
                assert own[2] == own_right - ranges.right_least
            elif multiplier:
                assert own == (bias, 1 << max(-places, 0), max(places, 0))
            else:
                assert own == (bias, None, places)
    assert next(rows, None) is None
    assert ranges.right_most == max(rights) + ranges.raised
    assert ranges.left_most == (0 if ranges.folded else max(0, -min(rights)))
    assert ranges.right_least == (min(rights) + ranges.raised if ranges.folded else 0)
    assert ranges.raised == (max(0, 1 - min(rights)) if ranges.folded else 0)


def test_sums_are_raised_where_some_channel_does_not_go_right() -> None:
    """Unless they leave 32 bits with it."""
    found = set()
    for seed in range(40):
        layers = schedule(random_network(seed, layers=2)).layers
        ranges = shift_ranges(layers, False)
        found.add(ranges.raised > 0)
        assert ranges.folded and 1 <= ranges.right_least <= ranges.right_most
        assert ranges.right_least == 1 or not ranges.raised
        wide = tuple(
            replace(own, conv=replace(own.conv, acc_bits=np.full_like(own.conv.acc_bits, 32)))
            for own in layers
        )
        assert shift_ranges(wide, False).folded == (ranges.raised == 0)
        assert not shift_ranges(layers, True).folded
    assert found == {True, False}
