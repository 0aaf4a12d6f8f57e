"""Networks of several outputs on the devices: heads, maps that are read as well, planted faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clocked_runs import count
from device_client import DeviceClient
from move_cases import Joined, heads
from random_networks import random_frames

from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]


def of_all_kinds() -> QuantizedModel:
    """Heads of 32 and of 8 bits, a vector, and maps that are joined, read, cut or pooled."""
    own = Joined()
    x = own.conv("input", 20, 3)
    y = own.conv(x, 24, 3)
    joined = own.concat(x, y)
    pooled = own.pool(own.conv(joined, 10))
    last = own.wide(pooled, 7)
    return own.model(last, joined, y, own.conv(joined, 5), own.slice(y, 3, 9), pooled)


def differing(model: QuantizedModel, folder: Path, client: DeviceClient) -> list[str]:
    """The outputs that are not the reference's."""
    frames = random_frames(model, 1, 3)
    golden = run_golden(model, frames)
    found = client.run(folder, frames, strict_depth=True)
    return [name for name in model.outputs if not np.array_equal(golden[name], found[name])]


@pytest.mark.parametrize(
    ("make", "device", "shape"),
    [(heads, "intel-fpga-emu", (16, 4, 1)), (of_all_kinds, "pocl", (8, 3, 2))],
)  # fmt: skip
def test_every_output_equals_the_reference(
    make: Callable[[], QuantizedModel], device: str, shape: tuple[int, int, int],
    generated: Generate, on_device: OnDevice,
) -> None:  # fmt: skip
    model = make()
    assert differing(model, generated(model, *shape), on_device(device)) == []


def test_heads_need_no_copy_and_others_have_one() -> None:
    assert [layer.macs > 0 for layer in schedule(heads()).layers] == [True] * 4
    copies = [layer for layer in schedule(of_all_kinds()).layers if not layer.macs]
    assert {layer.leaves_as for layer in copies} == {"t2", "t1", "t7", "t4"}
    assert all(layer.direct for layer in copies)


@pytest.mark.device("pocl")
def test_counted_cycles_are_the_modelled_ones(generated: Generate) -> None:
    model = heads()
    counted = count(generated(model, 16, 4), random_frames(model, 1, 1))
    assert counted.deviations() == []


@pytest.mark.device("pocl")
def test_outputs_come_without_a_check_too(generated: Generate) -> None:
    model = heads()
    frames = random_frames(model, 2, 1)
    found = emulate(generated(model, 16, 4), "pocl", frames)
    golden = run_golden(model, frames)
    assert np.array_equal(found.outputs.reshape(golden["t2"].shape), golden["t2"])
    assert found.traces is not None and list(found.traces) == ["t3"]
    assert np.array_equal(found.traces["t3"], golden["t3"])


def test_a_wrong_place_of_an_output_is_located(
    generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    """The planted fault: the second head is taken a beat before where it lies."""
    model = heads()
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    path = folder / "shiftforge.json"
    manifest = json.loads(path.read_text())
    manifest["more_outputs"][0]["first"] -= 1
    path.write_text(json.dumps(manifest))
    assert differing(model, folder, on_device("pocl")) == ["t3"]
