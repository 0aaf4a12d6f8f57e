"""Points of a design space: their areas are those of plans, their RAM a lower bound; the front."""

from __future__ import annotations

import numpy as np
import pytest
from mobilenet import mobilenet_v2
from narrow_beats import ROOMY
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.latencies import bytes_per_cycle
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import make_plan
from shiftforge.generator.conv.search import find_plan
from shiftforge.generator.conv.sweep.front import not_dominated
from shiftforge.generator.conv.sweep.model import model_points
from shiftforge.generator.conv.sweep.points import (
    Points,
    Space,
    choices_of,
    depth_columns,
    point_options,
)
from shiftforge.generator.conv.weights import weight_beats
from shiftforge.quant.graph.types import QuantizedModel

BOARD = load_board("a10gx1150")
SPACE = Space(units=(16, 32), pixels=(1, 4, 7), frames=(1, 3), depths=depth_columns(216)[::5])


def checked(
    model: QuantizedModel,
    seed: int,
    board: Board = BOARD,
    space: Space = SPACE,
    off: float = 0.0,
) -> tuple[Points, int]:
    """Points of a model, some of which are held against plans; how many RAM bounds were exact.
    off: of cycles, at most."""
    points, exact = model_points(choices_of(model), board, space), 0
    for point in np.random.default_rng(seed).choice(len(points), 8, replace=False):
        own = points.choice(int(point)).network, board, points.array(int(point))
        plan = make_plan(*own, must_fit=False, depths=points.depth(int(point)))
        assert points.cycles[point] == pytest.approx(plan.modelled_cycles, rel=off, abs=0)
        assert points.alm[point] == plan.area.alm
        assert points.dsp[point] == plan.area.dsp
        assert points.ram_blocks[point] <= plan.area.ram_blocks
        assert points.map_bytes[point] <= plan.area.map_bytes
        memory = plan.memory
        if power_of_two(memory.lower_bound_lines) == power_of_two(memory.total_lines):
            assert points.ram_blocks[point] == plan.area.ram_blocks
            exact += 1
        assert points.fps[point] == pytest.approx(plan.modelled_fps, rel=max(off, 1e-6))
        assert points.utilisation[point] == pytest.approx(plan.utilisation, rel=max(off, 1e-6))
    return points, exact


def test_the_points_of_mobilenet_v2_are_its_plans() -> None:
    points, exact = checked(mobilenet_v2(96), 0)
    assert exact
    keys = {(points.array(i), points.depth(i)) for i in range(len(points))}
    assert len(keys) == len(points) == 2 * 3 * 2 * len(SPACE.depths)


def test_points_with_words_of_several_beats_are_their_plans() -> None:
    """Late images and weights add up in another order."""
    space = Space(units=(8, 24, 48), pixels=(1, 4), frames=(1,), depths=SPACE.depths)
    points, _ = checked(mobilenet_v2(96), 3, ROOMY, space, 1e-4)
    arrays = [points.array(i) for i in range(len(points))]
    assert {weight_beats(own, bytes_per_cycle(ROOMY)).count for own in arrays} == {3, 4, 7}


@pytest.mark.slow
def test_points_in_strips_are_near_their_plans() -> None:
    """Of their RAM exactly; cycles are estimated from the number of invocations."""
    model = mobilenet_v2(96)
    space = Space(units=(16, 24), pixels=(4, 7), frames=(1, 2), strips=True)
    points = model_points(choices_of(model), BOARD, space)
    own = np.flatnonzero(points.in_strips & points.fits)
    assert len(own) > 12
    for point in np.random.default_rng(1).choice(own, 6, replace=False):
        plan = find_plan(model, BOARD, Options(**point_options(points, int(point)))).plan
        assert len(plan.steps) > len(plan.layers)
        assert plan.modelled_cycles == pytest.approx(points.cycles[point], rel=0.02)
        assert plan.area.ram_blocks <= points.ram_blocks[point]
        assert plan.area.alm == pytest.approx(points.alm[point], rel=0.002)
        assert plan.map_bytes <= points.map_bytes[point]


@pytest.mark.parametrize("seed", range(4))
def test_the_points_of_random_networks_are_their_plans(seed: int) -> None:
    checked(random_network(seed, layers=6), seed)


def test_depths_are_distinct_and_begin_with_the_usual_ones() -> None:
    found = depth_columns(1000)
    assert len(found) == len(set(found)) == 6**3
    assert depth_columns(1) == found[:1]


@pytest.mark.parametrize("seed", range(6))
def test_the_front_is_that_of_a_plain_search(seed: int) -> None:
    """Against the definition, with equal rows and equal figures among them."""
    figures = np.random.default_rng(seed).integers(0, 6, (700, 3)).astype(float)
    plain = [
        not ((figures <= one).all(axis=1) & (figures < one).any(axis=1)).any() for one in figures
    ]
    assert not_dominated(figures).tolist() == plain
