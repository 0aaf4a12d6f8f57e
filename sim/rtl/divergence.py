"""The first difference of a run: its place, its values, and the cycle in which the RTL wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.command import Tensor
from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT
from shiftforge.sim.edgebert.rtl.operands import write_tensor

__all__ = ["Divergence", "at_code", "in_strips", "read_times", "who_differs"]

NEVER = -1
BITS = 8
WORDS = ("scores", "ffn1")  # stages of fixed-point words; all others are codes


@dataclass(frozen=True)
class Divergence:
    """The first difference, in the order of computation, of the first stage that differs.

    layer, head: of a layer's stage. row, column: of the value in its tensor; row_tile, column_tile
    and lane follow from them; None where only the strip is known. rtl, golden, opencl: the values;
    opencl is None where the kernels did not run, all are where the RTL's tensor cannot be read and
    fault says why. cycle: in which the beat with the value (or with its mask, where one of the two
    is zero) was written, or in which a value that never reaches memory passed; None where that
    beat was never written. command: the one that computes the stage, cycles start to end (which
    is the next one's start). Cycles count from the unit's start.
    """

    stage: str
    command: str
    start: int
    end: int
    layer: int | None = None
    head: int | None = None
    row_tile: int | None = None
    column_tile: int | None = None
    row: int | None = None
    column: int | None = None
    lane: int | None = None
    rtl: int | None = None
    golden: int | None = None
    opencl: int | None = None
    cycle: int | None = None
    tapped: bool = False
    fault: str = ""

    @property
    def place(self) -> str:
        """The stage, and where in it."""
        parts = [self.stage if self.layer is None else f"{self.stage} of layer {self.layer}"]
        for name in ("head", "row_tile", "column_tile", "row", "column"):
            value = getattr(self, name)
            parts += [] if value is None else [f"{name.replace('_', ' ')} {value}"]
        if self.lane is None:
            return ", ".join(parts)
        return (
            ", ".join(parts)
            + (", " if self.column is None else " (")
            + (f"lane {self.lane}" + ("" if self.column is None else ")"))
        )

    @property
    def when(self) -> str:
        """The cycle, and the command with its cycles."""
        cycle = "never written"
        if self.cycle is not None:
            cycle = f"{'passed' if self.tapped else 'written'} in cycle {self.cycle:,}"
        return f"{cycle} (command {self.command}: {self.start:,} to {self.end:,})"

    def __str__(self) -> str:
        sides = {"RTL": self.rtl, "golden": self.golden, "OpenCL": self.opencl}
        known = {name: value for name, value in sides.items() if value is not None}
        if self.fault:
            return f"RTL: {self.fault}; first: {self.place}; {self.when}"
        form = "d" if self.stage in WORDS else "#04x"
        values = ", ".join(f"{value:{form}} in {name}" for name, value in known.items())
        return f"{who_differs(known)}; first: {self.place}: {values}; {self.when}"


def who_differs(sides: Mapping[str, int]) -> str:
    """Which of RTL, golden and OpenCL stands apart; of two, the RTL."""
    if len(sides) == 2:
        return " differs from ".join(sides)
    if len(set(sides.values())) == len(sides):
        return " and ".join((", ".join(list(sides)[:-1]), list(sides)[-1])) + " differ"
    for name, value in sides.items():
        others = {v for other, v in sides.items() if other != name}
        if len(others) == 1 and value not in others:
            return f"{name} differs from " + " and ".join(n for n in sides if n != name)
    return "no difference"


def read_times(text: bytes, beats: int) -> NDArray[np.int64]:
    """(beats,) the cycle of the last write to each beat, -1 where there was none.

    text: lines "W cycle address" of a bench, in the order of the writes.
    """
    written = np.full(beats, NEVER, dtype=np.int64)
    numbers = np.array(text.replace(b"W", b" ").split(), dtype=np.int64).reshape(-1, 2)
    written[numbers[:, 1]] = numbers[:, 0]
    return written


def _cycle(written: NDArray[np.int64], beat: int) -> int | None:
    return None if written[beat] == NEVER else int(written[beat])


def _masks(image: NDArray[np.uint8], strip: int, tensor: Tensor) -> NDArray[np.uint8]:
    """(vectors, lanes) the mask bits of a strip."""
    beats = image[strip : strip + tensor.stride // MASKS_PER_BEAT]
    return np.unpackbits(beats.reshape(-1), bitorder="little").reshape(-1, tensor.lanes)


def at_code(
    found: Divergence,
    tensor: Tensor,
    image: NDArray[np.uint8],
    written: NDArray[np.int64],
    part: int = 0,
) -> Divergence:
    """The same with the cycle of its code.

    image: that the run left. written: from ``read_times`` of the same run. part: of the tensor, in
    which the columns of the divergence count.
    """
    if found.row is None or found.column is None:
        raise ValueError(f"no place in {found.stage}")
    n = tensor.lanes
    part, inside = divmod(found.column + part * tensor.width, tensor.width)
    tile, row = divmod(found.row, n)
    vector, lane = inside // n * n + row, inside % n
    strip = tensor.base + part * tensor.part_pitch + tile * tensor.pitch
    beat = strip + vector // MASKS_PER_BEAT
    if found.rtl and found.golden:
        before = int(_masks(image, strip, tensor)[:vector, lane].sum())
        beat = strip + tensor.stride // MASKS_PER_BEAT + before
    return replace(found, cycle=_cycle(written, beat))


def in_strips(
    found: Divergence,
    tensor: Tensor,
    image: NDArray[np.uint8],
    want: NDArray[np.uint8],
    written: NDArray[np.int64],
) -> Divergence:
    """The same with place and cycle of the first written beat that is not as it should be.

    For tensors that cannot be read. want: the tensor's codes (rows, columns).
    """
    right = np.zeros_like(image)
    write_tensor(right, tensor, want)
    strips = tensor.base + np.arange(tensor.strips * tensor.pitch)
    beats = np.concatenate([tensor.desc + np.arange(tensor.strips), strips])
    beats = beats[(image[beats] != right[beats]).any(axis=1)]
    if not len(beats):
        return found
    cycles = written[beats]
    beat = int(beats[np.argmin(np.where(cycles == NEVER, np.iinfo(np.int64).max, cycles))])
    found = replace(found, cycle=_cycle(written, beat))
    if tensor.desc <= beat < tensor.desc + tensor.strips:
        return replace(found, row_tile=(beat - tensor.desc) % tensor.row_tiles)
    part, rest = divmod(beat - tensor.base, tensor.part_pitch)
    tile, offset = divmod(rest, tensor.pitch)
    strip, masks = beat - offset, tensor.stride // MASKS_PER_BEAT
    wrong = image[beat] ^ right[beat]
    if offset < masks:
        bit = int(np.flatnonzero(np.unpackbits(wrong, bitorder="little"))[0])
        vector, lane = offset * MASKS_PER_BEAT + bit // tensor.lanes, bit % tensor.lanes
    else:
        lane = int(np.flatnonzero(wrong)[0])
        places = np.flatnonzero(_masks(right, strip, tensor)[:, lane])
        place = offset - masks
        vector = int(places[place]) if place < len(places) else tensor.vectors
    found = replace(found, row_tile=tile, lane=lane)
    inside = vector // tensor.lanes * tensor.lanes + lane
    if vector >= tensor.vectors or inside >= tensor.width:
        return found
    column = part * tensor.width + inside
    return replace(
        found,
        row=tile * tensor.lanes + vector % tensor.lanes,
        column=column,
        column_tile=column // tensor.lanes,
    )
