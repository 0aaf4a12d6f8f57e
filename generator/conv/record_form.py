"""How records lie in memory: C structures whose lengths are powers of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.records import Pace, Run

__all__ = ["pack_record", "record_bytes", "record_form", "struct_fields"]

_TYPES = {Pace: "pace_layer_t", Run: "run_layer_t"}
_FORMS: dict[str, np.dtype[Any]] = {
    "int": np.dtype(np.int32),
    "short": np.dtype(np.int16),
    "char": np.dtype(np.int8),
}


def record_form(kind: type) -> np.dtype[Any]:
    """A record's members as C lays them out, a pace's as "results.first", a run's as "run0.words".

    Without what fills it up to its length.
    """
    return np.dtype([(name, _FORMS[own]) for name, own, _ in _members(kind())], align=True)


def record_bytes(kind: type) -> int:
    """Bytes of a record of a kind: the next power of two."""
    return power_of_two(record_form(kind).itemsize)


def _members(record: Any) -> Iterator[tuple[str, str, int]]:
    """(name, C type, value), in order."""
    for f in fields(record):
        value = getattr(record, f.name)
        if isinstance(value, Pace | Run):
            for own in fields(value):
                yield f"{f.name}.{own.name}", "int", int(getattr(value, own.name))
        else:
            yield f.name, f.metadata["type"], int(value)


def pack_record(record: Any) -> bytes:
    """A record as the kernels read it, with zeros up to its length.

    Raises InputError for a number that its field does not hold.
    """
    kind = type(record)
    found = np.zeros(1, record_form(kind))
    for name, own, value in _members(record):
        most = 1 << (8 * _FORMS[own].itemsize - 1)
        if not -most <= value < most:
            what = f"{name} of a {kind.__name__} is {value}, more than a {own} holds"
            raise InputError(Problem(what, "use a network with smaller maps"))
        found[name] = value
    return found.tobytes().ljust(record_bytes(kind), b"\0")


def struct_fields(kind: type) -> tuple[tuple[str, str, str], ...]:
    """(name, C type, comment) of every member, in order."""
    return tuple(
        (f.name, _TYPES.get(type(f.default), f.metadata.get("type", "")),
         str(f.metadata.get("comment", "")))
        for f in fields(kind)
    )  # fmt: skip
