"""How the records of a plan lie in memory: narrow fields in words of 32 bits.

A field that has one value in all steps is no part of a record: the text has it as a literal. Each
other one takes the bits that its values need, as an unsigned or a two's complement number, and lies
within one word, so that a word in registers is unpacked by wires alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.records import (
    ControllerPass,
    ConvPass,
    FetchPass,
    PostPass,
    StorePass,
    field_names,
    field_values,
)

__all__ = ["WORD_BITS", "PackedField", "Packing", "pack_records", "packings_of", "range_bits"]

WORD_BITS = 32
"""Of a word of the programs: what one iteration brings."""


@dataclass(frozen=True)
class PackedField:
    """A field in the words of a record: ``bits`` bits, 1 to 32, from bit ``low`` of word ``word``.

    signed: it is in two's complement.
    """

    name: str
    word: int
    low: int
    bits: int
    signed: bool

    @property
    def least(self) -> int:
        """Smallest value that it can hold."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def most(self) -> int:
        """Largest value that it can hold."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Packing:
    """The layout of a kernel's records. kind: of the records, in ``records``. words: of a record, 1
    or more; count: of records. fields: in the order of the record; constants: (name, value) of what
    is no field."""

    kind: type
    words: int
    count: int
    fields: tuple[PackedField, ...]
    constants: tuple[tuple[str, int], ...]

    @property
    def total_words(self) -> int:
        """Of all records."""
        return self.words * self.count

    @property
    def bits(self) -> int:
        """Of all fields."""
        return sum(own.bits for own in self.fields)

    def packed(self, records: Sequence[Any]) -> NDArray[np.uint32]:
        """Records as words (records, words). Raises ValueError for a value that has no room, or is
        not the constant that it should be."""
        names = {name: n for n, name in enumerate(field_names(self.kind))}
        values = field_values(self.kind, records)
        for name, value in self.constants:
            if np.any(values[:, names[name]] != value):
                raise ValueError(f"{name} is {value} in all records, and not in these")
        found = np.zeros((len(records), self.words), np.int64)
        for own in self.fields:
            column = values[:, names[own.name]]
            if np.any((column < own.least) | (column > own.most)):
                raise ValueError(f"{own.name} has a value that does not fit {own.bits} bits")
            found[:, own.word] |= (column & ((1 << own.bits) - 1)) << own.low
        return found.astype(np.uint32)

    def to_dict(self) -> dict[str, Any]:
        """For a manifest: fields as [word, low bit, bits, signed] by name, and constants."""
        return {
            "words": self.words,
            "fields": {f.name: [f.word, f.low, f.bits, int(f.signed)] for f in self.fields},
            "constants": dict(self.constants),
        }


def pack_records(
    kind: type, records: Sequence[Any], room: Mapping[str, tuple[int, int]] | None = None
) -> Packing:
    """The layout that holds these records of one kind, 1 or more.

    room: (least, most) of fields that are to have room for values beyond those of the records.
    """
    values = field_values(kind, records)
    ends = zip(values.min(0).tolist(), values.max(0).tolist(), strict=True)
    ranges = dict(zip(field_names(kind), ends, strict=True))
    for name, (least, most) in ({} if room is None else room).items():
        low, high = ranges[name]
        ranges[name] = min(low, least), max(high, most)
    needs = {name: range_bits(low, high) for name, (low, high) in ranges.items() if low != high}
    # The widest first, each into the first word that has room.
    free: list[int] = []
    places = {}
    for name in sorted(needs, key=lambda own: -needs[own]):
        bits = needs[name]
        word = next((n for n, left in enumerate(free) if left >= bits), len(free))
        if word == len(free):
            free.append(WORD_BITS)
        places[name] = word, WORD_BITS - free[word]
        free[word] -= bits
    return Packing(
        kind=kind,
        words=max(1, len(free)),
        count=len(records),
        fields=tuple(
            PackedField(name, *places[name], bits, ranges[name][0] < 0)
            for name, bits in needs.items()
        ),
        constants=tuple((name, low) for name, (low, high) in ranges.items() if low == high),
    )


def range_bits(low: int, high: int) -> int:
    """That hold a range: unsigned, or in two's complement where it goes below 0."""
    if low >= 0:
        return high.bit_length()
    return max(high.bit_length() if high > 0 else 0, (-1 - low).bit_length()) + 1


def packings_of(
    image_pass: ControllerPass | None,
    passes: Iterable[tuple[ControllerPass, ConvPass, PostPass]],
    fill: ConvPass,
    lines: int,
    fetches: Sequence[FetchPass] = (),
    saves: Sequence[StorePass] = (),
) -> Mapping[str, Packing]:
    """Of all records of a plan, by kernel. fill: the record that only reads the first weights.

    lines: of the feature-map memory. Its addresses take the bits of all of it, and those of windows
    that begin outside a map of any place that the map may have, so that a record is as long before
    the maps are placed.
    """
    steps = list(passes)
    image = [] if image_pass is None else [image_pass]
    controllers = [*image, *(own[0] for own in steps)]
    # Lines by which the first window of a map at line 0 begins before it.
    before = max(-own.first_t - min(own.first_y, 0) * own.in_tiles for own in controllers)
    last = max(0, lines - 1)
    room = {"base": (-before, last), "skip_base": (0, last), "out_base": (0, last)}
    found = {
        "controller": pack_records(ControllerPass, controllers, room),
        "conv": pack_records(ConvPass, [*(own[1] for own in steps), fill]),
        "post": pack_records(PostPass, [own[2] for own in steps]),
    }
    if fetches:
        found |= {
            "fetch": pack_records(FetchPass, fetches), "store": pack_records(StorePass, saves)
        }  # fmt: skip
    return found
