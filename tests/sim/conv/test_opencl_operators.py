"""Operators beside the usual ones on the devices: networks of random layers of them, and faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clocked_runs import count
from conv_chains import chain
from conv_faults import locate
from device_client import DeviceClient
from kept_models import kept_where_it_fails
from move_cases import shuffle_units, u_net
from packed_records import change_field
from random_maps import random_maps
from random_networks import Family, Operator, random_frames, random_network

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
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]

FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier", "mixed", "nibble")
# Units, pixels, frames in flight.
SHAPES = (
    (16, 7, 1), (32, 4, 1), (16, 1, 4), (16, 3, 2), (32, 8, 1), (16, 8, 1), (32, 1, 3), (8, 4, 2),
    (24, 3, 1), (48, 2, 1), (24, 1, 2), (8, 7, 1),
)  # fmt: skip
OPERATORS: tuple[Operator, ...] = ("kernel",)
FUZZ_NETWORKS = 1000
KINDS: tuple[type, ...] = (
    Conv, MaxPool, Add, Pool, Concat, Slice, Shuffle, Table, AveragePool, Upsample
)  # fmt: skip
"""Of the integer graph, what the array runs so far in any order."""


def network(seed: int, layers: int = 9, sides: tuple[int, int] = (1, 24)) -> QuantizedModel:
    return random_network(
        seed, layers=layers, family=FAMILIES[seed % 5], multiplier_requant=seed % 2 == 1,
        orders=seed % 4 < 2, sides=sides, operators=OPERATORS,
    )  # fmt: skip


def check(model: QuantizedModel, folder: Path, seed: int, client: DeviceClient) -> None:
    """Fails with the first divergence; channels are as deep as in hardware."""
    frames = random_frames(model, seed, 2)
    golden = run_golden(model, frames)
    found = client.run(folder, frames, strict_depth=True)
    order = [name for name in tensor_order(model) if name in found]
    assert len(order) == len(found)
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is None, f"seed {seed} on {client.device}: {divergence}"


@pytest.mark.parametrize(
    ("device", "seed"),
    [
        ("pocl", 1), ("intel-fpga-emu", 7),
        *(pytest.param("pocl", seed, marks=pytest.mark.slow) for seed in (0, 2, 3, 4)),
        pytest.param("intel-fpga-emu", 0, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_random_networks_equal_the_reference(
    device: str, seed: int, generated: Generate, on_device: OnDevice
) -> None:
    model = network(seed)
    check(model, generated(model, *SHAPES[seed % len(SHAPES)]), seed, on_device(device))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 5 + FUZZ_NETWORKS))
def test_many_random_networks(seed: int, generated: Generate, on_device: OnDevice) -> None:
    """What fails is kept as a model file under out/fuzz. Every eighth one also on the emulator."""
    model = network(seed)
    folder = generated(model, *SHAPES[seed % len(SHAPES)])
    with kept_where_it_fails(model, f"operators{seed}"):
        for device in ("pocl", *(("intel-fpga-emu",) if seed % 8 == 0 else ())):
            check(model, folder, seed, on_device(device))


@pytest.mark.parametrize(
    ("device", "seed"),
    [
        ("pocl", 22), ("intel-fpga-emu", 16),
        *(pytest.param("pocl", seed, marks=pytest.mark.slow) for seed in (5, 16, 28)),
    ],
)  # fmt: skip
def test_random_maps_equal_the_reference(
    device: str, seed: int, generated: Generate, on_device: OnDevice
) -> None:
    model = random_maps(seed, nodes=10, kinds=KINDS, more=seed % 3, on_array=True)
    check(model, generated(model, *SHAPES[seed % len(SHAPES)]), seed, on_device(device))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 30 + FUZZ_NETWORKS))
def test_many_random_maps(seed: int, generated: Generate, on_device: OnDevice) -> None:
    """Every eighth one also on the emulator."""
    model = random_maps(seed, nodes=10, kinds=KINDS, more=seed % 3, on_array=True)
    folder = generated(model, *SHAPES[seed % len(SHAPES)])
    for device in ("pocl", *(("intel-fpga-emu",) if seed % 8 == 0 else ())):
        check(model, folder, seed, on_device(device))


@pytest.mark.device("pocl")
@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_counted_cycles_of_pools_are_the_modelled_ones(number: int, generated: Generate) -> None:
    kinds = (Conv, MaxPool)
    drawn = ((seed, random_maps(seed, nodes=14, kinds=kinds, sides=(12, 30))) for seed in range(99))
    several = [(s, m) for s, m in drawn if sum(isinstance(n, MaxPool) for n in m.nodes) > 1]
    seed, model = several[number]
    counted = count(generated(model, 16, 8), random_frames(model, seed, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


@pytest.mark.device("pocl")
@pytest.mark.parametrize("make", [u_net, shuffle_units])
def test_counted_cycles_of_what_moves_are_the_modelled_ones(
    make: Callable[[], QuantizedModel], generated: Generate
) -> None:
    model = make()
    counted = count(generated(model, 16, 4), random_frames(model, 1, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


@pytest.mark.parametrize(
    ("field", "by"),
    [("base", 1), ("out_base", -1), ("a2", 1)],
    ids=["first channel group", "base in a concatenation", "next channel group"],
)
def test_a_wrong_place_of_a_moved_map_is_located(
    field: str, by: int, generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    """The last unit's part of a concatenation and what reads half of it, planted a line apart."""
    model = u_net(32)
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    # The fourth layer is the second part of the map that the fifth reads.
    layer = 3 if field == "out_base" else 4
    change_field(folder, "controller", layer, field, by)
    divergence = locate(model, folder, random_frames(model, 3), on_device("pocl"))
    assert divergence.node == model.conv_nodes()[layer].name


@pytest.mark.device("pocl")
@pytest.mark.parametrize("seed", [2, pytest.param(0, marks=pytest.mark.slow)])
def test_counted_cycles_are_the_modelled_ones(seed: int, generated: Generate) -> None:
    model = network(seed, layers=7, sides=(6, 24))
    counted = count(generated(model, *SHAPES[seed]), random_frames(model, seed, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


CUT = {"out": 64, "kernel": (5, 8), "groups": 2, "padding": (2, 3, 2, 3)}


@pytest.mark.parametrize(
    ("kernel", "field", "by"),
    [("controller", "column", -1), ("controller", "a8", 1), ("conv", "column_step", -1)],
)  # fmt: skip
def test_a_wrong_offset_of_a_window_or_a_group_is_located(
    kernel: str, field: str, by: int, generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    """The last window's columns, and the channels that a group reads."""
    model = chain({"out": 64, "kernel": 1}, CUT, {"out": 4, "kernel": 1}, channels=3, height=6,
                  width=13)  # fmt: skip
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    check(model, folder, 3, on_device("pocl"))
    change_field(folder, kernel, 1, field, by)
    divergence = locate(model, folder, random_frames(model, 3), on_device("pocl"))
    assert divergence.node == "conv1"
    if field == "a8":
        # The first group's channels are right.
        assert divergence.index("channel") == 32
