"""Search of the array's shape: units R and pixels a tile, for a network on a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.options import PIXELS, UNITS, Options
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["Candidate", "choose_array", "explore_arrays", "search_array"]

MIN_UTILISATION = 0.8
"""Share of the lanes' time in which they work, with second words as work."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An array that fits the board, with its plan."""

    units: int
    pixels: int
    plan: Plan


def explore_arrays(model: QuantizedModel | Network, board: Board) -> Iterator[Candidate]:
    """Every array of the search space that fits; raises InputError where none does."""
    network = network_of(model)
    refused: InputError | None = None
    found = False
    for units in UNITS:
        for pixels in PIXELS:
            try:
                plan = make_plan(network, board, array_for(network, units, pixels))
            except InputError as error:
                refused = refused or error
                continue
            found = True
            yield Candidate(units, pixels, plan)
    if not found and refused is not None:
        raise refused


def search_array(
    model: QuantizedModel | Network, board: Board, target_fps: float | None = None
) -> Plan:
    """The array for a network on a board (all rates modelled).

    With target_fps, in frames a second: the fewest lanes that reach it; InputError where none does.
    Otherwise the fastest array whose lanes work for 80 % of the time, on second words too. Small
    networks cannot reach that on any array; there the product of rate and utilisation decides,
    which stops where further lanes stand idle. Ties go to fewer lanes.
    """
    plans = [candidate.plan for candidate in explore_arrays(model, board)]
    if target_fps is not None:
        fast = [p for p in plans if p.modelled_fps >= target_fps]
        if not fast:
            best = max(p.modelled_fps for p in plans)
            raise InputError(
                Problem(
                    f"no array on this board reaches {target_fps:g} frames a second (modelled); "
                    f"the fastest reaches {best:,.0f}",
                    "a lower --target-fps, a smaller network, or a larger board",
                    board.name,
                )
            )
        return min(fast, key=lambda p: (p.array.lanes, p.modelled_cycles))
    busy = [p for p in plans if p.utilisation * (1 + p.second_terms) >= MIN_UTILISATION]
    if busy:
        return min(busy, key=lambda p: (p.modelled_cycles, p.array.lanes))
    return max(plans, key=lambda p: (p.modelled_fps * p.utilisation, -p.array.lanes))


def choose_array(model: QuantizedModel | Network, board: Board, options: Options) -> Plan:
    """The plan that the options ask for: of one array, or of the best. Raises InputError."""
    if problems := options.problems():
        raise InputError(problems)
    if options.shape is None:
        found = search_array(model, board, options.target_fps)
        return replace(found, non_blocking=options.non_blocking)
    array = array_for(model, *options.shape)
    return make_plan(model, board, array, non_blocking=options.non_blocking)
