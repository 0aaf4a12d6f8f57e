"""The kernels' memory image: stored matrices, parameters, tables, commands.

A stored matrix lies in parts of neighbouring columns, a part in strips, one a row tile; a strip is
its masks and, apart from them, its values, each lane's packed one after the other
(docs/EDGEBERT_UNIT.md, 1.7). Rows of n 32-bit words hold fixed point, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.generator.edgebert.kernel_fields import COMMAND_FIELDS, OUTCOME_WORDS

__all__ = ["Commands", "Image", "Packed", "Stored", "blocked", "matrix_of", "pack", "unpack"]

Int32s = NDArray[np.int32]
_FIELDS = {name: i for i, (name, _) in enumerate(COMMAND_FIELDS)}


@dataclass(frozen=True, eq=False)
class Packed:
    """T strips of V vectors of n lanes.

    masks: (T, V) uint32, bit i for lane i. values: (T, V, n) uint8, [t, j, i] the j-th value of
    lane i in strip t, 0 past the last. beats: (T,) int32, values of a strip's fullest lane.
    """

    masks: NDArray[np.uint32]
    values: NDArray[np.uint8]
    beats: Int32s


def blocked(matrix: NDArray[Any], lanes: int) -> NDArray[Any]:
    """A matrix (R, K) as (row tiles, K-steps * n, n), padded with 0."""
    padded = np.pad(matrix, ((0, -matrix.shape[0] % lanes), (0, -matrix.shape[1] % lanes)))
    tiles, steps = padded.shape[0] // lanes, padded.shape[1] // lanes
    blocks = padded.reshape(tiles, lanes, steps, lanes).transpose(0, 2, 1, 3)
    return blocks.reshape(tiles, steps * lanes, lanes)


def matrix_of(vectors: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """The matrix (rows, columns) of (row tiles, K-steps * n, n)."""
    tiles, count, lanes = vectors.shape
    blocks = vectors.reshape(tiles, count // lanes, lanes, lanes).transpose(0, 2, 1, 3)
    return blocks.reshape(tiles * lanes, count)[:rows, :columns]


def pack(matrix: ArrayLike, lanes: int, value_bits: int) -> Packed:
    """Store codes (R, K); a code is zero where none of the bits ``value_bits`` is set."""
    vectors = blocked(np.asarray(matrix, dtype=np.uint8), lanes)
    keep = (vectors & np.uint8(value_bits)) != 0
    place = np.cumsum(keep, axis=1) - 1
    values = np.zeros_like(vectors)
    t, v, lane = np.nonzero(keep)
    values[t, place[t, v, lane], lane] = vectors[t, v, lane]
    powers = np.uint32(1) << np.arange(lanes, dtype=np.uint32)
    masks = (keep * powers).sum(axis=2, dtype=np.uint32)
    return Packed(masks, values, keep.sum(axis=1).max(axis=1).astype(np.int32))


def unpack(packed: Packed, rows: int, columns: int) -> NDArray[np.uint8]:
    """The codes (rows, columns) of a stored matrix; what its masks leave out is 0."""
    lanes = packed.values.shape[2]
    keep = (packed.masks[:, :, None] >> np.arange(lanes, dtype=np.uint32)) & 1
    place = np.maximum(np.cumsum(keep, axis=1).astype(np.int64) - 1, 0)
    vectors = np.take_along_axis(packed.values, place, axis=1) * keep.astype(np.uint8)
    return matrix_of(vectors, rows, columns)


@dataclass(frozen=True)
class Stored:
    """Where a matrix (rows, columns) lies: first vector and first strip; columns in equal parts."""

    base: int
    strip: int
    rows: int
    columns: int
    parts: int
    lanes: int

    @property
    def tiles(self) -> int:
        """Row tiles: strips of a part."""
        return -(-self.rows // self.lanes)

    @property
    def steps(self) -> int:
        """K-steps of a part."""
        return -(-self.columns // self.parts // self.lanes)

    @property
    def vectors(self) -> int:
        """Vectors of all parts."""
        return self.parts * self.tiles * self.steps * self.lanes

    def part(self, index: int) -> Stored:
        """One part."""
        strips = index * self.tiles
        return replace(
            self,
            base=self.base + strips * self.steps * self.lanes,
            strip=self.strip + strips,
            columns=self.columns // self.parts,
            parts=1,
        )

    def band(self, first: int, rows: int) -> Stored:
        """Some rows of a matrix of one part; ``first`` is a multiple of n."""
        strips = first // self.lanes
        base = self.base + strips * self.steps * self.lanes
        return replace(self, base=base, strip=self.strip + strips, rows=rows)

    def operand(self, name: str) -> dict[str, int]:
        """The fields of a command that reads it as operand ``name``."""
        fields = {
            "base": self.base,
            "strip": self.strip,
            "part_steps": self.steps,
            "part_strips": self.tiles,
        }
        return {f"{name}_{key}": value for key, value in fields.items()}


class Commands:
    """A program of commands, and the rows of the trace that they fill where one is kept."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.trace_rows = 0
        self._commands: list[Mapping[str, int]] = []

    def command(self, **fields: int) -> None:
        """The next command; fields that are not given are 0."""
        self._commands.append(fields)

    def trace(self, count: int) -> int:
        """Room for rows of the trace."""
        self.trace_rows += count
        return self.trace_rows - count

    def words(self) -> NDArray[np.uint32]:
        """(commands, fields), as the kernels read them."""
        found = np.zeros((len(self._commands), len(COMMAND_FIELDS)), np.uint32)
        for row, fields in zip(found, self._commands, strict=True):
            for name, value in fields.items():
                row[_FIELDS[name]] = value & 0xFFFFFFFF
        return found


