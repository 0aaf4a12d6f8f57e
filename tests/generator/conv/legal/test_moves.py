"""Slices, shuffles, concatenations and additions without a convolution: what is rewritten to what,
where maps come to lie, and that every tensor keeps its codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from move_cases import Joined, dense_block, fires, shuffle_units, u_net
from random_maps import random_maps
from random_networks import random_frames

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.legal import legalise
from shiftforge.generator.conv.maps import plan_maps, prove_steps, stored_maps
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import make_plan
from shiftforge.generator.conv.schedule import Schedule, schedule
from shiftforge.generator.conv.strips import limited_plan
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Concat,
    Conv,
    MaxPool,
    Pool,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.quant.graph.verify import verify
from shiftforge.sim.golden.conv.network import run_golden

KINDS = (Conv, MaxPool, Add, Pool, Concat, Slice, Shuffle, Table, AveragePool, Upsample)
ARRAY = ArrayShape(16, 4)


def keeps_its_codes(model: QuantizedModel, units: int, seed: int = 0) -> Schedule:
    """Fails unless every tensor that is left has the same codes; the passes."""
    legal = legalise(model, units)
    verify(replace(legal.model, floats={}, variants=()))
    frames = random_frames(model, seed, 1)
    want, found = run_golden(model, frames), run_golden(legal.model, frames)
    for name in model.tensors:
        assert name not in found or np.array_equal(want[name], found[name]), f"{seed}: {name}"
    return schedule(model, units)


def test_random_networks_keep_their_codes() -> None:
    for seed in range(24):
        model = random_maps(seed, nodes=12, kinds=KINDS, sides=(3, 8), more=seed % 4, on_array=True)
        keeps_its_codes(model, (16, 8, 24)[seed % 3], seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 1024))
def test_many_random_networks_keep_their_codes(seed: int) -> None:
    model = random_maps(seed, nodes=14, kinds=KINDS, sides=(3, 9), more=seed % 3, on_array=True)
    keeps_its_codes(model, (16, 8, 24, 32)[seed % 4], seed)


@pytest.mark.parametrize("make", [fires, u_net, dense_block])
def test_parts_of_whole_channel_groups_take_no_pass(make: Callable[[], QuantizedModel]) -> None:
    model = make()
    found = keeps_its_codes(model, 16)
    own = [n.name for n in model.nodes if isinstance(n, Conv | MaxPool)]
    assert [layer.conv.name for layer in found.layers] == own


def test_parts_lie_one_behind_the_other() -> None:
    found = schedule(fires(), 16)
    bases = plan_maps(found, ARRAY).bases
    (first, second) = [layer for layer in found.layers if layer.shared][:2]
    root = found.root(first.result.name)
    assert root == found.root(second.result.name)
    plane = ARRAY.lines((1, *first.result.shape[1:]))
    assert bases[first.result.name] == bases[root]
    assert bases[second.result.name] == bases[root] + plane


def test_a_joined_map_lives_from_its_first_part_to_its_last_reader() -> None:
    found = schedule(u_net(), 16)
    maps = {own.name: own for own in stored_maps(found, ARRAY)}
    last = len(found.layers)
    outer = maps[found.root(found.layers[0].result.name)]
    assert (outer.born, outer.dies, outer.lines) == (1, last, 2 * ARRAY.lines((16, 9, 10)))


def test_a_joined_map_that_something_overlaps_is_refused() -> None:
    """The planted fault: the base of a concatenation lies on another map that is alive."""
    found = schedule(u_net(), 16)
    memory = plan_maps(found, ARRAY)
    outer, inner = (found.root(found.layers[n].result.name) for n in (0, 1))
    for lines in (1, 2 * ARRAY.lines((16, 9, 10)) - 1):
        planted = {**memory.bases, inner: memory.bases[outer] + lines}
        with pytest.raises(CheckFailed, match="share lines"):
            prove_steps(replace(memory, bases=planted), found, ARRAY)


def test_nested_concatenations_are_one_map() -> None:
    found = schedule(dense_block(), 16)
    roots = {found.root(layer.result.name) for layer in found.layers if layer.shared}
    assert len(roots) == 1
    assert found.joined[roots.pop()] == (64, 9, 10)


@pytest.mark.parametrize("channels", [8, 20])
def test_parts_of_other_sizes_have_a_gap_behind_them(channels: int) -> None:
    """Their readers' weights are zero there."""
    model = u_net(channels)
    found = keeps_its_codes(model, 16)
    assert len(found.layers) == len(model.conv_nodes())
    reader = found.layers[-1]
    assert reader.places is not None
    gap = -channels % 16
    assert reader.places.tolist()[channels] == channels + gap
    assert not reader.weight[:, channels : channels + gap].any()
    assert reader.in_shape[0] == 2 * channels + gap


