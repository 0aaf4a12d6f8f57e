"""The first difference of a run: its place, its values, and the cycle in which the RTL wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.command import Tensor
from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT
from shiftforge.sim.edgebert.rtl.operands import write_tensor
from shiftforge.sim.trace import Divergence

__all__ = ["RtlDivergence", "at_code", "first_place", "in_strips", "read_times", "who_differs"]

NEVER = -1
BITS = 8
WORDS = ("scores", "ffn1")  # stages of fixed-point words; all others are codes
KEYS = (
    *("stage", "command", "start", "end", "layer", "head", "row_tile", "column_tile", "row"),
    *("column", "lane", "rtl", "golden", "opencl", "cycle", "tapped", "fault"),
)


@dataclass(frozen=True, kw_only=True)
class RtlDivergence(Divergence):
    """The first difference, in the order of computation, of the first stage that differs.

    at: head (of a layer's stage), row and column of the value in its tensor, those that are known.
    row_tile, column_tile, lane: the unit's place of the value; a strip may be known where row and
    column are not. got, want: the values of RTL and golden; differing: values in which the RTL or
    OpenCL differs from golden. opencl: its value, None where the kernels did not run. fault: why
    the tensor cannot be compared, or empty; every value counts as different then, got is 0 and want
    the tensor's size, and the sides have no values. cycle: in which the beat with the value (or
    with its mask, where one of the two is zero) was written, or, where tapped, in which a value
    that never reaches memory passed; None where that beat was never written. command: the one that
    computes the stage, cycles start to end (which is the next one's start). Cycles count from the
    unit's start.
    """

    command: str
    start: int
    end: int
    row_tile: int | None = None
    column_tile: int | None = None
    lane: int | None = None
    opencl: int | None = None
    cycle: int | None = None
    tapped: bool = False
    fault: str = ""

    @classmethod
    def of_fault(
        cls, stage: str, fault: str, size: int, ran: tuple[str, int, int], layer: int | None = None
    ) -> RtlDivergence:
        """That of a tensor of ``size`` values that cannot be compared. ran: command, start, end."""
        command, start, end = ran
        return cls(
            stage,
            at=(),
            got=0,
            want=size,
            differing=size,
            total=size,
            layer=layer,
            command=command,
            start=start,
            end=end,
            fault=fault,
        )

    @property
    def head(self) -> int | None:
        """The attention head, None where there is none or it is not known."""
        return dict(self.at).get("head")

    @property
    def row(self) -> int | None:
        """The row in the tensor, None where only the strip is known."""
        return dict(self.at).get("row")

    @property
    def column(self) -> int | None:
        """The column in the tensor, None where only the strip is known."""
        return dict(self.at).get("column")

    @property
    def rtl(self) -> int | None:
        """The RTL's value, None with a fault."""
        return None if self.fault else self.got

    @property
    def golden(self) -> int | None:
        """Golden's value, None with a fault."""
        return None if self.fault else self.want

    @property
    def where(self) -> str:
        """The stage, and its layer."""
        plain = self.stage if self.layer is None else f"{self.stage} of layer {self.layer}"
        return self.label or plain

    @property
    def place(self) -> str:
        """The position in words, with its tiles and its lane."""
        parts = []
        for name in ("head", "row_tile", "column_tile", "row", "column"):
            value = getattr(self, name)
            parts += [] if value is None else [f"{name.replace('_', ' ')} {value}"]
        if self.lane is not None and self.column is None:
            parts.append(f"lane {self.lane}")
        elif self.lane is not None:
            parts[-1] += f" (lane {self.lane})"
        return ", ".join(parts)

    @property
    def when(self) -> str:
        """The cycle, and the command with its cycles."""
        cycle = "never written"
        if self.cycle is not None:
            cycle = f"{'passed' if self.tapped else 'written'} in cycle {self.cycle:,}"
        return f"{cycle} (command {self.command}: {self.start:,} to {self.end:,})"

    def __str__(self) -> str:
        first = ", ".join(filter(None, (self.where, self.place)))
        sides = {"RTL": self.rtl, "golden": self.golden, "OpenCL": self.opencl}
        known = {name: value for name, value in sides.items() if value is not None}
        if self.fault:
            return f"RTL: {self.fault}; first: {first}; {self.when}"
        form = "d" if self.stage in WORDS else "#04x"
        values = ", ".join(f"{value:{form}} in {name}" for name, value in known.items())
        return f"{who_differs(known)}; first: {first}: {values}; {self.when}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, that of ``shiftforge unit --json``."""
        return {name: getattr(self, name) for name in KEYS}


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


def first_place(different: NDArray[np.bool_], lanes: int) -> tuple[int, int, int]:
    """(head, row, column) of the first True in (heads, rows, columns), in the order of computation:
    head, row tile, column tile, row, lane."""
    head, row, column = np.nonzero(different)
    first = np.lexsort((column, row, column // lanes, row // lanes, head))[0]
    return int(head[first]), int(row[first]), int(column[first])


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
    found: RtlDivergence,
    tensor: Tensor,
    image: NDArray[np.uint8],
    written: NDArray[np.int64],
    part: int = 0,
) -> RtlDivergence:
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
    found: RtlDivergence,
    tensor: Tensor,
    image: NDArray[np.uint8],
    want: NDArray[np.uint8],
    written: NDArray[np.int64],
) -> RtlDivergence:
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
        at=(("row", tile * tensor.lanes + vector % tensor.lanes), ("column", column)),
        column_tile=column // tensor.lanes,
    )
