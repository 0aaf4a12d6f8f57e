"""The cycle model: MobileNetV2's figures, small layers counted by hand, and how it must move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from conv_chains import chain, with_weights
from mobilenet import mobilenet_v2
from numpy.typing import NDArray
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board, LatencyName
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.latencies import board_latencies, bytes_per_cycle
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.plan_document import plan_totals
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.verify import verify

ARRAY = ArrayShape(16, 7)
BOARD = load_board("a10gx1150")


@pytest.fixture(scope="module")
def plan() -> Plan:
    model = mobilenet_v2()
    verify(model)
    return make_plan(model, BOARD, ARRAY)


def slower(board: Board, factor: float) -> Board:
    """A board with so much less bandwidth."""
    memory = replace(board.memory, bandwidth_gb_s=board.memory.bandwidth_gb_s / factor)
    return replace(board, memory=memory)


def test_mobilenet_v2_has_its_published_size(plan: Plan) -> None:
    assert len(plan.layers) == 53
    assert plan.macs == 300_774_272  # the paper's 300 M
    assert Counter(layer.mode for layer in plan.layers) == {"pointwise": 36, "depthwise": 17}


def test_mobilenet_v2_takes_the_ideal_cycles(plan: Plan) -> None:
    assert plan.array.lanes == 1008
    assert plan.ideal_cycles == 324_625
    assert plan_totals(plan)["ideal_utilisation"] == 0.9192


def test_mobilenet_v2_is_modelled_at_four_fifths(plan: Plan) -> None:
    assert plan.utilisation >= 0.80
    assert plan.modelled_cycles > plan.ideal_cycles
    assert plan.utilisation == plan.macs / (plan.modelled_cycles * 1008)
    assert plan.modelled_cycles == sum(layer.cycles.modelled for layer in plan.layers)


def test_mobilenet_v2_fits_the_asymmetric_buffer(plan: Plan) -> None:
    assert plan.buffer_bytes == 1_505_280
    assert plan.symmetric_bytes > plan.buffer_bytes


def test_a_layer_at_a_fraction_of_the_array_shows(plan: Plan) -> None:
    for layer in plan.layers:
        used = layer.cycles.macs / (layer.cycles.modelled * 1008)
        assert layer.cycles.utilisation == used <= 1
    classifier = plan.layers[-1]
    assert classifier.cycles.utilisation < 0.2  # one pixel of seven


def test_no_layer_is_modelled_faster_than_any_of_its_bounds(plan: Plan) -> None:
    for layer in plan.layers:
        c = layer.cycles
        assert c.modelled > max(c.ideal, c.array, c.memory)
        assert c.bound in ("array", "memory", "weights", "image")


def iterations(model: QuantizedModel, index: int) -> tuple[int, int]:
    """(convolution unit, controller up to its last line) of a layer."""
    own = make_plan(model, BOARD, array_for(model, 16, 7)).steps[index]
    assert own.cycles.array == own.conv.iterations
    assert own.cycles.memory == own.controller.iterations
    return own.conv.iterations, own.controller.sends


AROUND = {"padding": (1, 1, 1, 1), "kernel": 3}
# 20 channels of 5 x 9 and, but for depthwise layers, 33 outputs: groups of 16, tiles of 7, nine
# channels a cycle; two depthwise groups of 5 rows of 2 tiles. No weight has two terms or is zero.
LAYERS: dict[str, dict[str, Any]] = {
    "pointwise": {"out": 33, "kernel": 1}, "standard": {"out": 33, **AROUND},
    "depthwise": {"out": 20, "groups": 20, **AROUND},
    "strided": {"out": 20, "groups": 20, "kernel": 3, "stride": 2, "padding": (0, 0, 1, 2)},
}  # fmt: skip


def small(kind: str, change: Callable[[NDArray[np.int8]], None]) -> tuple[int, int]:
    """Iterations of the second layer, after ``change`` set some of its weights."""
    model = chain(
        {"out": 20, "kernel": 1}, LAYERS[kind], {"out": 4, "kernel": 1},
        channels=20, height=5, width=9, family="one-term",
    )  # fmt: skip
    ones = {conv.name: np.ones_like(conv.weight) for conv in model.conv_nodes()}
    change(ones["conv1"])
    return iterations(with_weights(model, ones), 1)


def test_small_layers_by_hand() -> None:
    assert small("pointwise", lambda w: None) == (3 * 5 * 2 * 3, 3 * 5 * 2 * 2)
    # The first window is loaded, then 16 and 4 channels, the latter in the nine lines' time.
    assert small("standard", lambda w: None) == (9 + 3 * 10 * (16 + 9), 3 * 10 * 2 * 9)
    # Rows of 2 groups x 2 tiles, idle up to 16; five rows and then the last window's: row -1 + 2,
    # tile -1 + 2 of the first one, four rows down, then a group and a tile on.
    down, last = (5 - 1) * 16, 2 + 1
    assert small("depthwise", lambda w: None) == (16 + 1 + down + last + 1,) * 2
    # Two rows of outputs two lines apart, of a tile each: row 2, tile 2; two rows down, a group on.
    assert small("strided", lambda w: None) == (2 * 16 + 2 + 2 * 16 + 2 + 1,) * 2


def test_second_words_by_hand() -> None:
    """Each costs an iteration a tile."""

    def blocks(w: NDArray[np.int8]) -> None:
        w[3, 18:], w[17, :2], w[30, 1] = 3, -5, 6  # the third block, and twice the first one

    assert small("pointwise", blocks)[0] == 10 * ((3 + 3) + (3 + 1) + 3)

    def channels(w: NDArray[np.int8]) -> None:
        w[0, 2, 1, 1] = w[31, 17, 2, 0] = w[32, 19, 0, 0] = 7

    # Three second words with the first window; all sixteen, and two or four with the second one,
    # where four channels and their second words take less than nine lines.
    assert small("standard", channels)[0] == 9 + 10 * ((16 + 3 + 9) + (32 + 9) + (32 + 9))

    def group(first: int) -> Callable[[NDArray[np.int8]], None]:
        def change(w: NDArray[np.int8]) -> None:
            w[first, 0, 1, 1] = 12

        return change

    one, two = group(15), group(16)
    none = small("depthwise", lambda w: None)[0]
    assert [small("depthwise", g)[0] for g in (one, two)] == [none + 10, none + 20]
    none = small("strided", lambda w: None)[0]
    assert [small("strided", g)[0] for g in (one, two)] == [none + 2, none + 4]


def test_zero_words_by_hand() -> None:
    """At a group's end they cost nothing, but their lines come, one an iteration."""

    def blocks(w: NDArray[np.int8]) -> None:
        w[:16, 9:], w[16:32], w[32, :18] = 0, 0, 0

    # A word, and an iteration for the second line; the last group's third word is used.
    assert small("pointwise", blocks)[0] == 10 * ((1 + 1) + (1 + 1) + 3)

    def channels(w: NDArray[np.int8]) -> None:
        w[:16, 10:], w[16:32, 4:], w[32, 17:] = 0, 0, 0

    assert small("standard", channels)[0] == 9 + 10 * ((10 + 9) + (9 + 9) + (16 + 9))


