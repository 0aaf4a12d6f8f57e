"""The numbers of one convolution in the model file: packed codes, arrays, and what tells of them.

Both halves, writing and reading; a convolution of the graph and one of a variant look the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats import packing, shift, uniform
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.types import Conv, IntFormat, ShiftFormat, WeightFormat

__all__ = ["ARRAY_PARTS", "Arrays", "Weights", "codes_digest", "read_weights", "write_weights"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

_REMEDY = "make the model file anew"
_PARTS = ("z", "bias", "acc_bits", "multiplier", "shift")
ARRAY_PARTS = ("codes", *_PARTS)
"""What follows a stem and a point in the names of a convolution's arrays."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What ``Conv`` holds under the same names, as it was read."""

    weight: NDArray[np.int8]
    format: WeightFormat
    z: NDArray[Any]
    bias: NDArray[Any]
    acc_bits: NDArray[Any]
    multiplier: NDArray[Any] | None
    shift: NDArray[Any] | None


def codes_digest(codes: NDArray[Any]) -> str:
    """SHA-256 of the bytes of packed codes."""
    return hashlib.sha256(np.ascontiguousarray(codes).data).hexdigest()


def write_weights(conv: Conv, stem: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put a convolution's arrays beside the graph; returns what the graph says of them.

    The arrays are "<stem>.codes" (packed shift codes, uint8, or int8 weights), ".z", ".bias",
    ".acc_bits", and where present ".multiplier" and ".shift".
    """
    fmt = conv.format
    if isinstance(fmt, ShiftFormat):
        codes: NDArray[Any] = packing.pack(conv.weight, fmt)
        told = {"kind": "shift", "bits": fmt.bits, "terms": fmt.terms, "mode": fmt.mode}
    else:
        codes = np.ascontiguousarray(conv.weight)
        told = {"kind": "int", "bits": fmt.bits}
    arrays[f"{stem}.codes"] = codes
    for part in _PARTS:
        values = getattr(conv, part)
        if values is not None:
            arrays[f"{stem}.{part}"] = np.ascontiguousarray(values)
    return {
        "format": told,
        "requant": "shift" if conv.multiplier is None else "multiplier",
        "codes_sha256": codes_digest(codes),
    }


def read_weights(
    f: Fields,
    stem: str,
    shape: tuple[int, ...],
    arrays: Arrays,
    place: str,
    problems: list[Problem],
) -> Weights | None:
    """What ``write_weights`` put there, neither half trusted.

    f: what the graph says. shape: of the weights (O, I/g, kh, kw). place: of the convolution, for
    messages. Every fault is noted; None where there was one.
    """
    fmt = _format(f.child("format"))
    parts = _PARTS if f.text("requant") == "multiplier" else _PARTS[:3]
    found = {part: arrays.get(f"{stem}.{part}") for part in ("codes", *parts)}
    for part, values in found.items():
        if values is None:
            problems.append(Problem(f"array '{stem}.{part}' is missing", _REMEDY, place))
    codes = found["codes"]
    if codes is None or fmt is None:
        return None
    if codes_digest(codes) != f.text("codes_sha256"):
        what = "the weight codes do not have the SHA-256 that the file states"
        problems.append(Problem(what, _REMEDY, place))
        return None
    weight = _weight(codes, fmt, shape, place, problems)
    z, bias, acc_bits = (found[part] for part in _PARTS[:3])
    if weight is None or z is None or bias is None or acc_bits is None:
        return None
    return Weights(weight, fmt, z, bias, acc_bits, found.get("multiplier"), found.get("shift"))


def _format(f: Fields) -> WeightFormat | None:
    kind, bits = f.raw("kind"), f.integer("bits")
    found: WeightFormat
    if kind == "int":
        found = IntFormat(bits)
        problems = uniform.check_format(found)
    elif kind == "shift":
        if f.raw("mode") == "FLT":
            what = "weights in the storage mode FLT, which this release does not read"
            f.note(what, "quantise the network again")
            return None
        mode = cast(Literal["S1", "S2", "SEL"], f.text("mode"))
        found = ShiftFormat(bits, f.integer("terms"), mode)
        problems = shift.check_format(found)
    else:
        f.note(f"unknown weight format {kind!r}")
        return None
    for problem in problems:
        f.note(problem.what)
    return None if problems else found


def _weight(
    codes: NDArray[Any],
    fmt: WeightFormat,
    shape: tuple[int, ...],
    place: str,
    problems: list[Problem],
) -> NDArray[np.int8] | None:
    dtype = np.uint8 if isinstance(fmt, ShiftFormat) else np.int8
    if codes.dtype != dtype or min(shape) < 1:
        what = f"weights of shape {shape} stored as {codes.dtype}"
        problems.append(Problem(what, _REMEDY, place))
        return None
    if isinstance(fmt, IntFormat):
        if codes.shape == shape:
            return codes
        problems.append(Problem(f"weights are {codes.shape}, not {shape}", _REMEDY, place))
        return None
    # A code has at least four bits, so a shape that cannot fit is refused before any allocation.
    if math.prod(shape) > 2 * codes.size:
        problems.append(Problem(f"too few codes for weights of shape {shape}", _REMEDY, place))
        return None
    try:
        return packing.unpack(codes, fmt, shape)
    except InputError as error:
        problems += [Problem(p.what, p.remedy, place) for p in error.problems]
        return None
