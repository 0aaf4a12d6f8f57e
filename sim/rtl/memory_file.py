"""Memory images as the text files of $readmemh and $writememh, one beat a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed

__all__ = ["from_hex", "to_hex"]

DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
NEWLINE = ord("\n")
NO_DIGIT = 255


def _digit_values() -> NDArray[np.uint8]:
    values = np.full(256, NO_DIGIT, dtype=np.uint8)
    values[DIGITS] = np.arange(16, dtype=np.uint8)
    values[np.frombuffer(b"ABCDEF", dtype=np.uint8)] = np.arange(10, 16, dtype=np.uint8)
    return values


VALUES = _digit_values()


def to_hex(image: NDArray[np.uint8]) -> bytes:
    """The lines of an image (beats, lanes); the highest lane comes first."""
    beats, lanes = image.shape
    lines = np.empty((beats, 2 * lanes + 1), dtype=np.uint8)
    flipped = image[:, ::-1]
    lines[:, 0:-1:2] = DIGITS[flipped >> 4]
    lines[:, 1:-1:2] = DIGITS[flipped & 15]
    lines[:, -1] = NEWLINE
    return lines.tobytes()


def from_hex(text: bytes, lanes: int) -> NDArray[np.uint8]:
    """(beats, lanes) of such lines; comments and addresses before them are skipped.

    Raises CheckFailed where a line is not one beat.
    """
    start = 0
    while text[start : start + 1] in (b"/", b"@"):
        start = text.index(b"\n", start) + 1
    data = np.frombuffer(text, dtype=np.uint8, offset=start)
    width = 2 * lanes + 1
    if len(data) % width or (data[width - 1 :: width] != NEWLINE).any():
        raise CheckFailed("the simulation left no whole beats")
    nibbles = VALUES[data.reshape(-1, width)[:, :-1]]
    if (nibbles == NO_DIGIT).any():
        raise CheckFailed("the simulation left beats with undefined digits")
    return np.ascontiguousarray(((nibbles[:, 0::2] << 4) | nibbles[:, 1::2])[:, ::-1])