# A longer pipeline of the loader holds more that was fetched before the frame.
AHEAD = ("loader", "global_load")


@pytest.mark.parametrize("name", sorted(set(get_args(LatencyName)) - set(AHEAD)))
def test_no_latency_makes_anything_faster(name: str, plan: Plan) -> None:
    """A longer pipeline of loads also holds more words ahead: it may help small networks."""
    ahead = name in ("loader", "feeder", "params", "global_load")
    models = [(mobilenet_v2(96), ARRAY)]
    for seed in range(0 if ahead else 6):
        model = random_network(seed, layers=7)
        models.append((model, array_for(model, 16, 4)))
    for model, array in models:
        totals = []
        for more in (0, 7, 60):
            value = getattr(board_latencies(BOARD), name) + more
            board = replace(BOARD, latencies={name: value})
            totals.append(make_plan(model, board, array).modelled_cycles)
        if ahead:
            assert totals[0] <= 1.001 * min(totals)
        else:
            assert totals == sorted(totals)


def test_bounds_hold_for_random_networks() -> None:
    bounds = Counter[str]()
    for seed in range(40):
        model = random_network(seed, layers=6)
        own = make_plan(model, BOARD, array_for(model, 16, 1 + seed % 9))
        for layer in own.layers:
            assert layer.cycles.ideal <= layer.cycles.array
            # Copies have no products of the network.
            assert (layer.cycles.utilisation > 0) == (layer.cycles.macs > 0)
            assert layer.cycles.utilisation <= 1
            assert layer.cycles.modelled >= layer.cycles.ideal
            bounds[layer.cycles.bound] += 1
    assert set(bounds) >= {"array", "memory"}


def test_slow_global_memory_makes_weights_the_bound() -> None:
    model = mobilenet_v2(96)
    fast, slow = (make_plan(model, slower(BOARD, f), ARRAY) for f in (1e-3, 8))
    assert slow.layers[-1].cycles.bound == "weights"
    assert slow.modelled_cycles > fast.modelled_cycles


@pytest.mark.parametrize("seed", range(8))
def test_less_bandwidth_makes_no_frame_faster(seed: int) -> None:
    model = random_network(seed, layers=6)
    array = array_for(model, 16, 4)
    plans = [make_plan(model, slower(BOARD, factor), array) for factor in (1, 10, 1000)]
    totals = [own.modelled_cycles for own in plans]
    assert totals == sorted(totals)


def test_bytes_a_cycle_follow_from_the_board() -> None:
    assert bytes_per_cycle(BOARD) == pytest.approx(0.7 * 34.1e9 / 250e6)
