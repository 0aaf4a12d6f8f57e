"""Planted faults: each is caught, and the report says where it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conv_faults import (
    TEXT,
    change_byte,
    locate,
    located,
    replace_text,
    weight_place,
    word_number,
)
from device_client import DeviceClient
from numpy.typing import NDArray
from packed_records import change_field, parameter_places, read_field, record_places
from random_networks import random_frames, random_orders
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.conv import target
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.latencies import bytes_per_cycle
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.weights import parameter_bytes, parameter_layout, weight_beats
from shiftforge.generator.manifest import read_manifest
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.file import model_bytes, save_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.conv.layers import tensor_order
from shiftforge.sim.golden.conv.network import run_golden

UNITS, PIXELS = 16, 7
ARRAY = ArrayShape(UNITS, PIXELS)
BEATS = weight_beats(ARRAY, bytes_per_cycle(load_board("s10gx2800")))

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


def parameter_place(
    model: QuantizedModel, project: Path, layer: int, unit: int, part: str
) -> tuple[int, int]:
    """(byte, bit) of params.bin: the bias' lowest, or the right shift's, of a channel of the
    layer's first group. They share a word."""
    network = network_of(model)
    layout = parameter_layout(network.multiplier, network.shifts, network.acc_bits)
    assert layout.shared and network.shifts.right_bits
    groups = sum(tile_layer(own, ARRAY).out_groups for own in schedule(model).layers[:layer])
    byte, bit = divmod({"bias": 0, "right": layout.bias_bits}[part], 8)
    size = parameter_bytes(ARRAY, layout)
    assert size == 4 * record_places(project, "post")[0].shape[1]
    beat = int(parameter_places(project)[groups])
    return beat * size + 4 * unit + byte, bit


DEVICES = pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])


@pytest.mark.parametrize("second", [0, 1])
@pytest.mark.parametrize(
    ("device", "tap"), thinned([("intel-fpga-emu", 8), ("pocl", 3), ("pocl", 4)], 3)
)
def test_a_flipped_weight_code_names_its_layer_and_channel(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str, tap: int,
    second: int, on_device: OnDevice,
) -> None:  # fmt: skip
    """Of a depthwise layer's first and second word. The codes of the first units' tap 4 lie in a
    file of their own, those of tap 8 in the upper halves of bytes."""
    layer, channel = 1, 3
    word = word_number(model, ARRAY, layer, (0, 0, second))
    name, place, bits = weight_place(ARRAY, BEATS, word, tap, channel)
    assert ((name == "rests"), bits) == ((tap == 4), 4 if tap == 8 else 0)
    change_byte(project, name, place, lambda codes: codes ^ 0x07 << bits)
    divergence, wrong = located(model, project, frames, on_device(device))
    assert divergence.stage == schedule(model).layers[layer].result.name
    assert divergence.source == schedule(model).layers[layer].source
    assert wrong == [channel] == [divergence.index("channel")]


@pytest.mark.parametrize("part", ["bias", "right"])
def test_a_wrong_constant_of_requantisation_names_its_layer_and_channel(
    part: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64],
    on_device: OnDevice,
) -> None:  # fmt: skip
    layer, channel = 3, 2
    place, bit = parameter_place(model, project, layer, channel, part)
    # The lowest bit of the shift, or one of the bias that is worth many steps of the result.
    change = (lambda v: v ^ 1 << bit) if part == "right" else (lambda v: v ^ 0x40)
    change_byte(project, "params", place + (1 if part == "bias" else 0), change)
    divergence, wrong = located(model, project, frames, on_device("pocl"))
    assert divergence.stage == schedule(model).layers[layer].result.name
    assert wrong == [channel] == [divergence.index("channel")]


