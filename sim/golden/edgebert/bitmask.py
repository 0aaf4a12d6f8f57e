"""Vector order of a stored matrix, and bit-mask storage with values packed lane by lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat

__all__ = [
    "Codes",
    "Stream",
    "checkpoints",
    "decode",
    "encode",
    "from_vectors",
    "non_zero",
    "to_vectors",
]

Codes = Literal["af", "shift1", "shift2"]


@dataclass(frozen=True, eq=False)
class Stream:
    """masks: (V,) uint32, bit i for lane i; banks: n uint8 arrays, a lane's non-zero values."""

    masks: NDArray[np.uint32]
    banks: tuple[NDArray[np.uint8], ...]


def to_vectors(matrix: ArrayLike, n: int) -> NDArray[np.uint8]:
    """Return codes (R, K) as vectors (V, n) in blocked order: row tile, K-step, row in the tile.

    Rows and columns are padded with code 0; V = ceil(R/n) * n * ceil(K/n).
    """
    m = np.asarray(matrix, dtype=np.uint8)
    rows, depth = m.shape
    padded = np.pad(m, ((0, -rows % n), (0, -depth % n)))
    blocks = padded.reshape(padded.shape[0] // n, n, padded.shape[1] // n, n)
    return blocks.transpose(0, 2, 1, 3).reshape(-1, n)


def from_vectors(vectors: ArrayLike, rows: int, depth: int) -> NDArray[np.uint8]:
    """Return the matrix (rows, depth) of vectors (V, n) in blocked order."""
    v = np.asarray(vectors, dtype=np.uint8)
    n = v.shape[1]
    blocks = v.reshape(-(-rows // n), -(-depth // n), n, n).transpose(0, 2, 1, 3)
    return blocks.reshape(blocks.shape[0] * n, -1)[:rows, :depth]


def non_zero(codes: ArrayLike, kind: Codes = "af", fmt: AfFormat = AF8) -> NDArray[np.bool_]:
    """Return which codes are stored: AF exp or man not 0; SHIFT any exponent code not 0."""
    bits = {"af": (1 << (fmt.bits - 1)) - 1, "shift1": 0x07, "shift2": 0x77}[kind]
    keep: NDArray[np.bool_] = (np.asarray(codes, dtype=np.uint8) & np.uint8(bits)) != 0
    return keep


def encode(vectors: ArrayLike, kind: Codes = "af", fmt: AfFormat = AF8) -> Stream:
    """Return the masks and banks of vectors (V, n), n <= 32."""
    v = np.asarray(vectors, dtype=np.uint8)
    if v.ndim != 2 or not 1 <= v.shape[1] <= 32:
        raise InputError(Problem("vectors must have the shape (V, n) with n of 1..32"))
    keep = non_zero(v, kind, fmt)
    lanes = range(v.shape[1])
    weights = np.array([1 << lane for lane in lanes], dtype=np.uint64)
    masks = (keep * weights).sum(axis=1).astype(np.uint32)
    return Stream(masks, tuple(v[keep[:, lane], lane] for lane in lanes))


def decode(stream: Stream) -> NDArray[np.uint8]:
    """Return the vectors (V, n); code 0 where the mask bit is 0. Raises on a wrong bank length."""
    n = len(stream.banks)
    vectors = np.zeros((len(stream.masks), n), dtype=np.uint8)
    for lane, bank in enumerate(stream.banks):
        keep = (stream.masks >> np.uint32(lane)) & 1 == 1
        if int(keep.sum()) != len(bank):
            raise InputError(Problem(f"bank {lane} holds {len(bank)} values for {keep.sum()} bits"))
        vectors[keep, lane] = bank
    return vectors


def checkpoints(stream: Stream, every: int) -> NDArray[np.int64]:
    """Return bank pointers (tiles, n) before each group of ``every`` vectors (K-steps * n)."""
    lanes = np.arange(len(stream.banks), dtype=np.uint32)
    bits = ((stream.masks[:, None] >> lanes) & 1).astype(np.int64)
    before = np.cumsum(bits, axis=0) - bits
    return before[::every]
