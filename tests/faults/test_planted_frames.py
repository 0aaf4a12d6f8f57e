"""Frames in flight that are mixed up: the fault is located by layer and frame."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain, with_room
from conv_faults import replace_text
from device_client import DeviceClient
from random_networks import random_frames
from tiers import thinned

from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

UNITS, PIXELS, FLIGHT = 16, 3, 3
AROUND = {"kernel": 3, "padding": (1, 1, 1, 1)}
# What the last of three frames takes from the one before it.
MIXED = {
    "image": (
        "line.px[i] = beat.px[i];",
        "line.px[i] = beat.px[i < 2 * SF_PIXELS * SF_VECTORS ? i : i - SF_PIXELS * SF_VECTORS];", 0,
    ),
    "depthwise": (
        "const int at = (frame * SF_PIXELS +", "const int at = (min(frame, 1) * SF_PIXELS +", 1,
    ),
    "standard": (
        "                  [(frame * SF_PIXELS +",
        "                  [(min(frame, 1) * SF_PIXELS +", 2,
    ),
    "pointwise": (
        "as_uchar8(s->ring[p][0])",
        "as_uchar8(s->ring[p < 2 * SF_PIXELS ? p : p - SF_PIXELS][0])", 0,
    ),
    "line": (
        "= fm[s->address];",
        "= fm[s->address];\n    for (int i = SF_LINE - SF_PIXELS * SF_VECTORS; i < SF_LINE; ++i)\n"
        "      held.px[i] = held.px[i - SF_PIXELS * SF_VECTORS];", 1,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return with_room(
        chain(
            {"out": 20, "stride": 2, **AROUND}, {"out": 20, "groups": 20, **AROUND},
            {"out": 18, **AROUND}, {"out": 21, "kernel": 1},
            channels=3, height=13, width=11,
        )
    )  # fmt: skip


@pytest.mark.parametrize("fault", thinned(MIXED, 2))
def test_a_frame_that_takes_another_ones_values_is_located(
    fault: str, model: QuantizedModel, generated: Callable[..., Path], tmp_path: Path,
    on_device: Callable[[str], DeviceClient],
) -> None:  # fmt: skip
    layers = schedule(model).layers
    modes = ["pointwise", "depthwise", "standard", "pointwise"]
    assert [layer.mode for layer in layers] == modes
    folder = tmp_path / "project"
    shutil.copytree(generated(model, UNITS, PIXELS, FLIGHT), folder)
    old, new, layer = MIXED[fault]
    replace_text(folder, old, new)
    if fault == "line":
        replace_text(folder, "const stored_line_t held", "stored_line_t held")
    frames = random_frames(model, 3, frames=2 * FLIGHT)
    golden, found = run_golden(model, frames), on_device("pocl").run(folder, frames)
    order = [name for name in tensor_order(model) if name in found]
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is not None, "the fault was not seen"
    assert divergence.stage == layers[layer].result.name
    assert divergence.index("frame") == FLIGHT - 1
    wrong = np.argwhere(golden[divergence.stage] != found[divergence.stage])
    assert set(wrong[:, 0] % FLIGHT) == {FLIGHT - 1}


def test_what_fills_the_last_batch_is_dropped(
    model: QuantizedModel, generated: Callable[..., Path], on_device: Callable[[str], DeviceClient]
) -> None:
    """Zeros fill the last batch: as many frames come back as were given, and no other."""
    folder = generated(model, UNITS, PIXELS, FLIGHT)
    frames = random_frames(model, 3, frames=FLIGHT + 1)
    golden, found = run_golden(model, frames), on_device("pocl").run(folder, frames)
    assert all(np.array_equal(golden[name], found[name]) for name in found)
    alone = on_device("pocl").run(folder, frames[-1:])
    assert all(np.array_equal(golden[name][-1:], alone[name]) for name in alone)
