"""Faults in weight words of several beats: each is caught in the layer whose word it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain, with_room
from conv_faults import change_byte, located, replace_text, weight_place, word_number
from device_client import DeviceClient
from narrow_beats import NANO, narrow_project
from numpy.typing import NDArray
from random_networks import random_frames
from tiers import thinned

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.latencies import bytes_per_cycle
from shiftforge.generator.conv.weights import weight_beats
from shiftforge.quant.graph.types import QuantizedModel

ARRAY = ArrayShape(8, 4)
BEATS = weight_beats(ARRAY, bytes_per_cycle(NANO))
LAYER, WORD = 1, (1, 2, 0)
# Output channels of that word.
CHANNELS = range(8, 16)

OnDevice = Callable[[str], DeviceClient]


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return with_room(
        chain(
            *({"out": n, "kernel": 1} for n in (24, 20, 16)),
            channels=24, height=6, width=9, family="one-term",
        )
    )  # fmt: skip


@pytest.fixture
def project(model: QuantizedModel, tmp_path: Path) -> Path:
    """A design of its own to damage."""
    return narrow_project(model, tmp_path / "project", ARRAY.units, ARRAY.pixels)


@pytest.fixture(scope="module")
def frames(model: QuantizedModel) -> NDArray[np.int64]:
    return random_frames(model, 7, 1)


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
@pytest.mark.parametrize("pair", [(0, 1), (1, 2)])
def test_swapped_beats_are_located(
    pair: tuple[int, int], device: str, model: QuantizedModel, project: Path,
    frames: NDArray[np.int64], on_device: OnDevice,
) -> None:  # fmt: skip
    path, first = project / "data/weights.bin", BEATS.count * word_number(model, ARRAY, LAYER, WORD)
    beats = np.fromfile(path, np.uint8).reshape(-1, BEATS.main)
    places = [first + n for n in pair]
    assert not np.array_equal(*beats[places])
    beats[places] = beats[places[::-1]]
    beats.tofile(path)
    divergence, wrong = located(model, project, frames, on_device(device))
    conv = model.conv_nodes()[LAYER]
    assert (divergence.node, divergence.source) == (conv.name, conv.source), divergence
    assert wrong and set(wrong) <= set(CHANNELS), wrong


@pytest.mark.parametrize("tap", thinned([0, 2, 4, 7], 2))
def test_a_code_of_each_beat_names_its_channel(
    tap: int, model: QuantizedModel, project: Path, frames: NDArray[np.int64], on_device: OnDevice
) -> None:
    unit = 3
    number = word_number(model, ARRAY, LAYER, WORD)
    name, place, bits = weight_place(ARRAY, BEATS, number, tap, unit)
    beat = place // BEATS.main - BEATS.count * number
    assert (name, beat, bits) == ("weights", {0: 0, 2: 1, 4: 2, 7: 1}[tap], 4 * (tap == 7))
    change_byte(project, name, place, lambda codes: codes ^ 0x07 << bits)
    divergence, wrong = located(model, project, frames, on_device("pocl"))
    assert divergence.node == model.conv_nodes()[LAYER].name
    assert wrong == [CHANNELS[unit]]


# In the text: every word is wrong, so that the first layer is.
TEXTS = {
    "beats do not move on": ("s->held[i] = s->held[i + 2];", "s->held[i] = s->held[i];"),
    "the last beat is left out": ("word.code[4 + i] = beat.code[i];", "word.code[4 + i] = 0;"),
    "a word begins with its second beat": (
        "  s->beat = 0;\n  s->part = 0;\n",
        "  s->beat = 0;\n  s->part = 1;\n",
    ),
}


@pytest.mark.parametrize("fault", thinned(TEXTS, 2))
def test_a_feeder_that_puts_words_together_wrongly_is_located(
    fault: str, model: QuantizedModel, project: Path, frames: NDArray[np.int64],
    on_device: OnDevice,
) -> None:  # fmt: skip
    replace_text(project, *TEXTS[fault])
    divergence, _ = located(model, project, frames, on_device("pocl"))
    assert divergence.node == model.conv_nodes()[0].name
