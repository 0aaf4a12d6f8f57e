"""Weight words and requantisation constants against their definitions, weight by weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from random_networks import random_network

from shiftforge.errors import InputError
from shiftforge.generator.conv.array import TAPS, ArrayShape
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.generator.conv.weights import (
    REST_BEAT,
    negative_terms,
    pack_parameters,
    pack_weights,
    parameter_bytes,
    shift_ranges,
    weight_beat_bytes,
    weight_word_bytes,
    weight_words,
)
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, ShiftFormat

Row = tuple[int, int | None, int, int]
NETWORK = random_network(21, layers=20)


def defined(layer: Layer, array: ArrayShape) -> dict[tuple[int, int, int, int], int]:
    """Weight at (group, word, tap, unit), where the array looks for it."""
    found = {}
    for index, value in np.ndenumerate(layer.weight):
        o = index[0]
        group, unit = divmod(o, array.units)
        if layer.mode == "pointwise":
            word, tap = divmod(index[1], TAPS)
        elif layer.mode == "depthwise":
            word, tap = 0, 3 * index[1] + index[2]
        else:
            word, tap = index[1], 3 * index[2] + index[3]
        found[group, word, tap, unit] = int(value)
    return found


@pytest.mark.parametrize("units", [16, 32])
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


def all_words(layers: tuple[Layer, ...], array: ArrayShape) -> NDArray[np.int8]:
    return np.concatenate([weight_words(layer, array).reshape(-1) for layer in layers])


def words_of(layers: tuple[Layer, ...], array: ArrayShape) -> NDArray[np.uint8]:
    """Packed words (n, bytes) put together as the feeder does: a beat, and its part of a rest."""
    beats, rests = pack_weights(layers, array)
    size, main = weight_word_bytes(array), weight_beat_bytes(array)
    assert main >= REST_BEAT and main & (main - 1) == 0 and main + main // 8 == size
    share = REST_BEAT // (size - main)
    count = len(beats) // main
    assert len(beats) == count * main and len(rests) == -(-count // share) * REST_BEAT
    first = np.frombuffer(beats, np.uint8).reshape(count, main)
    parts = np.frombuffer(rests, np.uint8).reshape(-1, size - main)
    assert not parts[count:].any()
    return np.concatenate([first, parts[:count]], axis=1)


@pytest.mark.parametrize("units", [16, 32])
def test_two_terms_are_two_nibbles_a_byte(units: int) -> None:
    layers, array = schedule(NETWORK).layers, ArrayShape(units, 7)
    packed = words_of(layers, array).reshape(-1)
    values = [nibble(int(byte) & 15) + nibble(int(byte) >> 4) for byte in packed]
    assert values == all_words(layers, array).tolist()


@pytest.mark.parametrize("units", [16, 32])
def test_one_term_is_half_a_word_in_the_low_nibbles(units: int) -> None:
    model = random_model(3, ModelOptions(weight_format=ShiftFormat(4, 1, "S1")))
    layers, array = schedule(model).layers, ArrayShape(units, 7, terms=1)
    packed = words_of(layers, array)
    assert packed.shape[1] == TAPS * units // 2
    codes = np.concatenate([packed & 15, packed >> 4], axis=1).reshape(-1)
    assert [nibble(int(c)) for c in codes] == all_words(layers, array).tolist()


@pytest.mark.parametrize("units", [16, 32])
def test_integers_are_themselves(units: int) -> None:
    model = random_model(3, ModelOptions(weight_format=IntFormat(8)))
    layers, array = schedule(model).layers, ArrayShape(units, 7, 1, "multiplier")
    packed = words_of(layers, array).view(np.int8).reshape(-1)
    assert np.array_equal(packed, all_words(layers, array))


def test_weights_that_the_array_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="one shifter"):
        pack_weights(schedule(random_model(3)).layers, ArrayShape(16, 7, terms=1))
    integers = schedule(random_model(3, ModelOptions(weight_format=IntFormat(8)))).layers
    with pytest.raises(InputError, match="no values of SHIFT"):
        pack_weights(integers, ArrayShape(16, 7))


@pytest.mark.parametrize("multiplier", [False, True])
@pytest.mark.parametrize("units", [16, 32])
def test_a_parameter_record_is_a_power_of_two(units: int, multiplier: bool) -> None:
    size = parameter_bytes(ArrayShape(units, 7), multiplier)
    used = units * (4 + 4 * multiplier + 1 + 1)
    assert size & (size - 1) == 0 and 64 <= used <= size < 2 * used


def unpacked(layers: tuple[Layer, ...], array: ArrayShape, multiplier: bool) -> Iterator[Row]:
    """(bias, multiplier or None, right, left) of every channel of every group, in order."""
    size, units = parameter_bytes(array, multiplier), array.units
    table = np.frombuffer(pack_parameters(layers, array, multiplier), np.uint8).reshape(-1, size)
    for record in table:
        ints = record[: units * (8 if multiplier else 4)].view(np.int32)
        rest = record[units * (8 if multiplier else 4) :]
        assert not rest[2 * units :].any()
        for u in range(units):
            factor = int(ints[units + u]) if multiplier else None
            yield int(ints[u]), factor, int(rest[u]), int(rest[units + u])


def negative_lanes(layer: Layer, array: ArrayShape) -> list[int]:
    """Of each output channel: terms below zero in all lanes that its unit sees, padding too."""
    packed = words_of((layer,), array)
    if array.terms == 1:
        nibbles = [np.concatenate([packed & 15, packed >> 4], axis=1)]
    else:
        nibbles = [packed & 15, packed >> 4]
    groups = -(-layer.weight.shape[0] // array.units)
    found = [0] * (groups * array.units)
    for codes in nibbles:
        lanes = codes.reshape(groups, -1, TAPS, array.units)
        for (group, _, _, unit), code in np.ndenumerate(lanes):
            found[group * array.units + unit] += nibble(int(code)) < 0
    outputs = layer.weight.shape[0]
    assert not any(found[outputs:])
    return found[:outputs]


@pytest.mark.parametrize("seed", range(6))
def test_negative_terms_are_counted_one_by_one(seed: int) -> None:
    """What the array's complements lack: -x is ~x + 1, in every lane that holds a negative term."""
    model = random_network(seed, layers=6)
    for layer in schedule(model).layers:
        array = ArrayShape(16, 7)
        assert negative_terms(layer, array).tolist() == negative_lanes(layer, array)
        assert not negative_terms(layer, ArrayShape(16, 7, 1, "multiplier")).any()
    one = random_network(seed, layers=6, family="one-term")
    for layer in schedule(one).layers:
        array = ArrayShape(32, 7, terms=1)
        assert negative_terms(layer, array).tolist() == negative_lanes(layer, array)


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
    rows = list(unpacked(layers, array, False))
    for o, lacks in enumerate(missing.tolist()):
        held = rows[o][0]
        assert -(2**31) <= held < 2**31
        assert (held - lacks - bias) % 2**32 == 0


