"""What the cycle model asks of a layer's records: numbers of one plan, or of many points at once.

The model is written once and runs on both: a plan hands in numbers, a search arrays with one value
a point, stacked from the records of plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.packing import Packing
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass, Run

__all__ = [
    "Entries", "GroupTimes", "Number", "Passes", "StepTimes", "entries_of", "least", "most",
    "round_up", "stack_times", "step_times",
]  # fmt: skip

Number: TypeAlias = float | NDArray[Any]
"""A number, or an array (points,)."""
Passes = tuple[ControllerPass, ConvPass, PostPass]


@dataclass(frozen=True, eq=False)
class GroupTimes:
    """A group of output channels: its weight words and iterations, and when the words of the group
    after it are read."""

    words: Number
    iterations: Number
    first: Number
    every: Number


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Iterations of the kernels for a layer, and within them what others wait for.

    stores: results come back to the controller. fed: lines come from it; where not, all are zeros
    below the map. controller, conv, post: iterations; sends: of the controller, up to the last
    line. fill: of conv before the first group's own. first_complete, last_complete: of conv, up to
    the first and the last complete tile. groups: see ``GroupTimes``; last_words, last_first,
    last_every: of the next layer's words, read in the last group. before: of post, in which it
    reads parameters. tiles: that post takes, ``every`` iterations each; behind: from the last
    tile's first one to its last word.
    """

    stores: bool
    fed: bool
    controller: Number
    sends: Number
    conv: Number
    fill: Number
    first_complete: Number
    last_complete: Number
    groups: tuple[GroupTimes, ...]
    last_words: Number
    last_first: Number
    last_every: Number
    before: Number
    tiles: Number
    every: Number
    behind: Number
    post: Number


@dataclass(frozen=True, eq=False)
class Entries:
    """Cycles from the end of a kernel's drain to the first iteration of its next invocation:
    re-entry, and one for every word of the record."""

    controller: Number
    conv: Number
    post: Number


def entries_of(reentry: int, packings: Mapping[str, Packing]) -> Entries:
    """Of a plan."""
    return Entries(*(reentry + packings[name].words for name in ("controller", "conv", "post")))


def step_times(own: Passes, units: int) -> StepTimes:
    """The times of a layer's records. units: of the array."""
    controller, conv, post = own
    return StepTimes(
        stores=controller.stores > 0,
        fed=conv.mode != 1 or conv.first_y < conv.in_rows,
        controller=controller.iterations,
        sends=controller.sends,
        conv=conv.iterations,
        fill=conv.fill,
        first_complete=_first_complete(conv, units),
        last_complete=_last_complete(conv, units),
        groups=tuple(group for run in conv.runs for group in _groups(run)),
        last_words=conv.last_words,
        last_first=conv.last_first,
        last_every=conv.last_every,
        before=post.before,
        tiles=post.tiles_all,
        every=post.every,
        behind=post.every - 1 + (post.pool_turns if post.pool else 0),
        post=post.iterations,
    )


def _groups(run: Run) -> list[GroupTimes]:
    return [GroupTimes(run.words, run.iterations, run.take_first, run.take_every)] * run.groups


def _first_complete(conv: ConvPass, units: int) -> int:
    """Iterations up to the first complete tile."""
    if conv.mode == 1:
        return conv.fires.first + 1 + (conv.run0.twice > 0) * (1 + conv.further)
    return conv.fill + _used(conv, conv.run0, units)


def _last_complete(conv: ConvPass, units: int) -> int:
    """Iterations up to the last complete tile."""
    last = conv.runs[-1]
    if conv.mode == 1:
        again = last.twice * (1 + conv.further)
        again = again * (conv.loads // (last.words - again))
        return conv.fires.time(conv.loads - 1) + 1 + again
    tiles = (conv.tiles - 1) * last.tile
    return conv.iterations - last.iterations + tiles + _used(conv, last, units)


def _used(conv: ConvPass, run: Run, units: int) -> int:
    """Iterations of a tile up to its last word. In a standard layer a window takes nine or more,
    the lines of the next one, but for the last one that has words."""
    if conv.mode != 2:
        return run.words
    left, twice, at, end = run.words - run.twice, run.twice, 0, 0
    for _ in range((1 + conv.more_rows) * (1 + conv.more_columns)):
        for group in range(conv.lines):
            lanes = conv.last_lanes if group == conv.lines - 1 else units
            own = min(left, lanes)
            busy = own + min(twice, own)
            end = at + busy if own else end
            at += max(9, busy)
            left, twice = left - own, max(0, twice - lanes)
    return end


def stack_times(points: Sequence[StepTimes]) -> StepTimes:
    """The times of one layer in many plans, which have equally many groups: a value a plan."""
    return StepTimes(**{own.name: _stacked(points, own.name) for own in fields(StepTimes)})


def _stacked(points: Sequence[Any], name: str) -> Any:
    values = [getattr(point, name) for point in points]
    if name in ("stores", "fed"):
        return values[0]
    if name != "groups":
        return np.array(values, np.int64)
    if len({len(groups) for groups in values}) != 1:
        raise ValueError("layers of unequally many groups cannot be stacked")
    names = [own.name for own in fields(GroupTimes)]
    return tuple(
        GroupTimes(**{own: _stacked(group, own) for own in names})
        for group in zip(*values, strict=True)
    )


def most(one: Number, *others: Number) -> Number:
    """The largest, of each point."""
    for other in others:
        if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
            one = np.maximum(one, other)
        else:
            one = max(one, other)
    return one


def least(one: Number, *others: Number) -> Number:
    """The smallest, of each point."""
    for other in others:
        if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
            one = np.minimum(one, other)
        else:
            one = min(one, other)
    return one


def round_up(one: Number) -> Number:
    """The next whole number, of each point."""
    return np.ceil(one) if isinstance(one, np.ndarray) else float(np.ceil(one))
