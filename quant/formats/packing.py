"""Shift codes as bytes: the storage modes S1, S2 and SEL.

Weights are in OIHW order; a row is one output channel. Two codes share a byte, the earlier in the
low nibble (a b = 3 code leaves its nibble's top bit 0); every row is padded with zero bits to whole
32-bit little-endian words.

* S1:  one code a weight.
* S2:  two codes a weight, the first term in the low nibble: one byte a weight.
* SEL: plane A, the first terms as in S1; then a mask, one bit a weight (bit 0 first), rows padded;
  then plane B, the second terms of the masked weights only, rows padded. 5 + 4 f bits a weight for
  a fraction f of two-term weights, padding aside.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats.shift import codes_from_ints, ints_from_codes
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["pack", "unpack"]

_WORD = 4
_REMEDY = "the codes are damaged: make the model file anew"


def pack(w_int: NDArray[np.integer], fmt: ShiftFormat) -> NDArray[np.uint8]:
    """Packed codes, uint8 (bytes,), of integer weights (O, ...).

    Raises InputError where a weight is not a value of the format or the format is impossible.
    """
    weights = np.asarray(w_int)
    term1, term2 = codes_from_ints(weights.reshape(weights.shape[0], -1), fmt)
    if fmt.mode == "S1":
        return _nibbles(term1).reshape(-1)
    if fmt.mode == "S2":
        return _pairs(term1, term2).reshape(-1)
    mask = term2 != 0
    plane_b = [_nibbles(row[kept][None, :])[0] for row, kept in zip(term2, mask, strict=True)]
    return np.concatenate([_nibbles(term1).reshape(-1), _bits(mask).reshape(-1), *plane_b])


def unpack(packed: NDArray[np.uint8], fmt: ShiftFormat, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Integer weights of the given shape (O, ...) from packed codes.

    Raises InputError for a wrong length, padding that is not zero, a mask bit without a second
    term, the reserved code, or terms that are not canonical.
    """
    reader = _Reader(np.asarray(packed, dtype=np.uint8).reshape(-1))
    rows, count = shape[0], math.prod(shape[1:])
    if fmt.mode == "S1":
        term1 = reader.nibbles(rows, count)
        term2 = np.zeros_like(term1)
    elif fmt.mode == "S2":
        term1, term2 = reader.pairs(rows, count)
    else:
        term1 = reader.nibbles(rows, count)
        mask = reader.bits(rows, count)
        term2 = np.zeros_like(term1)
        for k in range(rows):
            term2[k, mask[k]] = reader.nibbles(1, int(mask[k].sum()))[0]
        if np.any((term2 == 0) & mask):
            raise InputError(Problem("a weight marked as two-term has no second term", _REMEDY))
    reader.finish()
    return ints_from_codes(term1, term2, fmt).reshape(shape)


def _row_bytes(bits: int) -> int:
    """Bytes of a row of that many bits, padded to whole words."""
    return -(-bits // (8 * _WORD)) * _WORD


def _padded(rows: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.pad(rows, ((0, 0), (0, size - rows.shape[1])))


def _nibbles(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    padded = _padded(codes, 2 * _row_bytes(4 * codes.shape[1]))
    return np.asarray(padded[:, 0::2] | (padded[:, 1::2] << 4), dtype=np.uint8)


def _pairs(term1: NDArray[np.uint8], term2: NDArray[np.uint8]) -> NDArray[np.uint8]:
    both = np.asarray(term1 | (term2 << 4), dtype=np.uint8)
    return _padded(both, _row_bytes(8 * both.shape[1]))


def _bits(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    packed = np.packbits(mask, axis=1, bitorder="little")
    return _padded(packed, _row_bytes(mask.shape[1]))


class _Reader:
    """Takes rows off a byte string, refusing a short one and padding that is not zero."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self._at = 0

    def finish(self) -> None:
        """Refuse where bytes are left over."""
        if self._at != self._data.size:
            left = self._data.size - self._at
            raise InputError(Problem(f"packed codes run on for {left} bytes", _REMEDY))

    def _take(self, rows: int, row_bits: int) -> NDArray[np.uint8]:
        size = _row_bytes(row_bits)
        short = rows * size - self._data.size + self._at
        if short > 0:
            raise InputError(Problem(f"packed codes end {short} bytes early", _REMEDY))
        taken = self._data[self._at : self._at + rows * size].reshape(rows, size)
        self._at += rows * size
        return taken

    def nibbles(self, rows: int, count: int) -> NDArray[np.uint8]:
        """Codes (rows, count), two a byte."""
        taken = self._take(rows, 4 * count)
        codes = np.stack([taken & 15, taken >> 4], axis=2).reshape(rows, -1)
        return self._unpadded(codes, count)

    def pairs(self, rows: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """First and second terms (rows, count), a byte a weight."""
        both = self._unpadded(self._take(rows, 8 * count), count)
        return both & np.uint8(15), both >> np.uint8(4)

    def bits(self, rows: int, count: int) -> NDArray[np.bool_]:
        """Flags (rows, count), eight a byte."""
        flags = np.unpackbits(self._take(rows, count), axis=1, bitorder="little")
        return self._unpadded(flags, count).astype(np.bool_)

    @staticmethod
    def _unpadded(values: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
        if values[:, count:].any():
            raise InputError(Problem("padding of the packed codes is not zero", _REMEDY))
        return values[:, :count]
