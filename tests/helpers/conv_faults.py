"""Planting faults in generated projects of convolutions, and finding where they show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from conv_walks import Definition
from device_client import DeviceClient
from numpy.typing import NDArray

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.weights import REST_BEAT, WeightBeats, weight_word_bytes
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import Divergence, first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

TEXT = "device/accelerator.cl"


def replace_text(folder: Path, old: str, new: str) -> None:
    """Replace what the text holds once."""
    path = folder / TEXT
    text = path.read_text()
    assert text.count(old) == 1, f"the text holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def change_byte(folder: Path, name: str, place: int, change: Callable[[int], int]) -> None:
    """Change a byte of a file of the project's data."""
    path = folder / f"data/{name}.bin"
    data = bytearray(path.read_bytes())
    assert change(data[place]) != data[place]
    data[place] = change(data[place])
    path.write_bytes(bytes(data))


def word_number(
    model: QuantizedModel, array: ArrayShape, layer: int, word: tuple[int, int, int] | None = None
) -> int:
    """Number of a layer's word (group, word, second) among all of the frame; None: the first."""
    layers = schedule(model).layers
    before = sum(len(Definition(own, array).weights()) for own in layers[:layer])
    return before + (0 if word is None else Definition(layers[layer], array).weights().index(word))


def weight_place(
    array: ArrayShape, beats: WeightBeats, word: int, tap: int, unit: int
) -> tuple[str, int, int]:
    """(file, byte, bits to the right of it) of a code of a weight word, of two codes a byte."""
    high, at = divmod(tap * array.units + unit, weight_word_bytes(array))
    own = beats.count * beats.main
    if at < own:
        return "weights", word * own + at, 4 * high
    shared = word // beats.share * REST_BEAT + word % beats.share * beats.rest
    return "rests", shared + at - own, 4 * high


def located(
    model: QuantizedModel, folder: Path, frames: NDArray[np.int64], client: DeviceClient
) -> tuple[Divergence, list[int]]:
    """The first divergence, and the channels that differ in that tensor."""
    found = client.run(folder, frames)
    golden = run_golden(model, frames)
    order = [name for name in tensor_order(model) if name in found]
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is not None, "the fault was not seen"
    differing = np.argwhere(golden[divergence.stage] != found[divergence.stage])
    return divergence, [int(c) for c in np.unique(differing[:, 1])]


def locate(
    model: QuantizedModel, folder: Path, frames: NDArray[np.int64], client: DeviceClient
) -> Divergence:
    """The first divergence."""
    return located(model, folder, frames, client)[0]
