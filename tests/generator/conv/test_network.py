"""The network is read once, and plans of it are those of its model."""

from __future__ import annotations

from unittest.mock import patch

from mobilenet import mobilenet_v2

from shiftforge.boards.load import load_board
from shiftforge.generator.conv import network as module
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import make_plan
from shiftforge.generator.conv.plan_document import plan_json
from shiftforge.generator.conv.target import generate

BOARD = load_board("a10gx1150")


def test_a_plan_of_the_network_is_that_of_its_model() -> None:
    model = mobilenet_v2(96)
    network = network_of(model)
    assert network_of(network) is network
    for array in (ArrayShape(16, 7), ArrayShape(32, 3), ArrayShape(16, 2)):
        one, other = (make_plan(own, BOARD, array) for own in (model, network))
        assert plan_json(one) == plan_json(other)


def test_a_search_and_its_design_schedule_once() -> None:
    model = mobilenet_v2(96)
    with patch.object(module, "schedule", wraps=module.schedule) as counted:
        generate(model, BOARD)
    assert counted.call_count == 1


def test_words_are_counted_once_for_all_pixels() -> None:
    network = network_of(mobilenet_v2(96))
    first = network.words(ArrayShape(16, 7))
    assert network.words(ArrayShape(16, 2)) is first
    assert network.words(ArrayShape(32, 7)) is not first
    plain = network.words(ArrayShape(16, 7, unit="multiplier"))
    assert all(second == 0 for own in plain for _, second in own)