@pytest.mark.parametrize(
    ("kernel", "layer", "field", "change"),
    thinned(
        [
            ("controller", 2, "base", 1),
            ("controller", 5, "skip_base", 1),
            ("controller", 3, "out_base", -1),  # its last line is the memory's last
            ("controller", 6, "a1", 1),
            ("controller", 4, "a2", -1),
            ("conv", 4, "fires.first", -1),
            ("conv", 7, "first_t", -1),
            ("conv", 4, "run0.twice", -1),
            ("post", 3, "rows", -1),
            ("post", 6, "last_pixels", -1),
        ],
        3,
    ),
    ids=lambda value: str(value),
)
def test_a_wrong_address_counter_or_pace_names_the_layer(
    kernel: str, layer: int, field: str, change: int, model: QuantizedModel, project: Path,
    frames: NDArray[np.int64], on_device: OnDevice,
) -> None:  # fmt: skip
    layers = schedule(model).layers
    assert (layers[5].add is not None) and layers[4].mode == layers[7].mode == "depthwise"
    change_field(project, kernel, layer, field, change)
    divergence = locate(model, project, frames, on_device("pocl"))
    # What is stored at a wrong place is right in the trace, and wrong where it is read.
    reader = layer + 1 if field == "out_base" else layer
    add = layers[reader].add
    assert divergence.node in {layers[reader].conv.name, add.name if add is not None else ""}


@DEVICES
def test_a_wrong_word_of_a_program_names_the_layer(
    device: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64],
    on_device: OnDevice,
) -> None:  # fmt: skip
    """On its way from the parameters to the kernel, or where it lies: that of another layer."""
    layer = 3
    place = read_manifest(project)["programs"].index("post")
    old = f"SF_WRITE(program_post, (uint)beat.word[0].s{place});"
    wrong = f"SF_WRITE(program_post, (uint)beat.word[0].s{place} ^ (s->at == {{}} ? {{}}u : 0u));"
    word, low, *_ = read_manifest(project)["records"]["post"]["fields"]["last_pixels"]
    whole, places = record_places(project, "post")
    planted = wrong.format(places[layer, word] // whole.shape[1], 1 << low)
    replace_text(project, old, planted)
    divergence = locate(model, project, frames, on_device(device))
    assert divergence.node == schedule(model).layers[layer].conv.name
    replace_text(project, planted, old)
    rows = [read_field(project, "controller", own, "out_base") for own in (layer, layer + 1)]
    change_field(project, "controller", layer, "out_base", rows[1] - rows[0])
    divergence = locate(model, project, frames, on_device(device))
    assert divergence.node == schedule(model).layers[layer + 1].conv.name


@DEVICES
def test_programs_come_through_channels_of_any_depth(
    device: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64]
) -> None:
    programs = read_manifest(project)["programs"]
    for name in programs:
        shorten(f"program_{name}")(project)
    found = emulate(project, device, frames, strict_depth=True, stall_s=5)
    golden = run_golden(model, frames)[model.output]
    assert np.array_equal(found.outputs, golden.reshape(len(frames), -1))


@pytest.mark.device("intel-fpga-emu")
@pytest.mark.parametrize("kernel", thinned(["controller", "conv", "post"], 3))
def test_a_record_that_lacks_a_word_is_waited_for(
    kernel: str, project: Path, frames: NDArray[np.int64]
) -> None:
    whole, places = record_places(project, kernel)
    place = int(places[-1 if kernel != "conv" else -2, -1])
    beat, bit = divmod(place, whole.shape[1])
    assert whole[beat, 6] >> bit & 1
    whole[beat, 6] &= ~np.uint32(1 << bit)
    whole.tofile(project / "data/params.bin")
    told = f"{kernel} reads empty channel program_{kernel}"
    with pytest.raises(CheckFailed, match=told):
        emulate(project, "intel-fpga-emu", frames, stall_s=3)


@pytest.fixture(scope="module")
def ordered(model: QuantizedModel) -> QuantizedModel:
    """The model, with its channels in other orders on chip."""
    return replace(model, orders=random_orders(model, 0))


@pytest.fixture
def ordered_project(
    ordered: QuantizedModel, generated: Callable[..., Path], tmp_path: Path
) -> Path:
    folder = tmp_path / "ordered"
    shutil.copytree(generated(ordered, UNITS, PIXELS), folder)
    return folder


def exchanged(model: QuantizedModel, *names: str) -> QuantizedModel:
    """The model with places 1 and 4 of the tensors' orders exchanged; not valid where tied."""
    orders = dict(model.orders)
    for name in names:
        orders[name] = orders[name].copy()
        orders[name][[1, 4]] = orders[name][[4, 1]]
    return replace(model, orders=orders)


