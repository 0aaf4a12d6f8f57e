"""The search of the array's shape, and boards that are too small."""

from __future__ import annotations

import pytest
from mobilenet import mobilenet_v2

from shiftforge.boards.load import list_boards, load_board
from shiftforge.errors import InputError
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.search import explore_arrays, search_array
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat


@pytest.fixture(scope="module")
def network() -> QuantizedModel:
    return mobilenet_v2()


def test_the_search_finds_a_busy_array(network: QuantizedModel) -> None:
    board = load_board("a10gx1150")
    found = search_array(network, board)
    assert found.utilisation >= 0.8
    fitting = list(explore_arrays(network, board))
    busy = [c.plan for c in fitting if c.plan.utilisation >= 0.8]
    assert found.modelled_cycles == min(p.modelled_cycles for p in busy)
    assert all(c.plan.area.alm <= 0.75 * board.alm for c in fitting)


def test_a_target_rate_is_reached_with_the_fewest_lanes() -> None:
    model, board = mobilenet_v2(96), load_board("a10gx1150")
    rates = {c.plan.array.lanes: c.plan.modelled_fps for c in explore_arrays(model, board)}
    target = sorted(rates.values())[len(rates) // 2]
    found = search_array(model, board, target)
    assert found.modelled_fps >= target
    assert all(fps < target for lanes, fps in rates.items() if lanes < found.array.lanes)
    with pytest.raises(InputError, match="frames a second"):
        search_array(model, board, 1e9)


def test_small_networks_get_an_array_on_every_board() -> None:
    """But for the smallest: six kernels take more than it has, whatever the array."""
    for name in list_boards():
        board = load_board(name)
        if board.alm < 50_000:
            with pytest.raises(InputError, match="ALMs"):
                search_array(random_model(2), board)
        else:
            assert search_array(random_model(2), board).modelled_cycles > 0


def test_a_board_that_is_too_small_is_refused_with_figures(network: QuantizedModel) -> None:
    small = load_board("de10_nano")
    with pytest.raises(InputError) as caught:
        search_array(network, small)
    text = str(caught.value)
    assert "RAM blocks" in text and "de10_nano" in text
    assert all(p.remedy for p in caught.value.problems)
    with pytest.raises(InputError) as caught:
        make_plan(network, small, ArrayShape(16, 7))
    assert len(caught.value.problems) >= 2  # logic and memory, both said


@pytest.mark.parametrize(("units", "pixels"), [(8, 7), (24, 4), (16, 0), (16, 17)])
def test_arrays_outside_the_supported_shapes_are_refused(units: int, pixels: int) -> None:
    with pytest.raises(InputError, match="is not supported"):
        make_plan(random_model(1), load_board("a10gx1150"), ArrayShape(units, pixels))


def test_the_array_follows_from_the_weights() -> None:
    one = random_model(1, ModelOptions(weight_format=ShiftFormat(4, 1, "S1")))
    two = random_model(1)
    plain = random_model(1, ModelOptions(weight_format=IntFormat(8)))
    assert array_for(one, 16, 7) == array_for(two, 16, 7) == ArrayShape(16, 7, "shift")
    assert array_for(plain, 16, 7) == ArrayShape(16, 7, "multiplier", 8)
    few = random_model(1, ModelOptions(weight_format=IntFormat(4)))
    assert array_for(few, 16, 7) == ArrayShape(16, 7, "multiplier", 4)
    board = load_board("a10gx1150")
    assert make_plan(two, board, array_for(two, 16, 7)).totals()["multiplier_free"] is True
    assert make_plan(plain, board, array_for(plain, 16, 7)).totals()["multiplier_free"] is False
    mixed = random_model(1, ModelOptions(requant="multiplier"))
    assert make_plan(mixed, board, array_for(mixed, 16, 7)).totals()["multiplier_free"] is False
