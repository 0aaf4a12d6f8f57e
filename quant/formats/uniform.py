"""Uniform symmetric integer weights of 2 to 8 bits: the baseline beside the shift formats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import IntFormat

__all__ = ["check_format", "levels", "limit", "round_to_levels"]


def check_format(fmt: IntFormat) -> list[Problem]:
    """What is wrong with a format: bits outside 2..8."""
    if 2 <= fmt.bits <= 8:
        return []
    return [Problem(f"integer weights of {fmt.bits} bits", "use 2 to 8 bits")]


def limit(fmt: IntFormat) -> int:
    """Largest magnitude, 2**(bits-1) - 1. Raises InputError for bits outside 2..8."""
    problems = check_format(fmt)
    if problems:
        raise InputError(problems)
    return (1 << (fmt.bits - 1)) - 1


def levels(fmt: IntFormat) -> NDArray[np.int64]:
    """The representable integer weights, ascending."""
    top = limit(fmt)
    return np.arange(-top, top + 1, dtype=np.int64)


def round_to_levels(v: ArrayLike, fmt: IntFormat) -> NDArray[np.int8]:
    """Nearest level of real values in units of the scale: half to even, saturating."""
    top = limit(fmt)
    return np.clip(np.rint(np.asarray(v, dtype=np.float64)), -top, top).astype(np.int8)
