"""The stages of encoder layers from what a run leaves: external memory and the taps.

Taps are text, one event a line in the order of the run: ``F`` a row of fixed-point words on its way
to a function, ``S`` a vector of codes that a layer norm has added up; the highest lane comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.plan.command import Command
from shiftforge.generator.plan.layer import LayerPlan, Results
from shiftforge.generator.plan.unit_registers import FUNCTIONS
from shiftforge.sim.rtl.memory_file import from_hex
from shiftforge.sim.rtl.operands import read_tensor

__all__ = ["LayerStages", "read_stages"]

NORM = FUNCTIONS.index("norm")
TAPPED = (FUNCTIONS.index("gelu"), FUNCTIONS.index("softmax"))
IN_MEMORY = ("q", "k", "vt", "probabilities", "context", "attention_output", "norm1", "gelu",
             "ffn2", "norm2")  # fmt: skip
WORD = 4


@dataclass(frozen=True, eq=False)
class LayerStages:
    """stages: by the reference's names and in its shapes. malformed: what is wrong with tensors
    that could not be read, by stage."""

    stages: dict[str, NDArray[Any]]
    malformed: dict[str, str]


@dataclass
class _Taps:
    """Tap vectors in order, (vectors, lanes)."""

    rows: NDArray[Any]
    taken: int = 0

    def take(self, count: int, what: str) -> NDArray[Any]:
        """The next vectors; raises CheckFailed where there are fewer."""
        found = self.rows[self.taken : self.taken + count]
        if len(found) != count:
            raise CheckFailed(f"taps of {what}: {len(found)} vectors, expected {count}")
        self.taken += count
        return found


def _split(taps: bytes, lanes: int) -> tuple[_Taps, _Taps]:
    """Fixed-point rows and code vectors."""
    lines = taps.split(b"\n")

    def bytes_of(kind: bytes, size: int) -> NDArray[np.uint8]:
        chosen = [line[2:] for line in lines if line.startswith(kind)]
        if not chosen:
            return np.zeros((0, size), dtype=np.uint8)
        return from_hex(b"\n".join(chosen) + b"\n", size)

    words = np.ascontiguousarray(bytes_of(b"F ", WORD * lanes)).view("<i4")
    return _Taps(words.astype(np.int64)), _Taps(bytes_of(b"S ", lanes))


def _fixed(command: Command, taps: _Taps, lanes: int) -> NDArray[np.int64]:
    """(rows, columns) of a product, padding included, from rows in the order of its tiles."""
    r = command.registers
    m, n, group = r["m_tiles"], r["n_tiles"], r["group"]
    rows = taps.take(m * n * lanes, command.label)
    out = np.zeros((m, lanes, n, lanes), dtype=np.int64)
    at = 0
    for first in range(0, m, group):
        height = min(group, m - first)
        block = rows[at : at + height * n * lanes].reshape(n, height, lanes, lanes)
        out[first : first + height] = block.transpose(1, 2, 0, 3)
        at += height * n * lanes
    return out.reshape(m * lanes, n * lanes)


def _sums(command: Command, taps: _Taps, lanes: int) -> NDArray[np.uint8]:
    r = command.registers
    m, steps = r["m_tiles"], r["c_steps"]
    rows = taps.take(m * steps * lanes, command.label).reshape(m, steps, lanes, lanes)
    return rows.transpose(0, 2, 1, 3).reshape(m * lanes, steps * lanes).astype(np.uint8)


def _tapped(plan: LayerPlan, taps: bytes) -> list[dict[str, NDArray[Any]]]:
    """``scores``, ``ffn1``, ``add1``, ``add2`` of every layer."""
    lanes, shape = plan.config.lanes, plan.shape
    words, sums = _split(taps, lanes)
    length = shape.length
    found: list[dict[str, NDArray[Any]]] = [
        {"scores": np.zeros((shape.heads, length, length), dtype=np.int64)} for _ in plan.layers
    ]
    for command in plan.commands:
        here, func = found[command.layer], command.registers["func"]
        if func == NORM:
            here[command.stages[0]] = _sums(command, sums, lanes)[:length, : shape.hidden]
        elif command.head is not None and func in TAPPED:
            here["scores"][command.head] = _fixed(command, words, lanes)[:length, :length]
        elif func in TAPPED:
            here[command.stages[0]] = _fixed(command, words, lanes)[:length, : shape.ffn]
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
        found.append(LayerStages({**read.stages, **tapped}, read.malformed))
    return found
