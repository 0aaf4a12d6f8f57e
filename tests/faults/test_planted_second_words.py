"""Planted faults of second words: each is caught in the layer, channels and place where it is.

In the network's layers some groups of channels have second words and others have none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain, with_room, with_weights
from conv_faults import located, replace_text, weight_place, word_number
from device_client import DeviceClient
from numpy.typing import NDArray
from packed_records import change_field
from random_networks import random_frames
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.latencies import bytes_per_cycle
from shiftforge.generator.conv.plan import make_plan
from shiftforge.generator.conv.weights import weight_beats
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.conv.layers import Divergence

UNITS, PIXELS = 16, 4
ARRAY, BOARD = ArrayShape(UNITS, PIXELS), load_board("s10gx2800")
BEATS = weight_beats(ARRAY, bytes_per_cycle(BOARD))
POINTWISE, HELD, STANDARD, STRIDED, LAST = range(5)
# Channels: of 16 each.
FIRST, SECOND, THIRD = range(16), range(16, 32), range(32, 48)

OnDevice = Callable[[str], DeviceClient]


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    """Weights of one term, and of two where (first output, last output, last input) says so."""
    around = (1, 1, 1, 1)
    made = chain(
        {"out": 36, "kernel": 1},
        {"out": 36, "kernel": 3, "groups": 36, "padding": around},
        {"out": 33, "kernel": 3, "padding": around},
        {"out": 33, "kernel": 3, "groups": 33, "stride": 2, "padding": (0, 0, 1, 1)},
        {"out": 20, "kernel": 1},
        channels=20, height=6, width=13, family="one-term",
    )  # fmt: skip
    rng, weights = np.random.default_rng(6), {}
    marked = [
        [(16, 32, 20), (32, 36, 9)], [(0, 16, 1)], [(16, 32, 20), (32, 33, 2)], [(0, 32, 1)],
        [(16, 20, 27)],
    ]  # fmt: skip
    for conv, places in zip(made.conv_nodes(), marked, strict=True):
        own = rng.choice([-8, -4, -2, -1, 1, 2, 4, 8], conv.weight.shape)
        for start, end, inputs in places:
            size = own[start:end, :inputs].shape
            own[start:end, :inputs] = rng.choice([-12, -6, -3, 3, 5, 6, 9], size)
        weights[conv.name] = own.astype(np.int8)
    weights["conv4"][:16, 9:] = 0
    return with_room(with_weights(made, weights))


@pytest.fixture
def project(model: QuantizedModel, generated: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy of the design to damage."""
    folder = tmp_path / "project"
    shutil.copytree(generated(model, UNITS, PIXELS), folder)
    return folder


@pytest.fixture(scope="module")
def frames(model: QuantizedModel) -> NDArray[np.int64]:
    return random_frames(model, 7, 1)


def test_the_layers_have_second_words_of_every_kind(model: QuantizedModel) -> None:
    layers = make_plan(model, BOARD, ARRAY).layers
    assert [layer.words for layer in layers] == [
        ((3, 0), (3, 3), (3, 1)), ((3, 1),), ((36, 0), (36, 20), (36, 2)), ((3, 2),),
        ((1, 0), (4, 3)),
    ]  # fmt: skip


def swap(folder: Path, first: int, second: int) -> None:
    """Exchange two words, but for their last taps."""
    path, beat = folder / "data/weights.bin", BEATS.main
    words = np.fromfile(path, np.uint8).reshape(-1, beat)
    words[[first, second]] = words[[second, first]]
    words.tofile(path)


def leave_out(folder: Path, word: int) -> None:
    """Every word from this one on comes one too early, and the last one twice."""
    path, beat = folder / "data/weights.bin", BEATS.main
    words = np.fromfile(path, np.uint8).reshape(-1, beat)
    words[word:-1] = words[word + 1 :].copy()
    words.tofile(path)


Plant = Callable[[Path, QuantizedModel], None]


def text(old: str, new: str) -> Plant:
    return lambda folder, _: replace_text(folder, old, new)


def field(layer: int, name: str, change: int) -> Plant:
    return lambda folder, _: change_field(folder, "conv", layer, name, change)


def code(layer: int, word: tuple[int, int, int], tap: int, unit: int) -> Plant:
    """The term of a weight has another sign."""

    def plant(folder: Path, model: QuantizedModel) -> None:
        number = word_number(model, ARRAY, layer, word)
        name, place, bits = weight_place(ARRAY, BEATS, number, tap, unit)
        path = folder / f"data/{name}.bin"
        data = bytearray(path.read_bytes())
        assert data[place] >> bits & 7
        data[place] ^= 8 << bits
        path.write_bytes(data)

    return plant


def exchanged(layer: int, *words: tuple[int, int, int]) -> Plant:
    def plant(folder: Path, model: QuantizedModel) -> None:
        swap(folder, *(word_number(model, ARRAY, layer, word) for word in words))

    return plant


def dropped(layer: int, word: tuple[int, int, int]) -> Plant:
    return lambda folder, model: leave_out(folder, word_number(model, ARRAY, layer, word))


