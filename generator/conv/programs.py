"""The kernels' programs in front of the parameters: one load brings them all.

A beat has one word of each kernel's program, in the order of the packings, in its first bytes:
word ``n`` of every program lies in beat ``n``. So the kernel of the parameters sends all of them at
once, by wires alone, and each kernel copies its own before it does anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.packing import WORD_BITS, Packing

__all__ = ["PROGRAM_WORDS", "pack_programs", "program_beats", "program_channels"]

PROGRAM_WORDS = 8
"""Words that every beat of parameters has room for: the fewest units are eight."""
_DEPTH = 8
"""Words of a program's channel: a kernel takes one an iteration as soon as it starts."""


def program_beats(packings: Mapping[str, Packing]) -> int:
    """Beats of the programs: words of the longest."""
    return max(own.total_words for own in packings.values())


def program_channels(kernels: Iterable[str]) -> list[Channel]:
    """Of each kernel with a program."""
    return [Channel(f"program_{name}", "uint", "params", name, _DEPTH) for name in kernels]


def pack_programs(
    packings: Mapping[str, Packing], records: Mapping[str, Sequence[Any]], beat: int
) -> bytes:
    """The beats of the programs. records: of each kernel; beat: bytes of a beat of parameters."""
    if len(packings) > PROGRAM_WORDS:
        raise ValueError(f"{len(packings)} programs, and {PROGRAM_WORDS} words in a beat")
    table = np.zeros((program_beats(packings), 8 * beat // WORD_BITS), "<u4")
    for place, (kernel, own) in enumerate(packings.items()):
        words = own.packed(records[kernel]).reshape(-1)
        table[: len(words), place] = words
    return table.tobytes()
