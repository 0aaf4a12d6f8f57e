"""Frames in flight on the devices, and arrays of other units: equal to the reference everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conv_chains import chain
from conv_plans import BOARD
from device_client import DeviceClient
from random_networks import Family, random_frames, random_network
from strip_networks import blocks, random_segments
from tiers import thinned

from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.target import TARGET, ConvPlan
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]

# seed, weight formats, a multiplier in requantisation, units, pixels, frames
CASES: tuple[tuple[int, Family, bool, int, int, int], ...] = (
    (301, "two-term", False, 16, 4, 2),
    (302, "mixed", True, 16, 3, 3),
    (303, "multiplier", False, 32, 2, 2),
    (304, "nibble", False, 16, 1, 5),
    (305, "mixed", False, 8, 4, 1),
    (306, "nibble", True, 8, 3, 3),
    (307, "multiplier", False, 24, 3, 1),
    (308, "mixed", False, 24, 2, 2),
    (309, "two-term", False, 48, 2, 1),
    (310, "multiplier", True, 48, 1, 3),
    (311, "nibble", False, 48, 1, 2),
    (312, "multiplier", False, 8, 1, 2),
)
LAYERS = 12


@pytest.fixture(scope="module")
def networks() -> list[QuantizedModel]:
    return [
        random_network(
            seed, family=family, multiplier_requant=multiplier, layers=LAYERS, orders=seed % 2 == 0
        )
        for seed, family, multiplier, *_ in CASES
    ]


def check(model: QuantizedModel, folder: Path, seed: int, count: int, client: DeviceClient) -> None:
    """count: frames, all of them different. Fails with the first divergence."""
    frames = random_frames(model, seed, frames=count)
    golden = run_golden(model, frames)
    found = client.run(folder, frames)
    order = [name for name in tensor_order(model) if name in found]
    assert all(len(found[name]) == count for name in order)
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is None, f"seed {seed} on {client.device}: {divergence}"


@pytest.mark.parametrize("case", thinned(range(len(CASES)), 4))
def test_random_layers_with_frames_in_flight(
    case: int, networks: list[QuantizedModel], generated: Generate, on_device: OnDevice
) -> None:
    """The last batch is full, or has room for one more, or holds one frame."""
    seed, _, _, units, pixels, flight = CASES[case]
    folder = generated(networks[case], units, pixels, flight)
    count = 2 * flight - (0, 1, flight - 1)[case % 3]
    check(networks[case], folder, seed, count, on_device("pocl"))


@pytest.mark.parametrize("depthwise", [False, True])
def test_results_of_32_bits_leave_frame_by_frame(
    depthwise: bool, generated: Generate, on_device: OnDevice
) -> None:
    """Rows of two whole tiles and a part of one, several channel groups."""
    last: dict[str, Any] = {"out": 40, "kernel": 3, "padding": (1, 1, 1, 1)}
    last["groups"] = 40 if depthwise else 1
    model = chain({"out": 40, "kernel": 1}, {**last, "wide": True}, channels=3, height=5, width=10)
    check(model, generated(model, 16, 4, 3), 5, 4, on_device("pocl"))


@pytest.mark.parametrize("seed", [3, 5])
def test_layers_in_strips_with_frames_in_flight(
    seed: int, tmp_path: Path, on_device: OnDevice
) -> None:
    network, rng = network_of(blocks(seed)), random.Random(seed)
    array = array_for(network, 16, 3, 2)
    segments = random_segments(network, rng)
    assert segments
    plan = make_plan(network, BOARD, array, segments=segments)
    folder = tmp_path / "project"
    TARGET.emit(ConvPlan(network, plan)).write(folder)
    check(network.model, folder, seed, 3, on_device("pocl"))


@pytest.mark.parametrize("device", ["intel-fpga-emu", "intel-cpu"])
@pytest.mark.parametrize("case", thinned([1, 7], 2))
def test_frames_in_flight_on_other_devices(
    case: int, device: str, networks: list[QuantizedModel], generated: Generate, on_device: OnDevice
) -> None:
    seed, _, _, units, pixels, flight = CASES[case]
    folder = generated(networks[case], units, pixels, flight)
    check(networks[case], folder, seed, flight + 1, on_device(device))