# Name: how it is planted, layer, channels that may differ, (row, column) of the first difference or
# None where the channels' values say.
FAULTS: dict[str, tuple[Plant, int, range, tuple[int, int] | None]] = {
    # The count of second words is ignored: their operands pass with the first ones.
    "no second words": (
        text("  s->twice = own.twice;\n", "  s->twice = 0;\n"), POINTWISE, SECOND, (0, 0)
    ),
    "too few second words": (field(POINTWISE, "run1.twice", -1), POINTWISE, SECOND, (0, 0)),
    "too many second words": (field(POINTWISE, "run2.twice", 1), POINTWISE, THIRD, (0, 0)),
    "a run with a word too few": (field(STANDARD, "run1.words", -1), STANDARD, SECOND, (0, 0)),
    "no depthwise second words": (
        text("  s->doubled = in->run0.twice;\n", "  s->doubled = 0;\n"), HELD, FIRST, (0, 0)
    ),
    "no depthwise second words in the next row": (
        text("s->doubled = ends == 0 ? s->doubled : ends == 2 ? s->row_doubled : left;",
             "s->doubled = ends == 0 ? s->doubled : left;"),
        HELD, FIRST, (1, 0),
    ),
    # Operands move on at a second word.
    "channels are not held": (
        text("s->ring[p][i] = holds ? s->ring[p][i] : next | far;",
             "s->ring[p][i] = next | far;"),
        POINTWISE, SECOND, (0, 0),
    ),
    "channels are counted as if they had left": (
        text("(holds ? SF_UNITS : SF_UNITS - SF_TAKEN) : holds ? 0 : -SF_TAKEN)",
             "SF_UNITS - SF_TAKEN : -SF_TAKEN)"),
        POINTWISE, SECOND, (0, 0),
    ),
    "a window's channels are not held": (
        text("as_uchar8(holds ? own : (own >> 8) | far)", "as_uchar8((own >> 8) | far)"),
        STANDARD, SECOND, (0, 0),
    ),
    # Words.
    "a word is left out": (dropped(POINTWISE, (1, 1, 0)), POINTWISE, SECOND, (0, 0)),
    "a second word is left out": (dropped(STANDARD, (1, 19, 1)), STANDARD, SECOND, (0, 0)),
    "a depthwise second word is left out": (dropped(STRIDED, (1, 0, 1)), STRIDED, SECOND, (0, 0)),
    "two words change places": (
        exchanged(POINTWISE, (1, 0, 1), (1, 1, 0)), POINTWISE, SECOND, (0, 0)
    ),
    "two groups' second words change places": (
        exchanged(STRIDED, (0, 0, 1), (1, 0, 1)), STRIDED, range(32), (0, 0)
    ),
    "a second term of another sign": (
        code(STRIDED, (1, 0, 1), 4, 9), STRIDED, range(25, 26), (0, 1)
    ),
    "a depthwise word too few a group": (
        text("s->word + (more ? 2 : 1)", "s->word + 1"), HELD, SECOND, (0, 0)
    ),
    "a depthwise word too many a group": (
        text("s->word + (more ? 2 : 1)", "s->word + 2"), HELD, THIRD, (0, 1)
    ),
    "a second word in the place of the first": (
        text("s->word = more ? s->word + 1 : next_word;", "s->word = more ? s->word : next_word;"),
        HELD, FIRST, (0, 0),
    ),
    "sums begin anew with a second word": (
        text("in->mode == SF_DEPTHWISE ? !conv_again(s) :", "in->mode == SF_DEPTHWISE ? 1 :"),
        HELD, FIRST, (0, 0),
    ),
    # At stride 2 the lines wait, too.
    "a strided window for a plain one": (
        text("in->geometry == 1", "in->geometry == 2"), STRIDED, FIRST, (0, 0)
    ),
    "the tile of the lines instead of the window's": (
        text("const int t = s->again ? s->again_t : s->t;", "const int t = s->t;"),
        HELD, FIRST, None,
    ),
    # Blocks of zeros at a group's end.
    "a line of zero words is left": (field(LAST, "run0.tile", -1), LAST, FIRST, (0, 4)),
}  # fmt: skip


def check(fault: str, model: QuantizedModel, divergence: Divergence, wrong: list[int]) -> None:
    _, layer, channels, place = FAULTS[fault]
    conv = model.conv_nodes()[layer]
    assert (divergence.node, divergence.source) == (conv.name, conv.source), divergence
    assert divergence.index("channel") == wrong[0] and wrong[0] in channels, divergence
    if place is not None:
        assert (divergence.index("row"), divergence.index("column")) == place, divergence


@pytest.mark.parametrize("fault", thinned(FAULTS, 3))
def test_a_fault_of_second_words_is_located(
    fault: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64],
    on_device: OnDevice,
) -> None:  # fmt: skip
    FAULTS[fault][0](project, model)
    check(fault, model, *located(model, project, frames, on_device("pocl")))


# Name: how it is planted, the layer in which the kernels stop.
STOPS: dict[str, tuple[Plant, int]] = {
    "another run's words": (
        text("if (run == 2) found = in->run2;", "if (run == 2) found = in->run1;"),
        POINTWISE,
    ),
    # Wrong sums in the pointwise layer; the words that are left over stop the standard one.
    "no second words behind a tile": (
        text("s->twice = completes ? s->second_words :", "s->twice = completes ? 0 :"),
        STANDARD,
    ),
    "too many depthwise second words": (field(HELD, "run0.twice", 1), HELD),
    "lines are not held": (text("  return !s->again;\n", "  return 1;\n"), HELD),
}


@pytest.mark.parametrize("fault", STOPS)
@pytest.mark.parametrize("device", thinned(["pocl", "intel-fpga-emu"], 2))
def test_a_fault_that_stops_the_kernels_is_located(
    fault: str, device: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64]
) -> None:
    plant, layer = STOPS[fault]
    plant(project, model)
    with pytest.raises(CheckFailed, match="controller reads empty channel result") as caught:
        emulate(project, device, frames, stall_s=3)
    if device == "pocl":
        assert f"in frame 0, step {layer}: " in str(caught.value)
