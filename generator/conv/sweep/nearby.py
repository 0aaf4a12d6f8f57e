"""The points among which a design's neighbours are, without modelling every array.

Of each array the model takes one and two frames in flight. What more frames take follows from
these: ALMs go up by what the second frame added, to -6 and +16 % (6,044 points of five networks on
three boards), and the rate by no more than in proportion, to 0.5 %. So most arrays are known to be
no neighbours, and the others are modelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shiftforge.boards.types import Board
from shiftforge.generator.board_fit import device_uses
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.options import PIXELS, UNITS
from shiftforge.generator.conv.sweep.model import Model, joined, lanes_fit
from shiftforge.generator.conv.sweep.points import Choice, Points, Space

__all__ = ["FASTER", "nearby"]

FASTER = 1.001
"""Times a design's rate that a faster one has at least."""
_LEAST, _MOST = 0.85, 1.03
"""Times the foretold ALMs and the foretold rate that an array can have."""
_AT_ONCE = 24


@dataclass(frozen=True)
class _Foretold:
    """least_alm: at least so many. most_fps: at most."""

    array: ArrayShape
    least_alm: float
    most_fps: float


def nearby(
    choice: Choice, board: Board, depths: Depths, frames: Sequence[int], alm: int, fps: float
) -> Points:
    """Points that include the best next to a design of ``alm`` ALMs and ``fps`` frames a second.

    Those are: the fastest that fits with fewer ALMs, the smallest that fits and is faster, the
    fastest that fits, and whatever is faster than that one without too many ALMs. frames: in
    flight, that are looked at; from 1 and 2 on. ``whole`` says that no array was left out because
    it takes more ALMs than there are.
    """
    frames = sorted(frames)
    model = Model([choice], board, (depths,), strips=True)
    arrays = list(Space(UNITS, PIXELS, tuple(frames)).arrays(choice.network))
    first = [own for own in arrays if own.frames in frames[:2]]
    found = model.points([first])
    rest = _foretold(found, [own for own in arrays if own.frames not in frames[:2]])
    free = device_uses(board, 0, 0, 0, ("", "", ""))[0].free
    complete = found.whole and all(lanes_fit(own.array, board) for own in rest)
    while wanted := _wanted(found, rest, free, alm, fps):
        batch = {id(own): own for order in wanted for own in order[:_AT_ONCE]}
        found = joined([found, model.points([[own.array for own in batch.values()]])])
        rest = [own for own in rest if id(own) not in batch]
    complete = complete and all(own.least_alm <= free for own in rest)
    return replace(found, whole=complete)


def _foretold(known: Points, arrays: Sequence[ArrayShape]) -> list[_Foretold]:
    """Of arrays whose like with one and two frames are known; others do not fit at all."""
    alm: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    fps: dict[tuple[int, int], float] = {}
    for n in range(len(known)):
        array = known.array(n)
        key, own = (array.units, array.pixels), alm[array.units, array.pixels]
        own[array.frames] = min(own.get(array.frames, np.inf), float(known.alm[n]))
        if array.frames == 1:
            fps[key] = max(fps.get(key, 0.0), float(known.fps[n]))
    found = []
    for array in arrays:
        own = alm[array.units, array.pixels]
        if {1, 2} <= set(own):
            least = own[1] + (array.frames - 1) * (own[2] - own[1])
            most = array.frames * fps[array.units, array.pixels]
            found.append(_Foretold(array, _LEAST * least, _MOST * most))
    return found


def _wanted(
    known: Points, rest: Sequence[_Foretold], free: int, alm: int, fps: float
) -> list[list[_Foretold]]:
    """What may hold a better answer than those known: by question, the likeliest first."""
    fits = known.fits
    smaller = known.fps[fits & (known.alm < alm)].max(initial=0.0)
    larger = known.alm[fits & (known.fps > FASTER * fps) & (known.alm > alm)].min(initial=free)
    fastest = known.fps[fits].max(initial=0.0)
    orders = [
        sorted((o for o in rest if o.least_alm < alm and o.most_fps >= smaller),
               key=lambda o: -o.most_fps),
        sorted((o for o in rest if o.most_fps > FASTER * fps and o.least_alm <= larger),
               key=lambda o: o.least_alm),
        sorted((o for o in rest if o.most_fps >= fastest and o.least_alm <= free),
               key=lambda o: -o.most_fps),
    ]  # fmt: skip
    return [order for order in orders if order]
