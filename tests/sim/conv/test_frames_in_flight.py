"""Frames in flight on the devices, and arrays of other units: equal to the reference everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from device_client import DeviceClient
from random_networks import Family, random_frames, random_network

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


@pytest.mark.parametrize("case", range(len(CASES)))
def test_random_layers_with_frames_in_flight(
    case: int, networks: list[QuantizedModel], generated: Generate, on_device: OnDevice
) -> None:
    """The last batch is full, or has room for one more, or holds one frame."""
    seed, _, _, units, pixels, flight = CASES[case]
    folder = generated(networks[case], units, pixels, flight)
    count = 2 * flight - (0, 1, flight - 1)[case % 3]
    check(networks[case], folder, seed, count, on_device("pocl"))


@pytest.mark.parametrize("case", [1, 7])
def test_frames_in_flight_on_intels_emulator(
    case: int, networks: list[QuantizedModel], generated: Generate, on_device: OnDevice
) -> None:
    seed, _, _, units, pixels, flight = CASES[case]
    folder = generated(networks[case], units, pixels, flight)
    check(networks[case], folder, seed, flight + 1, on_device("intel-fpga-emu"))
