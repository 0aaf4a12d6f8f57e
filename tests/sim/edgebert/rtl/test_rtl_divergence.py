"""Places and cycles of differences, from images and write times made up here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shiftforge.generator.edgebert.command import Memory, Tensor
from shiftforge.sim.edgebert.rtl.operands import write_tensor
from shiftforge.sim.rtl.divergence import RtlDivergence, at_code, in_strips, read_times
from shiftforge.sim.trace import Divergence, divergence_text

ROWS, COLUMNS, PARTS = 10, 24, 2
PLACED = Memory()
TENSOR = Tensor(4, ROWS, COLUMNS, parts=PARTS).placed(PLACED)
FOUND = RtlDivergence("q", (), 0, 0, 1, 240, layer=0, command="q", start=100, end=900)


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, their image, and a write to beat b in cycle 100 + b."""
    rng = np.random.default_rng(3)
    codes = rng.integers(1, 256, (ROWS, COLUMNS), dtype=np.uint8)
    codes[rng.random(codes.shape) < 0.5] = 0
    image = np.zeros((PLACED.beats, 4), dtype=np.uint8)
    write_tensor(image, TENSOR, codes)
    return codes, image, 100 + np.arange(PLACED.beats)


def test_times_are_those_of_the_last_writes() -> None:
    written = read_times(b"W 7 2\nW 9 0\nW 12 2\n", 4)
    assert written.tolist() == [9, -1, 12, -1]
    assert read_times(b"", 2).tolist() == [-1, -1]


@pytest.mark.parametrize("zero", [False, True])
def test_the_beat_of_a_code(zero: bool) -> None:
    """Each code, changed in the image alone, is the only change of the beat that is told."""
    codes, image, written = made()
    for row, column in np.argwhere(codes != 0).tolist():
        code = int(codes[row, column])
        spoiled = codes.copy()
        spoiled[row, column] = 0 if zero else (code ^ 0x55) or 1
        other = np.zeros_like(image)
        write_tensor(other, TENSOR, spoiled)
        wrong = set(np.flatnonzero((other != image).any(axis=1)).tolist())
        at = (("row", row), ("column", column))
        place = replace(FOUND, at=at, got=int(spoiled[row, column]), want=code)
        cycle = at_code(place, TENSOR, other, written).cycle
        assert cycle is not None and cycle - 100 in wrong
        if not zero:
            assert len(wrong) == 1
        half = COLUMNS // PARTS
        apart = replace(place, at=(("row", row), ("column", column % half)))
        assert at_code(apart, TENSOR, other, written, column // half).cycle == cycle
    never = np.full_like(written, -1)
    assert at_code(place, TENSOR, other, never).when == "never written (command q: 100 to 900)"
    with pytest.raises(ValueError, match="no place"):
        at_code(FOUND, TENSOR, other, written)


def test_the_first_wrong_beat_of_a_tensor_that_cannot_be_read() -> None:
    codes, right, written = made()
    row, column = np.argwhere(codes[:, 12:] != 0)[-1].tolist()
    strip = TENSOR.base + TENSOR.part_pitch + row // 4 * TENSOR.pitch
    vector, lane = column // 4 * 4 + row % 4, column % 4
    fault = replace(FOUND, fault="masks and descriptor disagree")

    image = right.copy()
    image[strip + vector // 8].reshape(-1)[:] ^= np.packbits(
        np.arange(32) == vector % 8 * 4 + lane, bitorder="little"
    )
    told = in_strips(fault, TENSOR, image, codes, written)
    assert (told.row, told.column, told.lane) == (row, column + 12, lane)
    assert told.cycle == 100 + strip + vector // 8
    assert str(told) == (
        f"RTL: masks and descriptor disagree; first: q of layer 0, row tile {row // 4}, column "
        f"tile {(column + 12) // 4}, row {row}, column {column + 12} (lane {lane}); written in "
        f"cycle {told.cycle} (command q: 100 to 900)"
    )

    # Its last value, in the last data beat of its lane; and a later beat, written earlier.
    image = right.copy()
    count = np.count_nonzero(codes[row // 4 * 4 : row // 4 * 4 + 4, 12 + lane :: 4])
    image[strip + TENSOR.stride // 8 + count - 1, lane] = 0
    told = in_strips(fault, TENSOR, image, codes, written)
    assert (told.column, told.lane) == (column + 12, lane)
    image[TENSOR.desc + 4, 0] ^= 1
    early = written.copy()
    early[TENSOR.desc + 4] = 3
    told = in_strips(fault, TENSOR, image, codes, early)
    assert (told.row_tile, told.lane, told.cycle) == (1, None, 3)
    assert "first: q of layer 0, row tile 1; written in cycle 3" in str(told)

    # A value after a lane's last one has a lane and no place; an equal image says nothing more.
    image = right.copy()
    image[strip + TENSOR.stride // 8 + TENSOR.vectors - 1, lane] = 9
    told = in_strips(fault, TENSOR, image, codes, written)
    assert (told.row_tile, told.column, told.lane) == (row // 4, None, lane)
    assert in_strips(fault, TENSOR, right, codes, written) == fault


def test_it_is_a_divergence_that_knows_more() -> None:
    """Code that takes any divergence takes it; its JSON has the keys of ``unit --json``."""
    at = (("head", 1), ("row", 6), ("column", 9))
    tiles = {"row_tile": 1, "column_tile": 2, "lane": 1}
    found: Divergence = replace(FOUND, at=at, got=0x12, want=3, opencl=3, cycle=555, **tiles)
    assert (found.index("head"), found.index("column"), found.got, found.want) == (1, 9, 0x12, 3)
    assert found.place == "head 1, row tile 1, column tile 2, row 6, column 9 (lane 1)"
    assert divergence_text(found, "golden", "rtl").endswith(
        f"first: q of layer 0, {found.place}: 0x12 in RTL, 0x03 in golden, 0x03 in OpenCL; written "
        "in cycle 555 (command q: 100 to 900)"
    )
    command = {"stage": "q", "command": "q", "start": 100, "end": 900, "layer": 0}
    sides = {"rtl": 0x12, "golden": 3, "opencl": 3}
    told = {**command, **dict(at), **tiles, **sides, "cycle": 555, "tapped": False, "fault": ""}
    assert found.to_dict() == told

    lost = RtlDivergence.of_fault("q", "no masks", 240, ("q", 100, 900), layer=0)
    assert (lost.at, lost.got, lost.want, lost.differing, lost.total) == ((), 0, 240, 240, 240)
    nowhere = dict.fromkeys(("head", "row", "column", *tiles, *sides, "cycle"))
    assert lost.to_dict() == {**command, **nowhere, "tapped": False, "fault": "no masks"}
    assert list(lost.to_dict()) == [
        *("stage", "command", "start", "end", "layer", "head", "row_tile", "column_tile", "row"),
        *("column", "lane", "rtl", "golden", "opencl", "cycle", "tapped", "fault"),
    ]
