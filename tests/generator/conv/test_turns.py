"""How many units post takes at once: the fewest that cost next to no cycles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conv_chains import chain
from mobilenet import mobilenet_v2
from random_networks import random_network
from turn_designs import force_turns

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.turns import TURN_LOSS, Turns, choose_turns
from shiftforge.quant.graph.types import QuantizedModel

BOARD = load_board("a10gx1150")


def planned(model: QuantizedModel, *array: int) -> Plan:
    return make_plan(model, BOARD, array_for(model, *array), must_fit=False)


def dense(channels: int) -> QuantizedModel:
    """A map of 32-bit results of so many channels."""
    return chain({"out": channels, "kernel": 1}, {"out": 30, "kernel": 1, "wide": True},
                 channels=3, height=40, width=40, family="one-term")  # fmt: skip


@pytest.mark.parametrize("array", [(8, 4, 1), (16, 7, 1), (24, 4, 2), (32, 7, 1)], ids=str)
def test_mobilenet_v2_takes_one_at_a_time(
    array: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mobilenet_v2()
    plan, (units, _, frames) = planned(model, *array), array
    assert plan.turns == Turns(units * frames, 1, units, 1)
    force_turns(monkeypatch, 0, 0)
    at_once = planned(model, *array)
    assert plan.area.alm < at_once.area.alm - 100 * units
    assert 0 <= plan.modelled_cycles - at_once.modelled_cycles < 2 * units * frames


def test_a_dense_map_takes_as_many_as_its_tiles_leave_time_for() -> None:
    """Four pixels a tile, 16 units: the array takes 1, 2, ... 64 iterations for a tile."""
    found = {channels: planned(dense(channels), 16, 4).turns.output_units
             for channels in (9, 36, 72, 144, 576)}  # fmt: skip
    assert found == {9: 16, 36: 16, 72: 8, 144: 4, 576: 1}


def test_a_store_of_some_units_is_a_power_of_two() -> None:
    """24 of 48 units at once would do for tiles of eight iterations, but for that."""
    found = {channels: planned(dense(channels), 48, 4).turns.output_units
             for channels in (36, 72, 108, 216)}  # fmt: skip
    assert found == {36: 48, 72: 48, 108: 16, 216: 8}


def test_no_fewer_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as many units at once cost more of the modelled cycles than is allowed."""
    plan = planned(dense(72), 16, 4)
    force_turns(monkeypatch, 0, plan.turns.output_units // 2)
    assert planned(dense(72), 16, 4).modelled_cycles > (1 + TURN_LOSS) * plan.modelled_cycles


def test_rounding_of_its_own_takes_all_units() -> None:
    """Sums that hold no half of the last place are rounded with what a channel has of its own."""
    model = random_network(3, family="multiplier", multiplier_requant=True, layers=6)
    network = network_of(model)
    assert not network.shifts.folded
    plan = planned(model, 16, 3)
    assert (plan.turns.output, plan.turns.output_units) == (1, 16)


@pytest.mark.parametrize(("busy", "at_once"), [(160, 16), (800, 2), (1600, 1)])
def test_short_maps_before_a_pool_take_more_at_once(busy: int, at_once: int) -> None:
    """80 channel groups of two tiles, an iteration each in post, among layers of 1,000."""
    layers = network_of(mobilenet_v2()).layers
    array = ArrayShape(16, 7)
    pools = [own.pool is not None for own in layers]
    assert sum(pools) == 1
    tilings = [tile_layer(own, array) for own in layers]
    head = pools.index(True)
    tilings[head] = replace(tilings[head], out_groups=80, out_rows=2, out_tiles=1)
    iterations = [busy if pool else 1000 for pool in pools]
    found = choose_turns(layers, tilings, iterations, array, Slice(1, 7, 1), True)
    assert (found.pool_units, found.pool) == (at_once, 16 // at_once)


def test_a_store_is_as_wide_as_what_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def store(plan: Plan) -> float:
        return float(next(i.alm for i in plan.area.items if i.name == "store output"))

    for units, at_once in ((16, 4), (24, 8)):
        model = dense(144)
        with monkeypatch.context() as patch:
            force_turns(patch, 0, at_once)
            some = planned(model, units, 4)
            assert f"output_beat_t __attribute__((aligned({4 * at_once})));" in render_accelerator(
                some
            )
            force_turns(patch, 0, 0)
            whole = planned(model, units, 4)
        beat = 64 if units == 16 else 128
        assert f"output_beat_t __attribute__((aligned({beat})));" in render_accelerator(whole)
        assert store(some) < store(whole)
