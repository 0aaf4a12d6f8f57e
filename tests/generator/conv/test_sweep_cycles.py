"""The cycle model over points gives the cycles of plans: the same rules on arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mobilenet import mobilenet_v2
from random_networks import random_network
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.latencies import board_latencies, bytes_per_cycle
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.options import UNITS
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.sweep.cycles import model_rows
from shiftforge.generator.conv.sweep.rows import Row, RowMaker, stack_rows
from shiftforge.quant.graph.types import QuantizedModel

BOARD = load_board("a10gx1150")
DEPTHS = [Depths(o, w, i) for o in (8, 64, 256) for w in (16, 64) for i in (8, 16, 64)]


def with_bandwidth(board: Board, factor: float) -> Board:
    memory = replace(board.memory, bandwidth_gb_s=board.memory.bandwidth_gb_s * factor)
    return replace(board, memory=memory)


def rows_of(network: Network, units: int, board: Board, pixels: range) -> list[Row]:
    maker = RowMaker(network, 0, board_latencies(board))
    return [maker.row(array_for(network, units, p, 1 + p % 3)) for p in pixels]


def differences(
    network: Network, board: Board, units: int, pixels: range, checked: int, seed: int
) -> list[float]:
    """Relative differences of points from plans; every row's RAM and f are checked too."""
    rows, rate = rows_of(network, units, board, pixels), bytes_per_cycle(board)
    found = model_rows(stack_rows(rows, rate), DEPTHS, board_latencies(board))
    assert found.shape == (len(rows), len(DEPTHS))
    rng, off = np.random.default_rng(seed), []
    for row in rng.choice(len(rows), min(checked, len(rows)), replace=False):
        column = int(rng.integers(len(DEPTHS)))
        own = rows[row]
        plan = make_plan(network, board, own.array, must_fit=False, depths=DEPTHS[column])
        off.append(found[row, column] / plan.modelled_cycles - 1)
        assert own.bound_lines == plan.memory.lower_bound_lines
        assert own.f == pytest.approx(plan.second_terms)
        assert own.lowered.weight_words == plan.weight_words
    return off


@pytest.mark.parametrize("name", ["a10gx1150", "de10_nano"])
@pytest.mark.parametrize("units", thinned(UNITS, 2))
def test_mobilenet_v2_has_its_plans_cycles(name: str, units: int) -> None:
    network = network_of(mobilenet_v2(224))
    off = differences(network, load_board(name), units, range(1, 17), 6, units)
    assert np.abs(off).max() < 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_have_their_plans_cycles(seed: int) -> None:
    """On boards of all bandwidths: where array, weights or image is what decides."""
    network = network_of(random_network(seed, layers=6))
    board = with_bandwidth(BOARD, (1.0, 0.1, 0.01)[seed % 3])
    off = differences(network, board, UNITS[seed % len(UNITS)], range(1, 17, 2), 6, seed)
    # Sums in another order: a cycle at a half.
    assert np.abs(off).max() < 1e-4


def test_a_row_that_is_not_as_the_plan_is_seen() -> None:
    """The comparison above notices a layer that takes an iteration a tile longer."""
    network = network_of(mobilenet_v2(96))
    rows, rate = rows_of(network, 16, BOARD, range(6, 8)), bytes_per_cycle(BOARD)
    layer = rows[1].times[2]
    longer = replace(layer, last_complete=layer.last_complete * 1.1, conv=layer.conv * 1.1)
    times = (*rows[1].times[:2], longer, *rows[1].times[3:])
    own = board_latencies(BOARD)
    right, wrong = (
        model_rows(stack_rows(given, rate), DEPTHS[:1], own)
        for given in (rows, [rows[0], replace(rows[1], times=times)])
    )
    assert right[0, 0] == wrong[0, 0] and wrong[1, 0] > right[1, 0]


def stored_image(model: QuantizedModel) -> bool:
    return not network_of(model).scheduled.streamed


def test_networks_that_store_their_image_are_among_them() -> None:
    own = [s for s in range(40) if stored_image(random_network(s, layers=6))]
    assert own
    network = network_of(random_network(own[0], layers=6))
    assert np.abs(differences(network, BOARD, 16, range(1, 9), 5, 0)).max() < 1e-4
