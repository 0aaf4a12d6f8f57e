"""Search of the array's shape: units R and pixels a tile, for a network on a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.plan.plan import Plan, array_for, make_plan
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["Candidate", "explore_arrays", "search_array"]

UNITS = (16, 32)
PIXELS = tuple(range(1, 17))
MIN_UTILISATION = 0.8
SLACK = 0.95


@dataclass(frozen=True, eq=False)
class Candidate:
    """An array that fits the board, with its plan."""

    units: int
    pixels: int
    plan: Plan


def explore_arrays(model: QuantizedModel, board: Board) -> Iterator[Candidate]:
    """Every array of the search space that fits; raises InputError where none does."""
    refused: InputError | None = None
    found = False
    for units in UNITS:
        for pixels in PIXELS:
            try:
                plan = make_plan(model, board, array_for(model, units, pixels))
            except InputError as error:
                refused = refused or error
                continue
            found = True
            yield Candidate(units, pixels, plan)
    if not found and refused is not None:
        raise refused


def search_array(model: QuantizedModel, board: Board) -> Plan:
    """The fastest array that works at 80 % utilisation, modelled.

    Small networks cannot reach 80 % on any array; there the fastest one within 5 % of the best
    reachable utilisation is taken. Ties go to fewer lanes.
    """
    candidates = list(explore_arrays(model, board))
    best = max(c.plan.utilisation for c in candidates)
    wanted = min(MIN_UTILISATION, SLACK * best)
    fit = [c for c in candidates if c.plan.utilisation >= wanted]
    return min(fit, key=lambda c: (c.plan.modelled_cycles, c.plan.array.lanes)).plan
