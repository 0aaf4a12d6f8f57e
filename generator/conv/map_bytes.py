"""Bytes of all memories on chip that hold map data, as they are declared.

A memory's words are as long as the next power of two; a channel's word is as long as its content.
"""

from __future__ import annotations

from collections.abc import Iterable

from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.array import ArrayShape, power_of_two

__all__ = ["map_memories"]


def map_memories(
    array: ArrayShape, fm_lines: int, row_lines: int, channels: Iterable[Channel]
) -> dict[str, int]:
    """Declared bytes by memory: "maps", "line buffer" and those channels whose words are lines, for
    all that the array works on at once."""
    stored = power_of_two(array.line_bytes)
    found = {
        "maps": fm_lines * stored,
        "line buffer": row_lines * 2 * stored,
    }
    for own in channels:
        if own.type == "line_t":
            found[own.name] = own.depth * array.line_bytes
        if own.type == "store_word_t":
            found[own.name] = own.depth * (array.line_bytes + 4)
    return found
