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
    """A kernel's program (records, words)."""
    own = layout(folder, kernel)
    count, words = int(own["count"]), int(own["words"])
    _, beats, place = _programs(folder, kernel)
    return beats[: count * words, place].reshape(-1, words).copy()


def _programs(folder: Path, kernel: str) -> tuple[NDArray[np.uint32], NDArray[np.uint32], int]:
    """All words of the parameters, of them the beats of programs (beats, words), and which word of
    each beat is the kernel's."""
    manifest = json.loads((folder / "shiftforge.json").read_text())
    whole = np.fromfile(folder / "data/params.bin", "<u4")
    beats = int(manifest["program_beats"])
    rows = whole.reshape(beats + int(manifest["channel_groups"]), -1)
    return whole, rows[:beats], manifest["programs"].index(kernel)


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
    whole, beats, place = _programs(folder, kernel)
    beat = record * int(own["words"]) + word
    kept = int(beats[beat, place]) & ~(mask << low)
    beats[beat, place] = kept | (value & mask) << low
    whole.tofile(folder / "data/params.bin")
