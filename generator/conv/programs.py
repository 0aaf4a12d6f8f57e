"""The kernels' records in front of the parameters of their step: one load brings both.

The kernel of the parameters reads one stream of beats. A beat of records has in its first bytes a
word of 32 bits for each kernel, then which kernels take theirs, and how many beats of parameters
follow. So it sends the words by wires alone, and nothing that it reads decides what it reads next.
The stream begins with a head, read once: the record with which the convolution unit reads the
first weights, and the whole programs of the kernels that move maps, which run ahead of the steps.
What follows is read for every batch: the record that stores the image, where there is one, and of
every step the three records, word by word side by side, and the step's parameters.

No depth of the channels stops it: a step's records are taken when the step before has ended, and
that needs nothing which lies behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.packing import WORD_BITS, Packing

__all__ = [
    "BEAT_WORDS", "FOLLOWING", "STEP_KERNELS", "TAKEN", "batch_record_beats", "head_beats",
    "pack_stream", "program_channels",
]  # fmt: skip

BEAT_WORDS = 8
"""Words that every beat has room for: the fewest units are eight."""
TAKEN, FOLLOWING = 6, 7
"""Places in a beat of records: bit ``k`` says that kernel ``k`` takes its word; how many beats of
parameters follow."""
STEP_KERNELS = ("controller", "conv", "post")
"""Kernels that take a record a step."""
_DEPTH = 32
"""Words of a record's channel, the most that cost no RAM block: where a record waits."""

Words = NDArray[np.uint32]


def head_beats(packings: Mapping[str, Packing]) -> int:
    """Beats that are read once."""
    others = (own.total_words for name, own in packings.items() if name not in STEP_KERNELS)
    return max(packings["conv"].words, *others, 0)


def batch_record_beats(packings: Mapping[str, Packing], steps: int, image: bool) -> int:
    """Beats of records of every batch. image: it is stored before the first of the steps."""
    longest = max(packings[kernel].words for kernel in STEP_KERNELS)
    return image * packings["controller"].words + steps * longest


def program_channels(kernels: Iterable[str]) -> list[Channel]:
    """Of each kernel with records."""
    return [Channel(f"program_{name}", "uint", "params", name, _DEPTH) for name in kernels]


def pack_stream(
    packings: Mapping[str, Packing],
    records: Mapping[str, Sequence[Any]],
    parameters: bytes,
    groups: Sequence[int],
    beat: int,
) -> bytes:
    """The whole stream. records: of each kernel in the order in which it takes them; parameters:
    of all steps, ``groups`` beats of ``beat`` bytes each."""
    places = {kernel: place for place, kernel in enumerate(packings)}
    if len(places) > TAKEN:
        raise ValueError(f"{len(places)} kernels with records, and {TAKEN} words in a beat")
    width = 8 * beat // WORD_BITS
    words = {kernel: own.packed(records[kernel]) for kernel, own in packings.items()}

    def side_by_side(own: Mapping[str, Words], following: int = 0) -> Words:
        rows = np.zeros((max(map(len, own.values())), width), np.uint32)
        for kernel, column in own.items():
            rows[: len(column), places[kernel]] = column
            rows[: len(column), TAKEN] |= np.uint32(1 << places[kernel])
        rows[-1, FOLLOWING] = following
        return rows

    whole = {k: own.reshape(-1) for k, own in words.items() if k not in STEP_KERNELS}
    parts = [side_by_side({"conv": words["conv"][0], **whole})]
    images = len(words["controller"]) - len(groups)
    parts += [side_by_side({"controller": own}) for own in words["controller"][:images]]
    constants = np.frombuffer(parameters, "<u4").reshape(-1, width)
    at = 0
    for step, count in enumerate(groups):
        own = {"controller": words["controller"][images + step],
               "conv": words["conv"][1 + step], "post": words["post"][step]}  # fmt: skip
        parts += [side_by_side(own, count), constants[at : at + count]]
        at += count
    return np.concatenate(parts).astype("<u4").tobytes()