@pytest.mark.parametrize(
    ("tensor", "stored"),
    thinned([("t.pw1", "t.add1"), ("t.pw0", "t.pw0"), ("t.dw1", "t.dw1")], 3),
)
def test_weights_in_another_order_than_what_they_are_paired_with_name_tensor_and_channels(
    tensor: str, stored: str, ordered: QuantizedModel, frames: NDArray[np.int64],
    on_device: OnDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of one side of a skip, and of a depthwise layer: what the tie of their orders rules out."""
    # The project holds the valid model, and the data of one whose weights lie otherwise.
    monkeypatch.setattr(target, "model_bytes", lambda _: model_bytes(ordered))
    board = load_board("a10gx1150")
    design = target.generate(exchanged(ordered, tensor), board, units=UNITS, pixels=PIXELS)
    design.write(tmp_path / "planted")
    divergence, wrong = located(ordered, tmp_path / "planted", frames, on_device("pocl"))
    assert divergence.stage == stored
    assert wrong == sorted(int(c) for c in ordered.orders[tensor][[1, 4]])
    assert divergence.index("channel") == wrong[0]


def test_a_trace_read_in_another_order_names_the_tensor_and_its_channels(
    ordered: QuantizedModel, ordered_project: Path, frames: NDArray[np.int64], on_device: OnDevice
) -> None:
    """The folder's model says in which order its maps lie."""
    save_model(exchanged(ordered, "t.ex2", "t.dw2"), ordered_project / "model.safetensors")
    divergence, wrong = located(ordered, ordered_project, frames, on_device("pocl"))
    assert divergence.stage == "t.ex2"
    assert wrong == sorted(int(c) for c in ordered.orders["t.ex2"][[1, 4]])


def test_a_trace_whose_orders_are_not_undone_is_seen_in_the_first_tensor_with_one(
    model: QuantizedModel, ordered: QuantizedModel, ordered_project: Path,
    frames: NDArray[np.int64], on_device: OnDevice,
) -> None:  # fmt: skip
    save_model(model, ordered_project / "model.safetensors")
    divergence, wrong = located(ordered, ordered_project, frames, on_device("pocl"))
    first = next(name for name in tensor_order(ordered) if name in ordered.orders)
    assert divergence.stage == first
    order = ordered.orders[first]
    assert set(wrong) <= set(np.flatnonzero(order != np.arange(len(order))).tolist())
    # The product does not come so far: the folder's model is not the one that was generated.
    with pytest.raises(InputError, match=r"the file has .* bytes, the design wrote"):
        emulate(ordered_project, "pocl", frames, check=True)


def test_a_wrong_term_of_the_pool_names_the_pool(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], on_device: OnDevice
) -> None:
    replace_text(project, " + (whole << 16)", " + (whole << 17)")
    divergence = locate(model, project, frames, on_device("pocl"))
    pool = next(layer.pool for layer in schedule(model).layers if layer.pool is not None)
    assert divergence.node == pool.name