@pytest.mark.parametrize("multiplier", [False, True])
@pytest.mark.parametrize("seed", [8, 11, 12])
def test_parameters_are_rows_of_a_group(seed: int, multiplier: bool) -> None:
    model = random_network(seed, multiplier_requant=multiplier, layers=14)
    layers, array = schedule(model).layers, ArrayShape(16, 7)
    rows = unpacked(layers, array, multiplier)
    ranges = shift_ranges(layers, multiplier)
    rights, lefts = [], []
    for layer in layers:
        conv, missing = layer.conv, negative_terms(layer, array)
        for o in range(-(-len(conv.bias) // 16) * 16):
            own = next(rows)
            if o >= len(conv.bias):
                assert not any(own)
                continue
            r = layer.conv_output.grid.exponent - layer.input.grid.exponent - int(conv.z[o])
            assert (own[0] - int(conv.bias[o]) - int(missing[o])) % 2**32 == 0
            if conv.multiplier is not None and conv.shift is not None:
                assert own[1:] == (conv.multiplier[o], conv.shift[o] - ranges.right_least, 0)
                rights.append(int(conv.shift[o]))
                lefts.append(0)
                continue
            # Eight places of left shift take every sum but 0 past all 8-bit codes.
            left = max(-r, 0) if layer.direct else min(max(-r, 0), 8)
            assert own[2:] == (max(r, 0) - ranges.right_least, left)
            if multiplier:
                assert own[1] == 1 << left
            rights.append(max(r, 0))
            lefts.append(left)
    assert next(rows, None) is None
    assert (ranges.right_most, ranges.left_most) == (max(rights), max(lefts))
    assert ranges.right_least == (min(rights) if not multiplier and not any(lefts) else 0)


def test_shifts_that_all_go_right_have_a_least_one() -> None:
    """No channel of a network of one layer shifts left: the text shifts by the difference."""
    found = set()
    for seed in range(40):
        layers = schedule(random_network(seed, layers=2)).layers
        ranges = shift_ranges(layers, False)
        found.add(ranges.right_least > 0)
        assert ranges.right_least <= ranges.right_most
        assert not ranges.left_most or not ranges.right_least
        assert shift_ranges(layers, True).right_least == 0
    assert found == {True, False}
