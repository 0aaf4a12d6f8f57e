"""Sentence-level voltage and frequency: predicted exit layer, and the slowest point in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.tables import scaled

__all__ = ["FREQUENCY_ONE", "Choice", "choose", "predicted_layer", "row_scale"]

FREQUENCY_ONE = 4096
"""The reference clock, in units of the frequency table."""


@dataclass(frozen=True)
class Choice:
    """layer: to run to (1: exit now). point: index into the V/F table. late: none is in time."""

    layer: int
    point: int
    late: bool


def row_scale(classes: int, rows: int) -> int:
    """Return floor(rows * 2**24 / (H_max + 1)), H_max = rhe(2**16 ln classes)."""
    if classes < 2 or rows < 1:
        raise InputError(Problem("the predictor table needs 2 classes and 1 row at least"))
    return (rows << 24) // (scaled(Decimal(classes).ln(), 16) + 1)


def predicted_layer(entropy: int, table: Sequence[int], scale: int, layers: int) -> int:
    """Return clamp(table[min(rows - 1, (H * scale) >> 24)], 2, layers)."""
    row = min(len(table) - 1, (entropy * scale) >> 24)
    return min(max(table[row], 2), layers)


def choose(
    entropy: int,
    threshold: int,
    table: Sequence[int],
    scale: int,
    layers: int,
    cycles_per_layer: int,
    cycles_left: int,
    frequencies: Sequence[int],
) -> Choice:
    """Return what to do after layer 1.

    entropy, threshold: 16 fraction bits. cycles_left: until the target, of the reference clock,
    may be negative. frequencies: ascending, in 1/4096 of the reference clock. An exit at once
    keeps the highest point, at which layer 1 ran.
    """
    if not table or not frequencies or list(frequencies) != sorted(frequencies):
        raise InputError(Problem("the tables must not be empty, and frequencies must ascend"))
    if entropy <= threshold:
        return Choice(1, len(frequencies) - 1, False)
    layer = predicted_layer(entropy, table, scale, layers)
    work = (layer - 1) * cycles_per_layer * FREQUENCY_ONE
    for point, frequency in enumerate(frequencies):
        if cycles_left > 0 and frequency * cycles_left >= work:
            return Choice(layer, point, False)
    return Choice(layer, len(frequencies) - 1, True)
