"""Weight words in several narrow beats, on the devices: equal to the reference everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from device_client import DeviceClient
from narrow_beats import ROOMY, classifier, narrow_project
from random_networks import Family, random_frames, random_network
from tiers import thinned

from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]

# seed, weight formats, units, pixels, frames in flight, beats a word, bytes of a beat
CASES: tuple[tuple[int, Family, int, int, int, int, int], ...] = (
    (401, "mixed", 8, 4, 1, 3, 16),
    (402, "nibble", 8, 2, 2, 3, 16),
    (403, "mixed", 24, 2, 1, 4, 32),
    (404, "one-term", 48, 1, 1, 7, 32),
)


def check(model: QuantizedModel, folder: Path, seed: int, client: DeviceClient) -> None:
    frames = random_frames(model, seed, frames=3)
    golden, found = run_golden(model, frames), client.run(folder, frames)
    order = [name for name in tensor_order(model) if name in found]
    divergence = first_divergence(golden, found, order, model=model)
    assert order and divergence is None, f"seed {seed} on {client.device}: {divergence}"


@pytest.mark.parametrize(
    ("device", "case"),
    thinned([*(("pocl", n) for n in range(len(CASES))), ("intel-fpga-emu", 0)], 2),
)
def test_random_layers(device: str, case: int, tmp_path: Path, on_device: OnDevice) -> None:
    seed, family, units, pixels, flight, beats, size = CASES[case]
    model = random_network(seed, family=family, layers=8)
    folder = narrow_project(model, tmp_path / "project", units, pixels, flight, ROOMY)
    text = (folder / "device/accelerator.cl").read_text()
    assert f"#define SF_BEATS_A_WORD {beats}\n" in text
    assert f"bytes_t code[{size // 8}]; }} weight_beat_t __attribute__((aligned({size})))" in text
    check(model, folder, seed, on_device(device))


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_a_classifier(device: str, tmp_path: Path, on_device: OnDevice) -> None:
    model = classifier()
    check(model, narrow_project(model, tmp_path / "project", 8, 1), 5, on_device(device))
