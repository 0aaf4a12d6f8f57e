"""Strips with simulated time: the reference's integers, and the model's cycles by step."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from clocked_runs import count
from mobilenet import mobilenet_v2
from random_networks import random_frames
from strip_networks import blocks, random_segments
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.strips import limited_plan
from shiftforge.generator.conv.target import TARGET, ConvPlan

# Seeds with additions, strips of the image, and steps whose lines are all below the map.
SEEDS = (43, 49, 53, 54)


@pytest.mark.device("pocl")
@pytest.mark.parametrize("seed", thinned(SEEDS, 2))
def test_random_strips(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    network = network_of(blocks(seed))
    array = array_for(network, rng.choice((16, 32)), rng.randint(1, 9))
    plan = make_plan(
        network, load_board("s10gx2800"), array, segments=random_segments(network, rng),
        tight=seed % 2 == 1,
    )  # fmt: skip
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    own = count(tmp_path / "p", random_frames(network.model, seed), check=True)
    assert own.found.steady
    assert own.outputs.maps and own.mismatches(network.model) == []
    assert own.deviations() == []
    total = sum(step.cycles.modelled for step in plan.steps)
    assert abs(own.found.cycles - total) <= 0.01 * total


@pytest.mark.device("pocl")
@pytest.mark.slow
def test_mobilenet_v2_within_400_000_bytes_counts_no_ten_per_cent_more(tmp_path: Path) -> None:
    network, board = network_of(mobilenet_v2(224)), load_board("a10gx1150")
    array = array_for(network, 16, 8)
    whole = make_plan(network, board, array, must_fit=False)
    plan = limited_plan(network, board, array, 400_000)
    frames, found = random_frames(network.model, 1, 1), []
    for name, own in (("whole", whole), ("strips", plan)):
        TARGET.emit(ConvPlan(network, own)).write(tmp_path / name)
        counted = count(tmp_path / name, frames)
        assert counted.mismatches(network.model) == []
        found.append(counted.found.cycles)
        assert abs(counted.found.cycles - own.modelled_cycles) <= 0.01 * own.modelled_cycles
    assert plan.map_bytes <= 400_000
    assert found[1] <= 1.1 * found[0]