@DEVICES
def test_swapped_taps_name_the_first_layer_that_has_them(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    """Rows and columns of the window are exchanged: only 3x3 layers with a line buffer differ."""
    text = (project / TEXT).read_text()
    swapped = text.replace("s->shift[tap / 3]", "s->shift[tap % 3]").replace(
        "+ tap % 3;", "+ tap / 3;"
    )
    assert "shift[tap % 3]" in swapped and "+ tap / 3;" in swapped
    (project / TEXT).write_text(swapped)
    divergence = locate(model, project, frames, on_device(device))
    first = next(layer for layer in schedule(model).layers if layer.mode == "depthwise")
    assert divergence.node == first.conv.name


@DEVICES
def test_rounding_half_up_instead_of_to_even_is_seen(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    replace_text(project, "& ~(middle & 1) & 255;", "& 255;")
    divergence = locate(model, project, frames, on_device(device))
    assert abs(divergence.want - divergence.got) == 1
    assert divergence.differing < divergence.total / 10


@DEVICES
def test_an_off_by_one_in_rounding_is_seen(
    model: QuantizedModel, project: Path, frames: NDArray[np.int64], device: str,
    on_device: OnDevice,
) -> None:  # fmt: skip
    replace_text(project, "(sums << SF_RAISED) + bias)", "(sums << SF_RAISED) + bias - 1)")
    divergence = locate(model, project, frames, on_device(device))
    assert divergence.want - divergence.got == 1


def lose_an_operand(folder: Path) -> None:
    """The controller leaves out a line of every layer's second row."""
    replace_text(
        folder,
        "  if (sends) SF_WRITE(operand, line);",
        "  if (sends && !(in->trace_base > 0 && s->iteration == 1)) SF_WRITE(operand, line);",
    )


def want_another_operand(folder: Path) -> None:
    """The unit wants a line more a tile than the controller sends."""
    old = "return s->fill < SF_TAKEN && s->lines < in->lines;"
    replace_text(folder, old, "return s->fill < SF_TAKEN + 9 && s->lines < in->lines + 1;")


def expect_a_result_too_soon(folder: Path) -> None:
    """A result is read with the first of its operands, not a round trip after the last."""
    first = read_field(folder, "controller", 5, "results.first")
    assert first > 100
    change_field(folder, "controller", 5, "results.first", -first)


def shorten(channel: str) -> Callable[[Path], None]:
    """The channel is a word deep."""

    def plant(folder: Path) -> None:
        path = folder / "shiftforge.json"
        manifest = json.loads(path.read_text())
        for own in manifest["channels"]:
            if own["name"] == channel:
                own["depth"] = 1
        path.write_text(json.dumps(manifest))

    return plant


HANGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "lost word": (lose_an_operand, "conv reads empty channel operand"),
    "wrong wants": (want_another_operand, "conv reads empty channel operand"),
    "wrong pace": (expect_a_result_too_soon, "controller reads empty channel result"),
    "small depth": (shorten("result"), "post writes full channel result"),
}


@pytest.fixture(scope="module")
def large() -> QuantizedModel:
    """Its layers have more results than go into the channels between two of the controller's."""
    return random_model(5, ModelOptions(height=48, width=45))


@pytest.mark.parametrize("fault", thinned(HANGS, 2))
@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_a_hang_is_reported_with_kernel_and_channel(
    fault: str, device: str, large: QuantizedModel, generated: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(generated(large, UNITS, PIXELS), folder)
    plant, told = HANGS[fault]
    plant(folder)
    with pytest.raises(CheckFailed, match=told) as caught:
        emulate(folder, device, random_frames(large, 7, 1), strict_depth=True, stall_s=3)
    if device == "pocl":
        assert re.search(r"in frame 0, step \d+", str(caught.value))
        assert re.search(r"operand \w+( words)? after \d+ words", str(caught.value))


@pytest.mark.device("intel-fpga-emu")
def test_a_time_limit_ends_the_run(project: Path, frames: NDArray[np.int64]) -> None:
    lose_an_operand(project)
    with pytest.raises(ToolFailed, match="no result within 2 seconds"):
        emulate(project, "intel-fpga-emu", frames, stall_s=1000, time_limit_s=2)


def test_a_crash_of_the_child_is_reported(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    replace_text(
        project, "  int moved = 1;\n", "  int moved = 1;\n  *(__global int *)8 = batches;\n"
    )
    with pytest.raises(ToolFailed, match="ended with status -"):
        emulate(project, lowered, frames)


def test_text_that_does_not_compile_is_reported(
    project: Path, lowered: str, frames: NDArray[np.int64]
) -> None:
    replace_text(project, "  int moved = 1;\n", "  int moved = nothing;\n")
    where = rf"{re.escape(str(project))}/device/accelerator\.cl:\d+:\d+: .*nothing"
    with pytest.raises(ToolFailed, match=where):
        emulate(project, lowered, frames)


@pytest.mark.parametrize(
    "name", ["data/weights.bin", "data/params.bin", "data/rests.bin", "model.safetensors"]
)
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


@pytest.mark.parametrize("device", thinned(["intel-fpga-emu", "pocl"], 2))
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
