"""Reading and writing records of a generated project by its manifest, without the generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def layout(folder: Path, kernel: str) -> dict[str, Any]:
    """Of a kernel's records: words, fields (name: word, low bit, bits, signed), constants."""
    found: dict[str, Any] = json.loads((folder / "shiftforge.json").read_text())["records"][kernel]
    return found


def words_of(folder: Path, kernel: str) -> NDArray[np.uint32]:
    """A kernel's records (records, words): of the steps, and that of the head last."""
    whole, places = record_places(folder, kernel)
    return whole.reshape(-1)[places]


def record_places(folder: Path, kernel: str) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The parameters' file (beats, words), and where in it, flat, a kernel's words lie (records,
    words)."""
    manifest = json.loads((folder / "shiftforge.json").read_text())
    place = manifest["programs"].index(kernel)
    whole, constants = _stream(folder)
    taken = ~constants & (whole[:, 6] >> place & 1 == 1)
    places = (np.flatnonzero(taken) * whole.shape[1] + place).reshape(
        -1, int(layout(folder, kernel)["words"])
    )
    return whole, np.roll(places, -1, 0) if kernel == "conv" else places


def parameter_places(folder: Path) -> NDArray[np.int64]:
    """The beats of requantisation constants, in their order."""
    return np.flatnonzero(_stream(folder)[1])


def _stream(folder: Path) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """The parameters' file (beats, words), and which beats have constants."""
    manifest = json.loads((folder / "shiftforge.json").read_text())
    beats = sum(int(manifest[n]) for n in ("head_beats", "record_beats", "channel_groups"))
    whole = np.fromfile(folder / "data/params.bin", "<u4").reshape(beats, -1)
    constants = np.zeros(beats, np.bool_)
    left = 0
    for at, beat in enumerate(whole):
        constants[at] = left > 0
        left = left - 1 if left else int(beat[7])
    return whole, constants


def read_field(folder: Path, kernel: str, record: int, field: str) -> int:
    """A number of a record, whether it lies in the program or in the text."""
    own = layout(folder, kernel)
    if field in own["constants"]:
        return int(own["constants"][field])
    word, low, bits, signed = own["fields"][field]
    value = int(words_of(folder, kernel)[record, word]) >> low & (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def change_field(folder: Path, kernel: str, record: int, field: str, change: int) -> None:
    """Add to a field of a record. Raises ValueError for one that is a literal of the text, and for
    a value that its bits do not hold."""
    own = layout(folder, kernel)
    if field in own["constants"]:
        raise ValueError(
            f"{kernel}'s {field} is {own['constants'][field]} in all records, a literal of the "
            "text: plant the fault there"
        )
    word, low, bits, signed = own["fields"][field]
    value = read_field(folder, kernel, record, field) + change
    least = -(1 << (bits - 1)) if signed else 0
    if not least <= value < least + (1 << bits):
        raise ValueError(f"{value} does not fit the {bits} bits of {kernel}'s {field}")
    mask = (1 << bits) - 1
    whole, places = record_places(folder, kernel)
    flat, at = whole.reshape(-1), int(places[record, word])
    flat[at] = int(flat[at]) & ~(mask << low) | (value & mask) << low
    whole.tofile(folder / "data/params.bin")
