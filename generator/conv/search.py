"""Search of a design: the array, the weights and the channels' depths for a network on a board.

Every point is modelled at once (``sweep``); the exact planner confirms the chosen one. RAM of a
point that was not planned is a lower bound, so that the planner may refuse it: then the next one.
Frames in flight are searched where a rate or a limit is asked for: alone they multiply rate and
area alike, so that only the size of the board would end them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.limits import Limits, limits_of
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.options import FRAMES, PIXELS, UNITS, Options
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.strips import fitting_plan, strips_or_none
from shiftforge.generator.conv.sweep.model import model_points, no_room
from shiftforge.generator.conv.sweep.points import (
    F_DIGITS,
    Choice,
    Points,
    Space,
    choices_of,
    point_text,
)
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.variants import own_share, with_variant

__all__ = ["MIN_UTILISATION", "Found", "chosen_weights", "find_plan", "nearest_problem"]

MIN_UTILISATION = 0.8
"""Share of the lanes' time in which they work, with second words as work."""
_DEPTHS = tuple(Depths(o, w) for o in (16, 32, 64) for w in (32, 64))
"""What is searched of the channels' depths, beside those that are given."""
_TRIES = 64
_STRIP_TRIES = 6, 48
"""Plans in strips take seconds each, those within a number of bytes one."""
_NEAREST = 3


@dataclass(frozen=True, eq=False)
class Found:
    """A plan with the weights that it is of. choices: all that the model holds."""

    choices: tuple[Choice, ...]
    choice: Choice
    plan: Plan

    @property
    def network(self) -> Network:
        """Of the plan."""
        return self.choice.network


def find_plan(model: QuantizedModel, board: Board, options: Options) -> Found:
    """The plan that the options ask for. Raises InputError where there is none.

    Weights: with second_terms those of the largest share up to it, counted on the array; with
    min_sqnr any that reach it; with a rate or a limit those of the best SQNR with which it is met;
    else the active ones. Array: where units and pixels are not given, with target_fps the fewest
    ALMs that reach it, then the fewest RAM blocks. Otherwise the fastest whose lanes work for 80 %
    of the time, on second words too; small networks cannot reach that on any array, there the
    product of rate and utilisation decides, which stops where further lanes stand idle.
    """
    if problems := options.problems():
        raise InputError(problems)
    limits = limits_of(options, board)
    if options.second_terms is not None and own_share(model) is None:
        with_variant(model, options.second_terms)  # says that there is no choice
    choices = choices_of(model)
    groups = _preferred(choices, options)
    space = _space(options)
    if space is None:
        return Found(choices, *_fixed(groups, board, options, limits))
    seen: list[Points] = []
    for group in groups:
        points = model_points(group, board, space)
        seen.append(points)
        if options.map_bytes is None and (found := _best(points, options, limits)) is not None:
            return Found(choices, *found)
    for points in seen:
        if (found := _best(points, options, limits, strips=True)) is not None:
            return Found(choices, *found)
    if not any(own.fits.any() for own in seen):
        raise InputError(no_room(groups[0], board, space))
    raise InputError(_none(seen, limits, options))


def _space(options: Options) -> Space | None:
    """What is searched; None where the array is given."""
    if options.shape is not None:
        return None
    if options.searches_all:
        given = options.given_depths
        depths = dict.fromkeys(replace(own, **given) for own in _DEPTHS)
        frames = FRAMES if options.frames is None else (options.frames,)
        return Space(UNITS, PIXELS, frames, tuple(depths), options.map_bytes is None)
    return Space(UNITS, PIXELS, (options.frames or 1,), (options.depths,))


def chosen_weights(choices: Sequence[Choice], options: Options) -> tuple[Choice, ...]:
    """Those that reach the least SQNR. Raises InputError where none does."""
    if options.min_sqnr is None:
        return tuple(choices)
    reached = [c for c in choices if c.sqnr_db is not None and c.sqnr_db >= options.min_sqnr]
    if not reached:
        raise InputError(_no_sqnr(choices, options.min_sqnr))
    return tuple(reached)


def _preferred(choices: Sequence[Choice], options: Options) -> list[list[Choice]]:
    """Groups of choices, those of the first one before the others."""
    choices = chosen_weights(choices, options)
    if options.second_terms is not None:
        return [[c] for c in sorted(choices, key=lambda c: -c.share)]
    if options.min_sqnr is not None:
        return [list(choices)]
    if options.searches_all:
        return [[c] for c in sorted(choices, key=lambda c: -(c.sqnr_db or 0.0))]
    return [[choices[0]]]


def _best(
    points: Points, options: Options, limits: Limits, strips: bool = False
) -> tuple[Choice, Plan] | None:
    """The first plan that is as asked. strips: layers may run in strips, so that what whole maps
    take counts for nothing."""
    mask = replace(limits, ram_blocks=None).met(points) if strips else limits.met(points)
    mask &= (points.fits_but_ram & ~points.in_strips) if strips else points.fits
    if options.second_terms is not None:
        mask &= np.round(points.f, F_DIGITS) <= options.second_terms
    tries = _STRIP_TRIES[options.map_bytes is not None] if strips else _TRIES
    for point in _order(points, mask, limits)[:tries]:
        plan = _confirmed(points, int(point), options, limits, strips)
        if plan is not None:
            return points.choice(int(point)), plan
    return None


