"""Weight words and requantisation constants against their definitions, weight by weight."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from random_networks import random_network

from shiftforge.errors import InputError
from shiftforge.generator.conv.array import TAPS, ArrayShape
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.generator.conv.weights import pack_parameters, pack_weights, weight_words
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, ShiftFormat

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


def test_two_terms_are_two_nibbles_a_byte() -> None:
    layers, array = schedule(NETWORK).layers, ArrayShape(16, 7)
    packed = pack_weights(layers, array)
    values = [nibble(byte & 15) + nibble(byte >> 4) for byte in packed]
    assert values == all_words(layers, array).tolist()


def test_one_term_is_half_a_word_in_the_low_nibbles() -> None:
    model = random_model(3, ModelOptions(weight_format=ShiftFormat(4, 1, "S1")))
    layers, array = schedule(model).layers, ArrayShape(16, 7, terms=1)
    packed = np.frombuffer(pack_weights(layers, array), np.uint8).reshape(-1, TAPS * 16 // 2)
    codes = np.concatenate([packed & 15, packed >> 4], axis=1).reshape(-1)
    assert [nibble(int(c)) for c in codes] == all_words(layers, array).tolist()


def test_integers_are_themselves() -> None:
    model = random_model(3, ModelOptions(weight_format=IntFormat(8)))
    layers, array = schedule(model).layers, ArrayShape(16, 7, 1, "multiplier")
    packed = np.frombuffer(pack_weights(layers, array), np.int8)
    assert np.array_equal(packed, all_words(layers, array))


def test_weights_that_the_array_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="one shifter"):
        pack_weights(schedule(random_model(3)).layers, ArrayShape(16, 7, terms=1))
    integers = schedule(random_model(3, ModelOptions(weight_format=IntFormat(8)))).layers
    with pytest.raises(InputError, match="no values of SHIFT"):
        pack_weights(integers, ArrayShape(16, 7))


@pytest.mark.parametrize("multiplier", [False, True])
def test_parameters_are_rows_of_a_group(multiplier: bool) -> None:
    model = random_network(8, multiplier_requant=multiplier, layers=14)
    layers, array = schedule(model).layers, ArrayShape(16, 7)
    rows = 4 if multiplier else 3
    table = np.frombuffer(pack_parameters(layers, array, multiplier), np.int32)
    records = iter(table.reshape(-1, rows, 16))
    kinds = set()
    for layer in layers:
        conv = layer.conv
        groups = [next(records) for _ in range(-(-len(conv.bias) // 16))]
        for o in range(len(groups) * 16):
            column = groups[o // 16][:, o % 16]
            if o >= len(conv.bias):
                assert not column.any()
                continue
            r = layer.conv_output.grid.exponent - layer.input.grid.exponent - int(conv.z[o])
            assert column[0] == conv.bias[o]
            if conv.multiplier is not None and conv.shift is not None:
                assert column[1:].tolist() == [conv.multiplier[o], 0, conv.shift[o]]
                kinds.add("multiplier")
                continue
            # Eight places of left shift take every sum but 0 past all 8-bit codes.
            left = max(-r, 0) if layer.direct else min(max(-r, 0), 8)
            assert column[-2:].tolist() == [left, max(r, 0)]
            if multiplier:
                assert column[1] == 1 << left
            kinds.add("left" if r < 0 else "right")
    assert next(records, None) is None
    assert kinds == ({"multiplier", "left", "right"} if multiplier else {"left", "right"})
