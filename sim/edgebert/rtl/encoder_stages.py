"""The stages of encoder layers from what a run leaves: external memory and the taps.

Taps are text, one event a line in the order of the run: ``F``, cycle and a row of fixed-point words
on its way to a function, ``S``, cycle and a vector of codes that a layer norm has added up; the
highest lane comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.command import Command
from shiftforge.generator.edgebert.encoder import LayerPlan, Results
from shiftforge.generator.edgebert.registers import FUNCTIONS
from shiftforge.sim.edgebert.rtl.operands import read_tensor
from shiftforge.sim.rtl.memory_file import from_hex

__all__ = ["LayerStages", "read_stages"]

NORM = FUNCTIONS.index("norm")
TAPPED = (FUNCTIONS.index("gelu"), FUNCTIONS.index("softmax"))
IN_MEMORY = ("q", "k", "vt", "probabilities", "context", "attention_output", "norm1", "gelu",
             "ffn2", "norm2")  # fmt: skip
WORD = 4


@dataclass(frozen=True, eq=False)
class LayerStages:
    """stages: by the reference's names and in its shapes. malformed: what is wrong with tensors
    that could not be read, by stage. cycles: of the stages that never reach memory, the cycle in
    which each vector passed, (rows, column tiles) after any heads."""

    stages: dict[str, NDArray[Any]]
    malformed: dict[str, str]
    cycles: dict[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass
class _Taps:
    """Tap vectors in order, (vectors, lanes), and their cycles, (vectors, 1)."""

    rows: NDArray[Any]
    cycles: NDArray[np.int64]
    taken: int = 0

    def take(self, count: int, what: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The next vectors and cycles; raises CheckFailed where there are fewer."""
        span = slice(self.taken, self.taken + count)
        found = self.rows[span]
        if len(found) != count:
            raise CheckFailed(f"taps of {what}: {len(found)} vectors, expected {count}")
        self.taken += count
        return found, self.cycles[span]


def _split(taps: bytes, lanes: int) -> tuple[_Taps, _Taps]:
    """Fixed-point rows and code vectors."""
    lines = taps.split(b"\n")

    def taken(kind: bytes, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        chosen = [line.split(b" ") for line in lines if line.startswith(kind)]
        cycles = np.array([words[1] for words in chosen], dtype=np.int64).reshape(-1, 1)
        if not chosen:
            return np.zeros((0, size), dtype=np.uint8), cycles
        return from_hex(b"\n".join(words[2] for words in chosen) + b"\n", size), cycles

    fixed, fixed_cycles = taken(b"F ", WORD * lanes)
    words = np.ascontiguousarray(fixed).view("<i4").astype(np.int64)
    return _Taps(words, fixed_cycles), _Taps(*taken(b"S ", lanes))


def _by_tiles(command: Command, rows: NDArray[Any], lanes: int) -> NDArray[Any]:
    """(rows, column tiles * width) of a product, padding included, from vectors of any width in
    the order of its tiles."""
    r = command.registers
    m, n, group = r["m_tiles"], r["n_tiles"], r["group"]
    width = rows.shape[1]
    out = np.zeros((m, lanes, n, width), dtype=np.int64)
    at = 0
    for first in range(0, m, group):
        height = min(group, m - first)
        block = rows[at : at + height * n * lanes].reshape(n, height, lanes, width)
        out[first : first + height] = block.transpose(1, 2, 0, 3)
        at += height * n * lanes
    return out.reshape(m * lanes, n * width)


def _by_steps(command: Command, rows: NDArray[Any], lanes: int) -> NDArray[Any]:
    """The same of a sum."""
    r = command.registers
    m, steps, width = r["m_tiles"], r["c_steps"], rows.shape[1]
    tiled = rows.reshape(m, steps, lanes, width)
    return tiled.transpose(0, 2, 1, 3).reshape(m * lanes, steps * width)


def _tapped(plan: LayerPlan, taps: bytes) -> list[LayerStages]:
    """``scores``, ``ffn1``, ``add1``, ``add2`` of every layer."""
    lanes, shape = plan.config.lanes, plan.shape
    words, sums = _split(taps, lanes)
    length = shape.length
    square = (shape.heads, length, length)
    marks = (shape.heads, length, -(-length // lanes))
    found = [
        LayerStages(
            {"scores": np.zeros(square, np.int64)}, {}, {"scores": np.zeros(marks, np.int64)}
        )
        for _ in plan.layers
    ]
    for command in plan.commands:
        here, func, r = found[command.layer], command.registers["func"], command.registers
        if func == NORM:
            rows, cycles = sums.take(r["m_tiles"] * r["c_steps"] * lanes, command.label)
            stage = command.stages[0]
            codes = _by_steps(command, rows, lanes)[:length, : shape.hidden]
            here.stages[stage] = codes.astype(np.uint8)
            here.cycles[stage] = _by_steps(command, cycles, lanes)[:length]
        elif func in TAPPED:
            rows, cycles = words.take(r["m_tiles"] * r["n_tiles"] * lanes, command.label)
            values = _by_tiles(command, rows, lanes)[:length]
            times = _by_tiles(command, cycles, lanes)[:length]
            if command.head is not None:
                here.stages["scores"][command.head] = values[:, :length]
                here.cycles["scores"][command.head] = times
            else:
                here.stages[command.stages[0]] = values[:, : shape.ffn]
                here.cycles[command.stages[0]] = times
    left = len(words.rows) - words.taken + len(sums.rows) - sums.taken
    if left:
        raise CheckFailed(f"{left} tap vectors more than the program has")
    return found


def _from_memory(plan: LayerPlan, at: Results, image: NDArray[np.uint8]) -> LayerStages:
    shape = plan.shape
    stages: dict[str, NDArray[Any]] = {}
    malformed = {}
    for name in IN_MEMORY:
        try:
            stages[name] = read_tensor(image, at.tensors[name], name)
        except CheckFailed as error:
            malformed[name] = str(error)
    if "probabilities" in stages:
        by_row = stages["probabilities"].reshape(shape.length, shape.heads, shape.length)
        stages["probabilities"] = np.ascontiguousarray(by_row.transpose(1, 0, 2))
    if "vt" in stages:
        stages["v"] = np.ascontiguousarray(stages["vt"].T)
    return LayerStages(stages, malformed)


def read_stages(plan: LayerPlan, image: NDArray[np.uint8], taps: bytes) -> list[LayerStages]:
    """Every layer's stages; where the layers share regions, only the taps of all but the last.

    ``scores`` of a head that the program skips are 0. Raises CheckFailed where there are not as
    many tap vectors as the program makes.
    """
    found = []
    for index, (at, tapped) in enumerate(zip(plan.layers, _tapped(plan, taps), strict=True)):
        whole = plan.apart or index == len(plan.layers) - 1
        read = _from_memory(plan, at, image) if whole else LayerStages({}, {})
        found.append(LayerStages({**read.stages, **tapped.stages}, read.malformed, tapped.cycles))
    return found
