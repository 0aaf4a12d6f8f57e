"""Designs whose post takes as many units at once as a test says, whatever a plan would choose."""

from __future__ import annotations

import pytest

from shiftforge.generator.conv import lowered
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.turns import Turns

__all__ = ["at_once", "force_turns"]


def at_once(array: ArrayShape, pool: int, output: int) -> Turns:
    """So many units of a pool and of the 32-bit output at once; 0: all of them."""
    sums, units = array.frames * array.units, array.units
    pool, output = pool or sums, output or units
    return Turns(sums // pool, pool, units // output, output)


def force_turns(patch: pytest.MonkeyPatch, pool: int, output: int) -> None:
    """What is planned from now on takes them."""
    patch.setattr(
        lowered, "choose_turns",
        lambda layers, tilings, iterations, array, part, folded: at_once(array, pool, output),
    )  # fmt: skip
