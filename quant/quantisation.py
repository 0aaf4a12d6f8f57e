"""How a network is quantised: what may be chosen, and what is wrong with a choice.

Nothing here needs PyTorch, so that a bad choice is refused before it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.formats import shift, uniform
from shiftforge.quant.graph.types import IntFormat, ShiftFormat, WeightFormat

__all__ = [
    "Equalisation",
    "FirstLast",
    "Method",
    "Quantisation",
    "Requant",
    "Rounding",
    "weight_formats",
]

FirstLast: TypeAlias = Literal["wide", "same"]
Equalisation: TypeAlias = Literal["off", "exact", "calibrated"]
Method: TypeAlias = Literal["minmax", "percentile", "mse"]
Requant: TypeAlias = Literal["shift", "multiplier"]
Rounding: TypeAlias = Literal["compensated", "nearest", "log"]

_LEAST_BITS, _MOST_BITS = 2, 8
_CHOICES = (
    ("rounding", "rounding", Rounding),
    ("equalisation", "equalisation", Equalisation),
    ("requantisation", "requant", Requant),
    ("calibration", "calibration", Method),
)


def _formats(scheme: str, bits: int | None, terms: int | None) -> tuple[WeightFormat, WeightFormat]:
    """The usual format of a scheme, and that of wide layers."""
    if scheme == "int":
        return IntFormat(8 if bits is None else bits), IntFormat(8)
    count, width = 2 if terms is None else terms, 4 if bits is None else bits
    return ShiftFormat(width, count, "S1" if count == 1 else "S2"), ShiftFormat(width, 2, "S2")


def _format_problems(
    scheme: str, bits: int | None, terms: int | None, first_last: str
) -> list[Problem]:
    """What no weight format can be."""
    problems = []
    if scheme not in ("shift", "int"):
        problems.append(Problem(f"unknown scheme {scheme!r}", 'use "shift" or "int"', "scheme"))
    if scheme == "int" and terms is not None:
        problems.append(Problem("terms given for integer weights", "leave terms out", "terms"))
    if first_last not in get_args(FirstLast):
        problems.append(Problem(f"unknown choice {first_last!r}", "use wide or same", "first_last"))
    if scheme not in ("shift", "int"):
        return problems
    usual, _ = _formats(scheme, bits, terms)
    own = (
        shift.check_format(usual) if isinstance(usual, ShiftFormat) else uniform.check_format(usual)
    )
    return problems + own


def weight_formats(
    graph: FloatGraph, scheme: str, bits: int | None, terms: int | None, first_last: FirstLast
) -> dict[str, WeightFormat]:
    """Weight format of every convolution, by name.

    scheme "shift": bits 3 or 4 a term (default 4), terms 1 or 2 (default 2). scheme "int":
    bits 2..8 (default 8). first_last "wide" gives the first and the last convolution two terms, or
    8 bits.
    Raises InputError for what no format can be.
    """
    if problems := _format_problems(scheme, bits, terms, first_last):
        raise InputError(problems)
    usual, wide = _formats(scheme, bits, terms)
    names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
    ends = {*names[:1], *names[-1:]} if first_last == "wide" else set()
    return {name: wide if name in ends else usual for name in names}


@dataclass(frozen=True)
class Quantisation:
    """How a network is quantised after training.

    scheme, bits, terms, first_last: see ``weight_formats``. activation_bits: 2..8. rounding:
    "compensated" (error-compensating), "nearest", or "log" (the paper's, shift only). equalisation:
    "off", "exact" or "calibrated" (see calibrate.equalise). requant: "shift" or "multiplier".
    calibration: of the activation grids.
    """

    scheme: str = "shift"
    bits: int | None = None
    terms: int | None = None
    activation_bits: int = 8
    rounding: Rounding = "compensated"
    bias_correction: bool = True
    equalisation: Equalisation = "exact"
    requant: Requant = "shift"
    calibration: Method = "mse"
    first_last: FirstLast = "wide"

    def formats(self, graph: FloatGraph) -> dict[str, WeightFormat]:
        """Weight format of every convolution, by name. Raises InputError."""
        return weight_formats(graph, self.scheme, self.bits, self.terms, self.first_last)

    def problems(self) -> list[Problem]:
        """Everything that no network could be quantised with."""
        found = _format_problems(self.scheme, self.bits, self.terms, self.first_last)
        if not _LEAST_BITS <= self.activation_bits <= _MOST_BITS:
            what = f"activations of {self.activation_bits} bits"
            found.append(Problem(what, f"use {_LEAST_BITS} to {_MOST_BITS} bits"))
        for what, name, choices in _CHOICES:
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                remedy = f"use {', '.join(known[:-1])} or {known[-1]}"
                found.append(Problem(f"unknown {what} {value!r}", remedy, name))
        if self.rounding == "log" and self.scheme == "int":
            found.append(Problem("log rounding of integer weights", "use nearest", "rounding"))
        return found
