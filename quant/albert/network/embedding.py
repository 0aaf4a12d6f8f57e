"""The word table as the unit's memory keeps it: a bit a code, and the codes that are not zero."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["EmbeddingTable"]

_MAGNITUDE = np.uint8(0x7F)  # 0x80 is a zero as well (docs/EDGEBERT_UNIT.md 1.1)


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """AF<8,3> codes (V, columns) of exponent bias ``bias`` as bit mask and packed values.

    mask: uint8 (V, ceil(columns / 8)); bit i of a row's byte j stands for column 8j + i, bits past
    the last column are 0. values: uint8 (nnz,), the codes that are not zero, row by row.
    """

    columns: int
    mask: NDArray[np.uint8]
    values: NDArray[np.uint8]
    bias: int

    @classmethod
    def from_dense(cls, codes: ArrayLike, bias: int) -> EmbeddingTable:
        """The table of codes (V, columns)."""
        dense = np.asarray(codes, dtype=np.uint8)
        if dense.ndim != 2:
            raise InputError(Problem(f"a word table of shape {dense.shape}", "give two axes"))
        keep = (dense & _MAGNITUDE) != 0
        mask = np.packbits(keep, axis=1, bitorder="little")
        return cls(dense.shape[1], mask, dense[keep], bias)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the dense codes."""
        return len(self.mask), self.columns

    @property
    def density(self) -> float:
        """Share of codes that are not zero."""
        return len(self.values) / max(len(self.mask) * self.columns, 1)

    @property
    def mask_bytes(self) -> int:
        """Bytes of the bit mask."""
        return int(self.mask.size)

    @property
    def value_bytes(self) -> int:
        """Bytes of the packed values."""
        return int(self.values.size)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over mask, values and exponent bias."""
        whole = hashlib.sha256(np.ascontiguousarray(self.mask).tobytes())
        whole.update(np.ascontiguousarray(self.values).tobytes())
        whole.update(int(self.bias).to_bytes(2, "little", signed=True))
        return whole.hexdigest()

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each row's values begin, (V + 1,)."""
        counts = self._bits(np.arange(len(self.mask))).sum(axis=1)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])

    def _bits(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        bits = np.unpackbits(self.mask[ids], axis=1, count=self.columns, bitorder="little")
        return bits.astype(np.bool_)

    def rows(self, ids: ArrayLike) -> NDArray[np.uint8]:
        """The codes (n, columns) of words (n,)."""
        which = np.asarray(ids, dtype=np.int64)
        keep = self._bits(which)
        out = np.zeros(keep.shape, dtype=np.uint8)
        own = np.cumsum(keep, axis=1) - 1 + self.starts[which][:, None]
        out[keep] = self.values[own[keep]]
        return out

    def dense(self) -> NDArray[np.uint8]:
        """All codes (V, columns)."""
        return self.rows(np.arange(len(self.mask)))

    def problems(self) -> list[Problem]:
        """What does not fit together; empty for a sound table."""
        where, again = "word table", "convert the network again"
        if self.mask.ndim != 2 or self.values.ndim != 1 or self.columns < 1:
            return [Problem(f"arrays {self.mask.shape} and {self.values.shape}", again, where)]
        width = -(-self.columns // 8)
        if self.mask.shape[1] != width:
            return [Problem(f"masks of {self.mask.shape[1]} bytes", f"give {width}", where)]
        found = []
        spare = 8 * width - self.columns
        if spare and (self.mask[:, -1] >> np.uint8(8 - spare)).any():
            found.append(Problem("mask bits past the last column", again, where))
        bits = int(self.starts[-1])
        if bits != len(self.values):
            found.append(Problem(f"{len(self.values)} values for {bits} mask bits", again, where))
        if ((self.values & _MAGNITUDE) == 0).any():
            found.append(Problem("a packed value is zero", again, where))
        if not -64 <= self.bias <= 63:
            found.append(Problem(f"exponent bias {self.bias}", "give -64 to 63", where))
        return found
