"""The cycle model: MobileNetV2's figures, and small layers counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from mobilenet import mobilenet_v2

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.cycles import array_cycles, model_cycles
from shiftforge.generator.conv.plan import Plan, bytes_per_cycle, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.verify import verify

ARRAY = ArrayShape(16, 7)


@pytest.fixture(scope="module")
def plan() -> Plan:
    model = mobilenet_v2()
    verify(model)
    return make_plan(model, load_board("a10gx1150"), ARRAY)


def test_mobilenet_v2_has_its_published_size(plan: Plan) -> None:
    assert len(plan.layers) == 53
    assert plan.macs == 300_774_272  # the paper's 300 M
    assert Counter(layer.mode for layer in plan.layers) == {"pointwise": 36, "depthwise": 17}


def test_mobilenet_v2_takes_the_ideal_cycles(plan: Plan) -> None:
    assert plan.array.lanes == 1008
    assert plan.ideal_cycles == 324_625
    assert plan.totals()["ideal_utilisation"] == 0.9192


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
        assert c.bound in ("array", "memory", "weights")


def test_small_layers_by_hand() -> None:
    """20 channels of 5 x 9, 33 outputs: groups of 16, tiles of 7, nine channels a cycle."""
    base = schedule(random_model(1)).layers[0]
    point = replace(
        base, mode="pointwise", in_shape=(20, 5, 9), out_shape=(33, 5, 9),
        weight=base.weight.repeat(5, 0)[:33],
    )  # fmt: skip
    tiling = tile_layer(point, ARRAY)
    assert (tiling.in_groups, tiling.in_tiles, tiling.out_groups) == (2, 2, 3)
    assert array_cycles(point, tiling) == (3 * 5 * 2 * 3, 3 * 5 * 2 * 3)
    standard = replace(point, mode="standard", stride=1, top=1, left=1)
    tiling = tile_layer(standard, ARRAY)
    assert array_cycles(standard, tiling) == (3 * 10 * 20, 3 * 10 * (20 + 18))
    depthwise = replace(point, mode="depthwise", out_shape=(20, 5, 9), stride=1, top=1, left=1)
    tiling = tile_layer(depthwise, ARRAY)
    # The last window ends one line past row 5 (tile 1 + 1 of 2), the group before has 5 x 2 lines.
    assert array_cycles(depthwise, tiling) == (2 * 10, 10 + 5 * 2 + 2 + 1)


def test_slow_global_memory_makes_weights_the_bound() -> None:
    layers = schedule(mobilenet_v2(96)).layers
    fast = model_cycles(layers, ARRAY, 100, 1e6)
    slow = model_cycles(layers, ARRAY, 100, 4.0)
    assert not any(c.bound == "weights" for c in fast)
    assert slow[-1].bound == "weights"
    assert sum(c.modelled for c in slow) > sum(c.modelled for c in fast)


def test_bytes_a_cycle_follow_from_the_board() -> None:
    board = load_board("a10gx1150")
    assert bytes_per_cycle(board) == pytest.approx(0.7 * 34.1e9 / 250e6)
