"""Planted faults: each is caught, and the report says where it is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from device_client import DeviceClient
from numpy.typing import NDArray
from random_networks import random_frames

from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.instruction import instruction_fields
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.manifest import read_manifest
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.conv.layers import Divergence, first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

UNITS, PIXELS, TAPS = 16, 7, 9
TEXT = "device/accelerator.cl"
FIELDS = [name for name, _ in instruction_fields()]

OnDevice = Callable[[str], DeviceClient]


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return random_model(5, ModelOptions(height=12, width=11))


@pytest.fixture
def project(model: QuantizedModel, generated: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy of the design to damage."""
    folder = tmp_path / "project"
    shutil.copytree(generated(model, UNITS, PIXELS), folder)
    return folder


@pytest.fixture(scope="module")
def frames(model: QuantizedModel) -> NDArray[np.int64]:
    return random_frames(model, 7)


def replace_text(folder: Path, old: str, new: str) -> None:
    path = folder / TEXT
    text = path.read_text()
    assert text.count(old) == 1, f"the text holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def replace_word(folder: Path, layer: int, field: str, change: int) -> None:
    path = folder / "data/program.bin"
    program = np.fromfile(path, np.int32).reshape(-1, len(FIELDS))
    program[layer, FIELDS.index(field)] += change
    program.tofile(path)


def weight_place(model: QuantizedModel, layer: int, tap: int, unit: int) -> int:
    """Byte of weights.bin that holds a code of the layer's first weight word (two-term codes)."""
    array = ArrayShape(UNITS, PIXELS)
    words = 0
    for earlier in schedule(model).layers[:layer]:
        tiling = tile_layer(earlier, array)
        words += tiling.out_groups * tiling.weight_words
    return (words * TAPS + tap) * UNITS + unit


def locate(
    model: QuantizedModel, folder: Path, frames: NDArray[np.int64], client: DeviceClient
) -> Divergence:
    found = client.run(folder, frames)
    golden = run_golden(model, frames)
    order = [name for name in tensor_order(model) if name in found]
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is not None, "the fault was not seen"
    return divergence


DEVICES = pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])


@DEVICES
def test_a_flipped_weight_code_names_its_layer_and_channel(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    layer, channel = 1, 3
    path = project / "data/weights.bin"
    data = bytearray(path.read_bytes())
    data[weight_place(model, layer, tap=4, unit=channel)] ^= 0x07
    path.write_bytes(bytes(data))
    divergence = locate(model, project, frames, on_device(device))
    assert divergence.stage == schedule(model).layers[layer].result.name
    assert divergence.source == schedule(model).layers[layer].source
    golden = run_golden(model, frames)[divergence.stage]
    found = on_device(device).run(project, frames)[divergence.stage]
    channels = np.unique(np.argwhere(golden != found)[:, 1])
    assert channels.tolist() == [channel] == [divergence.index("channel")]


@pytest.mark.parametrize(
    ("layer", "field"), [(2, "in_base"), (5, "skip_base"), (3, "out_base")], ids=str
)
def test_a_wrong_base_address_names_the_layer(
    layer: int, field: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64],
    on_device: OnDevice,
) -> None:  # fmt: skip
    layers = schedule(model).layers
    assert (layers[layer].add is not None) == (field == "skip_base")
    replace_word(project, layer, field, 1)
    divergence = locate(model, project, frames, on_device("pocl"))
    # What is stored at a wrong place is right in the trace, and wrong where it is read.
    reader = layer + 1 if field == "out_base" else layer
    add = layers[reader].add
    assert divergence.node in {layers[reader].conv.name, add.name if add is not None else ""}


