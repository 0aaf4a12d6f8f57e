"""The search of the array's shape, and boards that are too small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mobilenet import mobilenet_v2
from random_networks import random_network
from second_shares import shares_of

from shiftforge.boards.load import list_boards, load_board
from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.plan_document import plan_totals
from shiftforge.generator.conv.search import Found, find_plan
from shiftforge.generator.conv.sweep.model import model_points
from shiftforge.generator.conv.sweep.points import Points, Space, choices_of
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat

BOARD = load_board("a10gx1150")


@pytest.fixture(scope="module")
def network() -> QuantizedModel:
    return mobilenet_v2(96)


def found(model: QuantizedModel, **options: Any) -> Found:
    """Of one frame in flight, unless said otherwise."""
    return find_plan(model, BOARD, Options(**{"frames": 1, **options}))


def search(model: QuantizedModel, board: Board, **options: Any) -> Plan:
    return find_plan(model, board, Options(**{"frames": 1, **options})).plan


def points_of(model: QuantizedModel, board: Board) -> Points:
    return model_points(choices_of(model), board, Space())


def test_the_search_finds_a_busy_array() -> None:
    network = mobilenet_v2()
    plan = search(network, BOARD)
    assert plan.utilisation >= 0.8
    points = points_of(network, BOARD)
    busy = points.take(points.fits & (points.utilisation * (1 + points.f) >= 0.8))
    assert plan.modelled_fps == pytest.approx(busy.fps.max())
    assert (points.take(points.fits).alm <= 0.75 * BOARD.alm).all()


@pytest.mark.slow
def test_a_target_rate_is_reached_with_the_fewest_alms(network: QuantizedModel) -> None:
    target = 3000.0
    plan = search(network, BOARD, target_fps=target)
    assert plan.modelled_fps >= target
    points = points_of(network, BOARD)
    enough = points.take(points.fits & (points.fps >= target))
    assert plan.area.alm == enough.alm.min()
    with pytest.raises(InputError, match="frames a second") as caught:
        search(network, BOARD, target_fps=1e9)
    assert "nearest: --units" in caught.value.problems[0].remedy


def test_frames_in_flight_are_searched_where_a_rate_is_asked_for() -> None:
    network = random_network(5, family="two-term", layers=4)
    alone = points_of(network, BOARD)
    target = float(alone.fps[alone.fits].max()) * 1.5
    with pytest.raises(InputError):
        found(network, target_fps=target)
    plan = find_plan(network, BOARD, Options(target_fps=target)).plan
    assert plan.array.frames > 1 and plan.modelled_fps >= target
    assert found(network, frames=None).plan.array.frames == 1
    assert found(network, frames=3).plan.array.frames == 3


@pytest.mark.slow
def test_limits_are_kept(network: QuantizedModel) -> None:
    points = points_of(network, BOARD)
    share = float(np.median(points.alm[points.fits])) / BOARD.alm
    tight = search(network, BOARD, max_alm=share)
    assert tight.area.alm <= share * BOARD.alm
    absolute = search(network, BOARD, max_alm=tight.area.alm - 1)
    assert absolute.area.alm < tight.area.alm
    assert absolute.modelled_fps <= tight.modelled_fps
    blocks = int(np.median(points.ram_blocks[points.fits]))
    assert search(network, BOARD, max_ram=blocks).area.ram_blocks <= blocks
    for told, limits in (
        ("at most 42 ALMs", {"max_alm": 42}),
        ("at most 27 RAM blocks", {"max_ram": 0.01}),
        ("reaches 90000 frames a second and takes at most 213,600 ALMs",
         {"target_fps": 90000.0, "max_alm": 0.5}),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told) as caught:
            search(network, BOARD, **limits)
        assert "nearest: --units" in caught.value.problems[0].remedy


def test_limits_hold_for_an_array_that_is_given(network: QuantizedModel) -> None:
    plan = search(network, BOARD, units=16, pixels=7, max_alm=0.7)
    assert (plan.array.units, plan.array.pixels) == (16, 7)
    with pytest.raises(InputError) as caught:
        search(network, BOARD, units=16, pixels=7, max_alm=0.05, max_ram=50.0)
    assert [p.what.split(";")[1].split()[0] for p in caught.value.problems] == [
        "--max-alm", "--max-ram",
    ]  # fmt: skip


def test_depths_are_the_given_ones(network: QuantizedModel) -> None:
    plan = search(network, BOARD, units=16, pixels=7, operand_depth=32, image_depth=8)
    depths = {c.name: c.depth for c in plan.channels}
    assert (depths["operand"], depths["weight"], depths["image"]) == (32, 64, 8)
    [problem] = Options(weight_depth=48).problems()
    assert "--weight-depth is 48" in problem.what


@pytest.mark.slow
def test_the_weights_of_a_file_are_searched(network: QuantizedModel) -> None:
    model = shares_of(network, (0.25, 20.0), (0.5, 25.0), (0.1, 15.0))
    choices = {c.sqnr_db: c for c in choices_of(model)}
    assert list(choices) == [20.0, 15.0, 25.0]
    # Alone, the active ones are taken; a rate takes the best with which it is reached.
    assert found(model).choice.sqnr_db == 20.0
    most = {}
    for own, choice in choices.items():
        points = model_points([choice], BOARD, Space())
        most[own] = float(points.fps[points.fits].max())
    assert most[15.0] > most[20.0] > most[25.0]
    assert found(model, target_fps=(most[25.0] + most[20.0]) / 2).choice.sqnr_db == 20.0
    # With a least SQNR the fewest ALMs decide, whose weights are the fastest.
    assert found(model, target_fps=most[25.0] / 2, min_sqnr=18.0).choice.sqnr_db == 20.0
    assert found(model, min_sqnr=21.0).choice.sqnr_db == 25.0
    with pytest.raises(InputError, match=r"no weights of 30 dB.*20.00, 15.00, 25.00"):
        found(model, min_sqnr=30.0)
    with pytest.raises(InputError, match="records no SQNR"):
        found(network, min_sqnr=1.0)


def test_small_networks_get_an_array_on_every_board() -> None:
    for name in list_boards():
        assert search(random_model(2), load_board(name)).modelled_cycles > 0


@pytest.mark.slow
def test_a_board_that_is_too_small_is_refused_with_figures() -> None:
    network = mobilenet_v2()
    nano = load_board("de10_nano")
    assert search(network, nano).area.ram_blocks <= nano.ram_blocks
    small = replace(nano, ram_blocks=nano.ram_blocks // 2)
    with pytest.raises(InputError) as caught:
        search(network, small)
    text = str(caught.value)
    assert "RAM blocks" in text and "de10_nano" in text
    assert all(p.remedy for p in caught.value.problems)
    with pytest.raises(InputError) as caught:
        make_plan(network, small, ArrayShape(16, 7))
    assert len(caught.value.problems) >= 2  # logic and memory, both said


@pytest.mark.parametrize(("units", "pixels"), [(12, 7), (64, 4), (16, 0), (16, 17)])
def test_arrays_outside_the_supported_shapes_are_refused(units: int, pixels: int) -> None:
    with pytest.raises(InputError, match="is not supported"):
        make_plan(random_model(1), load_board("a10gx1150"), ArrayShape(units, pixels))


def test_the_array_follows_from_the_weights() -> None:
    one = random_model(1, ModelOptions(weight_format=ShiftFormat(4, 1, "S1")))
    two = random_model(1)
    plain = random_model(1, ModelOptions(weight_format=IntFormat(8)))
    assert array_for(one, 16, 7) == array_for(two, 16, 7) == ArrayShape(16, 7, unit="shift")
    assert array_for(plain, 16, 7) == ArrayShape(16, 7, unit="multiplier", weight_bits=8)
    few = random_model(1, ModelOptions(weight_format=IntFormat(4)))
    assert array_for(few, 16, 7) == ArrayShape(16, 7, unit="multiplier", weight_bits=4)
    board = load_board("a10gx1150")
    assert plan_totals(make_plan(two, board, array_for(two, 16, 7)))["multiplier_free"] is True
    assert plan_totals(make_plan(plain, board, array_for(plain, 16, 7)))["multiplier_free"] is False
    mixed = random_model(1, ModelOptions(requant="multiplier"))
    assert plan_totals(make_plan(mixed, board, array_for(mixed, 16, 7)))["multiplier_free"] is False