class Image(Commands):
    """What the kernels find in memory, and the program of commands.

    Everything is added before ``freeze``, which lays the arrays out; results are read after a run.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes)
        self._vectors = self._strips = self._rows = 0
        self._codes: list[tuple[Stored, Packed]] = []
        self._shift: list[Int32s] = []
        self._bias: list[Int32s] = []
        self._tables: list[Int32s] = []
        self._tiles = self._table_words = 0
        self._outcomes = 0

    @property
    def taken(self) -> tuple[int, int]:
        """Vectors and strips of the tensors so far."""
        return self._vectors, self._strips

    def tensor(self, rows: int, columns: int, parts: int = 1) -> Stored:
        """Room for AF codes."""
        made = Stored(self._vectors, self._strips, rows, columns, parts, self.lanes)
        self._vectors += made.vectors
        self._strips += made.parts * made.tiles
        return made

    def codes(self, matrix: ArrayLike, value_bits: int) -> Stored:
        """A matrix of one part with its codes."""
        packed = pack(matrix, self.lanes, value_bits)
        rows, columns = np.asarray(matrix).shape
        made = self.tensor(rows, columns)
        self._codes.append((made, packed))
        return made

    def rows(self, count: int) -> int:
        """Room for rows of fixed point."""
        self._rows += count
        return self._rows - count

    def channels(self, shift: ArrayLike, bias: ArrayLike, n: int) -> int:
        """Shifts and biases of n output channels (one value, or n): their first column tile."""
        tiles = -(-n // self.lanes)
        for value, kept in ((shift, self._shift), (bias, self._bias)):
            whole = np.zeros(tiles * self.lanes, np.int32)
            whole[:n] = np.broadcast_to(np.asarray(value, dtype=np.int64), (n,))
            kept.append(whole)
        self._tiles += tiles
        return self._tiles - tiles

    def table(self, words: ArrayLike) -> int:
        """The words of a function's table."""
        whole = np.asarray(words, dtype=np.int64).astype(np.int32).reshape(-1)
        self._tables.append(whole)
        self._table_words += len(whole)
        return self._table_words - len(whole)

    def outcome(self) -> int:
        """Room for an entropy's outcome."""
        self._outcomes += 1
        return (self._outcomes - 1) * OUTCOME_WORDS

    def freeze(self) -> None:
        """Lay out the arrays that the kernels get."""
        n = self.lanes
        self.program = self.words()
        self.masks = np.zeros(max(self._vectors, 1), np.uint32)
        self.values = np.zeros((max(self._vectors, 1), n), np.uint8)
        self.beats = np.zeros(max(self._strips, 1), np.int32)
        for stored, packed in self._codes:
            self._put(stored, packed)
        none = [np.zeros(n, np.int32)]
        self.shift = np.concatenate(self._shift or none)
        self.bias = np.concatenate(self._bias or none)
        self.tables = np.concatenate(self._tables or none)
        self.fixed = np.zeros((max(self._rows, 1), n), np.int32)
        self.traced = np.zeros((max(self.trace_rows, 1), n), np.int32)
        self.outcomes = np.zeros(max(self._outcomes, 1) * OUTCOME_WORDS, np.int32)

    def _put(self, where: Stored, packed: Packed) -> None:
        part = slice(where.base, where.base + where.vectors)
        self.masks[part] = packed.masks.reshape(-1)
        self.values[part] = packed.values.reshape(-1, self.lanes)
        self.beats[where.strip : where.strip + len(packed.beats)] = packed.beats

    def write(self, where: Stored, matrix: ArrayLike, value_bits: int) -> None:
        """Put the codes of a matrix of one part into the frozen image."""
        self._put(where, pack(matrix, self.lanes, value_bits))

    def fresh(self) -> Image:
        """A frozen image as it was laid out, with arrays of its own for what a run writes."""
        made = copy(self)
        for name in ("masks", "values", "beats", "fixed", "outcomes"):
            setattr(made, name, getattr(self, name).copy())
        return made

    def load(self, commands: Commands) -> None:
        """Make commands the program of the next run, with a trace of their own."""
        self.program = commands.words()
        self.traced = np.zeros((max(commands.trace_rows, 1), self.lanes), np.int32)

    def stored(self, where: Stored) -> Packed:
        """A matrix of one part as it lies in memory."""
        shape = (where.tiles, where.steps * self.lanes)
        part = slice(where.base, where.base + where.vectors)
        return Packed(
            self.masks[part].reshape(shape),
            self.values[part].reshape(*shape, self.lanes),
            self.beats[where.strip : where.strip + where.tiles],
        )

    def read(self, where: Stored) -> NDArray[np.uint8]:
        """The codes (rows, columns) of a matrix."""
        width = where.columns // where.parts
        parts = [where.part(i) for i in range(where.parts)]
        return np.concatenate(
            [unpack(self.stored(part), where.rows, width) for part in parts], axis=1
        )

    def read_rows(self, source: NDArray[Any], at: int, rows: int, columns: int) -> NDArray[Any]:
        """A matrix (rows, columns) out of the rows of ``fixed`` or ``traced``."""
        n = self.lanes
        tiles, steps = -(-rows // n), -(-columns // n)
        vectors = source[at : at + tiles * steps * n].reshape(tiles, steps * n, n)
        return matrix_of(vectors, rows, columns)