def test_what_cannot_read_gaps_reads_a_copy() -> None:
    own = Joined()
    x = own.conv("input", 8, 3)
    joined = own.concat(x, own.conv(x, 16))
    model = own.model(own.conv(own.conv(joined, 24, 3, groups=24), 4))
    names = [layer.conv.name for layer in keeps_its_codes(model, 16).layers]
    assert names == ["n0", "n1", "n2", "n3", "n4"]
    assert [layer.conv.name for layer in keeps_its_codes(model, 8).layers] == [
        "n0", "n1", "n3", "n4"
    ]  # fmt: skip


def test_what_lies_elsewhere_already_is_copied() -> None:
    own = Joined()
    x = own.conv("input", 16, 3)
    y = own.conv(x, 16)
    first, second = own.concat(x, y), own.concat(y, x)
    model = own.model(own.conv(own.add(first, second), 4))
    made = legalise(model, 16).made
    assert {"n3:part0", "n3:part1"} <= set(made)
    keeps_its_codes(model, 16)


def test_an_output_is_made_by_a_pass() -> None:
    own = Joined()
    x = own.conv("input", 16, 3)
    model = own.model(own.concat(x, own.conv(x, 16)))
    assert [layer.conv.name for layer in keeps_its_codes(model, 16).layers][-1] == "n2"


def test_whole_groups_are_read_where_they_lie() -> None:
    own = Joined()
    x = own.conv("input", 48, 3)
    cut = own.slice(x, 16, 40)
    model = own.model(own.conv(own.conv(cut, 24, 3, groups=24), 4))
    found = keeps_its_codes(model, 16)
    assert found.homes["t1"] == ("t0", 1) and len(found.layers) == 3
    # On this array they are no whole groups.
    assert len(keeps_its_codes(model, 32).layers) == 4


def test_a_shuffle_before_a_convolution_is_in_its_weights() -> None:
    own = Joined()
    x = own.shuffle(own.conv("input", 32, 3), 4)
    model = own.model(own.conv(x, 4))
    found = keeps_its_codes(model, 16)
    assert len(found.layers) == 2
    weight = model.conv_nodes()[1].weight[:, :, 0, 0]
    order = np.arange(32).reshape(4, -1).T.ravel()
    assert np.array_equal(found.layers[1].weight[:, order], weight)


def test_few_channels_of_many_are_copied_where_that_is_cheaper() -> None:
    def passes(kernel: int) -> int:
        own = Joined()
        cut = own.slice(own.conv("input", 64, 3), 30, 46)
        model = own.model(own.conv(own.conv(cut, 32, kernel), 4))
        return len(keeps_its_codes(model, 16).layers)

    assert (passes(1), passes(3)) == (3, 4)


def test_channels_of_the_image_are_in_the_first_layers_weights() -> None:
    own = Joined()
    x = own.conv(own.shuffle("input", 3), 8, 3, stride=2)
    found = keeps_its_codes(own.model(own.conv(x, 4)), 16)
    assert found.streamed and len(found.layers) == 2


def test_additions_and_pools_get_a_pass_where_none_has_room() -> None:
    own = Joined(channels=16)
    x = own.conv("input", 16, 3)
    with_image = own.add("input", x)
    twice = own.add(with_image, with_image)
    late = own.add(with_image, x)
    model = own.model(own.conv(own.pool(own.add(twice, late)), 4))
    found = keeps_its_codes(model, 16)
    assert found.layers[-2].pool is not None and found.layers[-2].add is not None
    assert not any(layer.macs for layer in found.layers[1:-1])


def test_units_of_shufflenet_copy_what_goes_past() -> None:
    model = shuffle_units()
    found = keeps_its_codes(model, 16)
    extra = [layer for layer in found.layers if not layer.macs]
    assert len(extra) == 2 and all(layer.mode == "pointwise" for layer in extra[1:])


def test_joined_maps_are_whole_where_others_run_in_strips() -> None:
    own = Joined(height=40, width=12)
    x = own.conv("input", 16, 3)
    for _ in range(2):
        y = own.conv(own.conv(x, 64), 64, 3, groups=64)
        x = own.concat(own.conv(y, 16), x)
    network = network_of(own.model(own.conv(x, 4)))
    board, array = load_board("s10gx2800"), ArrayShape(16, 4)
    whole = make_plan(network, board, array)
    plan = limited_plan(network, board, array, whole.map_bytes // 2)
    cut = {layer.index for layer in plan.layers if layer.steps > 1}
    assert cut and not plan.through.bases
    found = network.fit(16)
    shared = {layer.index for layer in found.layers if layer.shared}
    inner = {index for part in plan.segments for index in range(part.first, part.last)}
    assert shared and not shared & inner


@pytest.mark.parametrize("make", [fires, u_net, dense_block, shuffle_units])
def test_plans_of_all_shapes(make: Callable[[], QuantizedModel]) -> None:
    board = load_board("s10gx2800")
    for units, pixels, frames in ((16, 4, 1), (8, 7, 1), (24, 2, 2), (32, 8, 1)):
        plan = make_plan(make(), board, ArrayShape(units, pixels, frames), must_fit=False)
        assert plan.proofs and plan.modelled_cycles > 0