@DEVICES
def test_swapped_taps_name_the_first_layer_that_has_them(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    """Rows and columns of the window are exchanged: only 3x3 layers with a line buffer differ."""
    old = "const int column = origin + p * in.stride + tap % 3;\n      x[i] = SF_LOAD("
    text = (project / TEXT).read_text()
    assert text.count(old) == 1
    start = text.index(old)
    end = text.index(";\n    }", start)
    window = text[start:end]
    swapped = window.replace("tap % 3", "tap / 3").replace("window[tap / 3]", "window[tap % 3]")
    assert window != swapped
    (project / TEXT).write_text(text[:start] + swapped + text[end:])
    divergence = locate(model, project, frames, on_device(device))
    first = next(layer for layer in schedule(model).layers if layer.mode == "depthwise")
    assert divergence.node == first.conv.name


@DEVICES
def test_rounding_half_up_instead_of_to_even_is_seen(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    replace_text(project, "- 1 + odd) & rounds;", ") & rounds;")
    divergence = locate(model, project, frames, on_device(device))
    assert abs(divergence.want - divergence.got) == 1
    assert divergence.differing < divergence.total / 10


@DEVICES
def test_an_off_by_one_in_rounding_is_seen(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    replace_text(project, "- 1 + odd) & rounds;", "- 2 + odd) & rounds;")
    divergence = locate(model, project, frames, on_device(device))
    assert divergence.want - divergence.got == 1


def lose_an_operand(folder: Path) -> None:
    """The controller leaves out one line of layer 3."""
    replace_text(
        folder,
        "    SF_WRITE(operand, line);\n",
        "    if (s->at.layer != 3 || s->part != 0 || s->at.tile != 0 || s->at.row != 1)\n"
        "      SF_WRITE(operand, line);\n",
    )


def test_a_lost_word_in_the_lowered_build_is_reported_with_the_fifos(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    lose_an_operand(project)
    with pytest.raises(CheckFailed, match="layer 3") as caught:
        emulate(project, lowered, frames)
    assert "operand empty after" in str(caught.value)
    assert "frame 0" in str(caught.value)


@pytest.mark.device("intel-fpga-emu")
def test_a_lost_word_on_the_emulator_is_reported_with_the_waiting_kernel(
    project: Path, frames: NDArray[np.int64]
) -> None:
    lose_an_operand(project)
    with pytest.raises(CheckFailed, match="conv reads empty channel operand"):
        emulate(project, "intel-fpga-emu", frames, stall_s=3)


@pytest.mark.device("intel-fpga-emu")
def test_a_time_limit_ends_the_run(project: Path, frames: NDArray[np.int64]) -> None:
    lose_an_operand(project)
    with pytest.raises(ToolFailed, match="no result within 2 seconds"):
        emulate(project, "intel-fpga-emu", frames, stall_s=1000, time_limit_s=2)


def test_a_crash_of_the_child_is_reported(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    replace_text(
        project, "  int outputs = 0;\n", "  int outputs = 0;\n  *(__global int *)8 = frames;\n"
    )
    with pytest.raises(ToolFailed, match="ended with status -"):
        emulate(project, lowered, frames)


def test_text_that_does_not_compile_is_reported(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    replace_text(project, "  int outputs = 0;\n", "  int outputs = nothing;\n")
    where = rf"{re.escape(str(project))}/device/accelerator\.cl:\d+:\d+: .*nothing"
    with pytest.raises(ToolFailed, match=where):
        emulate(project, lowered, frames)


@pytest.mark.parametrize("name", ["data/weights.bin", "data/program.bin", "model.safetensors"])
def test_a_truncated_file_is_refused(
    name: str, project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    path = project / name
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError) as caught:
        emulate(project, lowered, frames)
    [problem] = caught.value.problems
    assert problem.where.endswith(name) and problem.remedy


def test_every_missing_or_foreign_file_is_listed(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    (project / "data/params.bin").unlink()
    (project / "plan.json").unlink()
    (project / "plan.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError) as caught:
        emulate(project, lowered, frames)
    assert [Path(p.where).name for p in caught.value.problems] == ["params.bin", "plan.json"]


def test_frames_of_another_shape_are_refused(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    with pytest.raises(InputError, match="frames have the shape"):
        emulate(project, lowered, frames[:, :, :-1])


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_hardware_depths_finish_and_two_runs_are_alike(
    device: str, model: QuantizedModel, generated: Callable[..., Path], frames: NDArray[np.int64]
) -> None:
    folder = generated(model, UNITS, PIXELS)
    golden = run_golden(model, frames)
    first = emulate(folder, device, frames, check=True, strict_depth=True)
    again = emulate(folder, device, frames)
    assert np.array_equal(first.outputs, again.outputs)
    assert np.array_equal(first.outputs, golden[model.output].reshape(len(frames), -1))
    assert first.traces is not None
    stored = {entry["tensor"] for entry in read_manifest(folder)["trace"]}
    assert set(first.traces) == stored
    assert all(np.array_equal(first.traces[name], golden[name]) for name in stored)
