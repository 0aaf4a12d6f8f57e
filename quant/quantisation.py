"""How a network is quantised: what may be chosen, and what is wrong with a choice.

Nothing here needs PyTorch, so that a bad choice is refused before it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

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
_MOST_SHARES = 8
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


def _ends(scheme: str, terms: int | None, first_last: FirstLast | None) -> FirstLast:
    """What the first and last layers have; one shifter a lane is for all layers unless asked."""
    if first_last is not None:
        return first_last
    return "same" if scheme == "shift" and terms == 1 else "wide"


def _format_problems(
    scheme: str, bits: int | None, terms: int | None, first_last: str | None
) -> list[Problem]:
    """What no weight format can be."""
    problems = []
    if scheme not in ("shift", "int"):
        problems.append(Problem(f"unknown scheme {scheme!r}", 'use "shift" or "int"', "scheme"))
    if scheme == "int" and terms is not None:
        problems.append(Problem("terms given for integer weights", "leave terms out", "terms"))
    if first_last is not None and first_last not in get_args(FirstLast):
        problems.append(Problem(f"unknown choice {first_last!r}", "use wide or same", "first_last"))
    if scheme not in ("shift", "int"):
        return problems
    usual, _ = _formats(scheme, bits, terms)
    own = (
        shift.check_format(usual) if isinstance(usual, ShiftFormat) else uniform.check_format(usual)
    )
    return problems + own


def weight_formats(
    graph: FloatGraph,
    scheme: str,
    bits: int | None,
    terms: int | None,
    first_last: FirstLast | None = None,
) -> dict[str, WeightFormat]:
    """Weight format of every convolution, by name.

    scheme "shift": bits 3 or 4 a term (default 4), terms 1 or 2 (default 2). scheme "int":
    bits 2..8 (default 8). first_last "wide" gives the first and the last convolution two terms, or
    8 bits; by default that of the others ("same") where terms is 1, and "wide" elsewhere.
    Raises InputError for what no format can be.
    """
    if problems := _format_problems(scheme, bits, terms, first_last):
        raise InputError(problems)
    usual, wide = _formats(scheme, bits, terms)
    names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
    wide_ends = _ends(scheme, terms, first_last) == "wide"
    ends = {*names[:1], *names[-1:]} if wide_ends else set()
    return {name: wide if name in ends else usual for name in names}


@dataclass(frozen=True)
class Quantisation:
    """How a network is quantised after training.

    scheme, bits, terms, first_last: see ``weight_formats``. activation_bits: 2..8. rounding:
    "compensated" (error-compensating), "nearest", or "log" (the paper's, shift only). equalisation:
    "off", "exact" or "calibrated" (see calibrate.equalise). requant: "shift" or "multiplier".
    calibration: of the activation grids. second_terms: shares f of array cycles (0..1, at most 8
    of them) that weights of two terms may add where the array has one shifter a lane. min_sqnr: the
    logits' signal to quantisation noise ratio in dB that the smallest such share has to reach, on
    calibration images held out from the rounding (see ``quant.second_terms``). Either chooses the
    weights of two terms in all layers, so that terms and first_last are not given with it.
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
    first_last: FirstLast | None = None
    second_terms: tuple[float, ...] | None = None
    min_sqnr: float | None = None

    @property
    def selects(self) -> bool:
        """Whether the weights of two terms are chosen one by one."""
        return self.second_terms is not None or self.min_sqnr is not None

    @property
    def ends(self) -> FirstLast:
        """What the first and last layers have."""
        return "same" if self.selects else _ends(self.scheme, self.terms, self.first_last)

    @property
    def shares(self) -> tuple[float, ...]:
        """``second_terms``, ascending; only of options without problems."""
        return tuple(sorted(_real_numbers(self.second_terms) or ()))

    def formats(self, graph: FloatGraph) -> dict[str, WeightFormat]:
        """Weight format of every convolution, by name. Raises InputError.

        Where the weights of two terms are chosen, a layer in which none is gets a format of one
        term in the end.
        """
        if self.selects:
            own = ShiftFormat(4 if self.bits is None else self.bits, 2, "SEL")
            return {n.name: own for n in graph.nodes if isinstance(n, FloatConv)}
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
        return found + self._selection_problems()

    def _selection_problems(self) -> list[Problem]:
        found = []
        if self.second_terms is not None:
            found += _share_problems(self.second_terms)
        if self.min_sqnr is not None:
            (goal,) = _real_numbers((self.min_sqnr,)) or (math.nan,)
            if not (math.isfinite(goal) and goal > 0):
                what = f"min_sqnr is {self.min_sqnr!r:.80}"
                found.append(Problem(what, "use a finite number of dB above 0", "min_sqnr"))
        if not self.selects:
            return found
        name = "min_sqnr" if self.second_terms is None else "second_terms"
        if self.second_terms is not None and self.min_sqnr is not None:
            found.append(Problem("both second_terms and min_sqnr", "give one of them", "min_sqnr"))
        for other in ("terms", "first_last"):
            if getattr(self, other) is not None:
                what = f"{other} given where {name} chooses the weights of two terms"
                found.append(Problem(what, f"leave {other} out", other))
        if self.scheme == "int":
            found.append(Problem(f"{name} for integer weights", "use --scheme shift", "scheme"))
        return found


def _real_numbers(values: Any) -> tuple[float, ...] | None:
    """Real numbers of a sequence of them, or of one alone; None for anything else."""
    listed = [values] if isinstance(values, Real) else values
    if not isinstance(listed, Sequence | np.ndarray) or isinstance(listed, str | bytes):
        return None
    if isinstance(listed, np.ndarray) and listed.ndim != 1:
        return None
    if any(not isinstance(v, Real) or isinstance(v, bool) for v in listed[: _MOST_SHARES + 1]):
        return None
    try:
        return tuple(float(v) for v in listed[: _MOST_SHARES + 1])
    except (OverflowError, ValueError):
        return None


def _share_problems(values: Any) -> list[Problem]:
    """Of shares that are no numbers from 0 to 1, too many, or twice the same."""
    shares, where = _real_numbers(values), "second_terms"
    if not shares:
        remedy = "give numbers from 0 to 1, such as 0.1, 0.25"
        return [Problem(f"second_terms is {values!r:.80}", remedy, where)]
    found = []
    if len(shares) > _MOST_SHARES:
        found.append(Problem(f"more than {_MOST_SHARES} shares", "give fewer", where))
    for share in shares:
        if not 0 <= share <= 1:  # NaN is none either
            found.append(Problem(f"a share of {share:g}", "use numbers from 0 to 1", where))
    for share in sorted({s for s in shares if shares.count(s) > 1}):
        found.append(Problem(f"the share {share:g} twice", "give it once", where))
    return found