def _order(points: Points, mask: NDArray[np.bool_], limits: Limits) -> NDArray[np.int64]:
    """Indices of the points in the order in which they are wanted."""
    some = np.flatnonzero(mask)
    own = points.take(some)
    if limits.fps is not None:
        return np.asarray(some[np.lexsort((-own.fps, own.ram_blocks, own.alm))], np.int64)
    busy = own.utilisation * (1 + own.f) >= MIN_UTILISATION
    if busy.any():
        fast = np.lexsort((own.ram_blocks, own.alm, own.cycles / own.frames))
        return np.asarray(some[fast[busy[fast]]], np.int64)
    return np.asarray(some[np.lexsort((own.alm, -own.fps * own.utilisation))], np.int64)


def _confirmed(
    points: Points, point: int, options: Options, limits: Limits, strips: bool
) -> Plan | None:
    network, array, depths = points.choice(point).network, points.array(point), points.depth(point)
    most = int(points.map_bytes[point]) if points.in_strips[point] else options.map_bytes
    if strips or points.in_strips[point]:
        plan = strips_or_none(
            network, points.board, array, most, ram_blocks=limits.ram_blocks,
            non_blocking=options.non_blocking, depths=depths,
        )  # fmt: skip
    else:
        try:
            plan = make_plan(
                network, points.board, array, non_blocking=options.non_blocking, depths=depths
            )
        except InputError:
            return None
    return plan if plan is not None and not limits.problems(plan) else None


def _fixed(
    groups: Sequence[Sequence[Choice]], board: Board, options: Options, limits: Limits
) -> tuple[Choice, Plan]:
    """Of the array that is given."""
    assert options.shape is not None
    counted, missed = [], []
    for choice in (choice for group in groups for choice in group):
        array = array_for(choice.network, *options.shape, options.frames or 1)
        plan = fitting_plan(
            choice.network, board, array, options.map_bytes, ram_blocks=limits.ram_blocks,
            non_blocking=options.non_blocking, depths=options.depths,
        )  # fmt: skip
        if options.second_terms is not None and (
            round(plan.second_terms, F_DIGITS) > options.second_terms
        ):
            counted.append(plan.second_terms)
            continue
        if not (problems := limits.problems(plan)):
            return choice, plan
        missed += problems
    if missed:
        raise InputError(missed)
    raise InputError(_no_share(counted, options, groups[0][0].network))


def _no_sqnr(choices: Sequence[Choice], least: float) -> Problem:
    place = choices[0].network.model.name
    told = ", ".join(f"{c.sqnr_db:.2f}" for c in choices if c.sqnr_db is not None)
    if not told:
        what = "the model records no SQNR, so that --min-sqnr cannot be met"
        return Problem(what, "quantise the network with second words", place)
    what = f"no weights of {least:g} dB SQNR or more; there are {told}"
    return Problem(what, "a lower --min-sqnr, or quantise again", place)


def _no_share(counted: Sequence[float], options: Options, network: Network) -> Problem:
    told = ", ".join(f"{share:.3f}" for share in sorted(counted))
    most = options.second_terms
    what = f"no weights with a share of second words up to {most:g} on this array; there are {told}"
    return Problem(what, "give one of these, or quantise for this array", network.model.name)


def _none(seen: Sequence[Points], limits: Limits, options: Options) -> Problem:
    """Why no point is as asked, and which come nearest."""
    points = seen[0]
    if options.second_terms is not None and not any(
        (np.round(own.f, F_DIGITS) <= options.second_terms).any() for own in seen
    ):
        counted = [float(own.f.min()) for own in seen]
        return _no_share(counted, options, points.choices[0].network)
    return nearest_problem(seen, limits)


def nearest_problem(seen: Sequence[Points], limits: Limits) -> Problem:
    """No point of a board is within limits; which come nearest."""
    near = ", ".join(_nearest(seen, limits))
    best = max((float(own.fps[own.fits].max(initial=0.0)) for own in seen), default=0.0)
    what = f"no array on this board {limits.text()} (modelled)"
    if best:
        what += f"; the fastest reaches {best:,.0f} frames a second"
    remedy = "a lower rate, wider limits, a smaller network, or a larger board"
    if near:
        remedy += f"; nearest: {near}"
    return Problem(what, remedy, seen[0].board.name)


def _nearest(seen: Sequence[Points], limits: Limits) -> Iterator[str]:
    """The points that miss least, in words."""
    found = []
    for points in seen:
        missed = np.where(points.fits, limits.missed(points), np.inf)
        for point in np.argsort(missed, kind="stable")[: 4 * _NEAREST]:
            if np.isfinite(missed[point]):
                found.append((float(missed[point]), point_text(points, int(point))))
    told = dict.fromkeys(text for _, text in sorted(found, key=lambda pair: pair[0]))
    yield from list(told)[:_NEAREST]
