"""A thousand random networks: several frames at once, strips of rows, maps in global memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from device_checks import check_equal
from device_client import DeviceClient
from kept_models import kept_where_it_fails
from random_networks import Family, random_network
from strip_networks import blocks, random_array, random_segments
from travelling_networks import travelling

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.target import TARGET, ConvPlan

OnDevice = Callable[[str], DeviceClient]
BOARD = load_board("s10gx2800")
FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier", "mixed", "nibble")
# Units, pixels, frames in flight: small arrays, whose text compiles quickly.
SHAPES = ((8, 1, 2), (8, 2, 2), (16, 1, 3), (8, 3, 1), (16, 2, 1), (8, 1, 4))
TESTS, NETWORKS = 100, 10


def in_flight(seed: int) -> tuple[Network, Plan]:
    """A few layers of any kind, on an array for several frames."""
    family = FAMILIES[seed // 3 % 5]
    multiplied = seed % 2 == 1
    model = random_network(
        seed, layers=4, family=family, multiplier_requant=multiplied, sides=(1, 14),
        orders=seed % 4 < 2,
    )  # fmt: skip
    network = network_of(model)
    shape = SHAPES[seed // 3 % len(SHAPES)]
    return network, make_plan(network, BOARD, array_for(network, *shape))


def in_strips(seed: int) -> tuple[Network, Plan]:
    """Blocks of layers in random strips; every other one with the least delay of results."""
    network = network_of(blocks(seed, FAMILIES[seed // 3 % 4]))
    segments = random_segments(network, random.Random(seed))
    array = random_array(network, seed)
    return network, make_plan(network, BOARD, array, segments=segments, tight=seed % 2 == 1)


def planned(seed: int) -> tuple[Network, Plan]:
    """The kinds take turns."""
    return (in_flight, in_strips, travelling)[seed % 3](seed)


def check(seed: int, folder: Path, client: DeviceClient) -> None:
    """Fails with the first divergence, and keeps the model under out/fuzz."""
    network, plan = planned(seed)
    TARGET.emit(ConvPlan(network, plan)).write(folder)
    with kept_where_it_fails(network.model, f"many{seed}"):
        check_equal(network.model, network.layers, folder, seed, client, frames=3)


@pytest.mark.parametrize("seed", [50_000, 50_001, 50_002])
def test_a_network_of_each_kind(seed: int, tmp_path: Path, on_device: OnDevice) -> None:
    check(seed, tmp_path / "p", on_device("pocl"))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TESTS))
def test_a_thousand_networks(number: int, tmp_path: Path, on_device: OnDevice) -> None:
    """Ten networks each; every tenth one on the FPGA emulator, the others on PoCL."""
    for own in range(NETWORKS):
        seed = 60_000 + number * NETWORKS + own
        device = "intel-fpga-emu" if own == number % NETWORKS else "pocl"
        check(seed, tmp_path / str(seed), on_device(device))
