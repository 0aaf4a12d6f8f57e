"""When the image's last line is used, for many points at once: ``ImageLines.last`` of each.

The flow is followed line by line, all points together, until it is the same from row to row. What a
point looks back at (lines taken and used before, stops of the loader) lies in rings of one column a
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.depths import SHORT
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.streams import FOLLOWED

__all__ = ["ImagePoints", "last_used"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MOST_POINTS = 4096
_CHECKED = 128
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class ImagePoints:
    """Images of points (points,): of a loader that nothing stops, its pace.

    count: lines of a frame; lines: of a map row; fetch: cycles of a line; cycles: of a frame.
    """

    count: Ints
    lines: Ints
    fetch: Floats
    cycles: Floats

    @classmethod
    def of(cls, layouts: Sequence[ImageLayout], bytes_per_cycle: float) -> ImagePoints:
        """The points of layouts, see ``ImageLines``."""
        rows = np.array([own.map_rows * own.passes for own in layouts], np.int64)
        lines = np.array([own.lines for own in layouts], np.int64)
        beat = np.array([own.beat for own in layouts], np.float64)
        fetch = np.maximum(1.0, beat / bytes_per_cycle)
        count = rows * lines
        return cls(count, lines, fetch, np.asarray(count * fetch, np.float64))

    def take(self, index: Ints) -> ImagePoints:
        """The points of an index."""
        own = (self.count, self.lines, self.fetch, self.cycles)
        return ImagePoints(*(array[index] for array in own))  # type: ignore[arg-type]

    def slot(self, line: int | Ints) -> Floats:
        """Cycle in which a loader that nothing stops issues a line."""
        found: Floats = line * self.fetch
        return found


def last_used(
    image: ImagePoints, latencies: Latencies, depth: Ints, ahead: Ints, way: int, first: Floats,
    pace: Floats, held: Floats,
) -> Floats:  # fmt: skip
    """Cycles (points,) from the first in which the controller may take a line to the last use.

    depth: lines of the channel. first: cycle of the first use at the earliest, counted as the
    result. The rest is as in ``ImageLines.last``; ahead is above 0, or 0 in all points.
    """
    # Where everything ahead of the first use has come and waits, a later one makes all uses later.
    whole = depth + ahead + 1
    ready = np.maximum(image.slot(whole) - image.slot(depth), whole)
    waits = ready + 2 * (latencies.loader + latencies.global_load) + latencies.round_trip
    late = np.maximum(first - np.ceil(waits), 0.0) if ahead.all() else np.zeros(len(first))
    first = first - late
    columns = np.stack([
        image.count, image.lines, image.fetch, depth, ahead, first, pace, held,
    ]).T  # fmt: skip
    _, some, back = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    found = np.empty(len(some))
    for at in range(0, len(some), _MOST_POINTS):
        own = some[at : at + _MOST_POINTS]
        found[at : at + _MOST_POINTS] = _followed(
            image.take(own), latencies, depth[own], ahead[own], way, first[own], pace[own],
            held[own],
        )  # fmt: skip
    return np.asarray(found[np.ravel(back)] + late, np.float64)


def _followed(
    image: ImagePoints, latencies: Latencies, depth: Ints, ahead: Ints, way: int, first: Floats,
    pace: Floats, held: Floats,
) -> Floats:  # fmt: skip
    count = np.minimum(image.count, FOLLOWED)
    flow = _Flow(image, latencies, depth, ahead, way, first, pace, held)
    middle, last = np.zeros((2, len(depth)))
    # In the end most points repeat themselves from row to row: these need not be followed further.
    window = max(int(depth.max()), int(ahead.max()), latencies.round_trip) + 2 * flow.length
    left = np.arange(len(depth))
    for line in range(int(count.max())):
        flow.step(line)
        for number, found in ((count // 2, middle), (count - 1, last)):
            here = number[left] == line
            if here.any():
                found[left[here]] = flow.used[here]
        if line % _CHECKED == _CHECKED - 1:
            repeats = flow.repeats(line, window)
            own = left[repeats]
            for number, found in ((count // 2, middle), (count - 1, last)):
                later = number[own] > line
                found[own[later]] = flow.later(line, number[own], repeats)[later]
            stays = ~repeats & (count[left] > line + 1)
            if not stays.any():
                break
            if not stays.all():
                left, flow = left[stays], flow.take(stays)
    more = image.count > count
    apart = np.maximum(count - 1 - count // 2, 1)
    rest: Floats = np.where(more, (last - middle) / apart * (image.count - count), 0.0)
    return last + rest


class _Flow:
    """The state of points (points,) after some lines; see ``ImageLines.last``."""

    def __init__(
        self, image: ImagePoints, latencies: Latencies, depth: Ints, ahead: Ints, way: int,
        first: Floats, pace: Floats, held: Floats,
    ) -> None:  # fmt: skip
        self.image, self.latencies, self.way = image, latencies, way
        self.own = [depth, ahead, first, pace, held]
        self.length = latencies.loader + latencies.global_load
        points = len(depth)
        self.full = np.ceil((latencies.conv + latencies.channel + SHORT) / pace)
        start = -1.0 - 2 * self.length
        self.shift = start - image.slot(np.minimum(depth, np.minimum(image.count, FOLLOWED) - 1))
        self.total, self.entered = self.shift.copy(), np.full(points, start)
        self.taken, self.used = np.full(points, -1.0), first - pace
        # Lines taken, used and arrived: as many as a point looks back at, and two rows more.
        back = max(int(depth.max()), int(ahead.max()), latencies.round_trip) + 2 * self.length
        self.ring = power_of_two(back + 2 * int(image.lines.max()) + 2)
        self.history = np.zeros((3, self.ring, points))
        # A stop lies in its ring until the lines on their way when it came are over.
        self.room = power_of_two(4 * self.length)
        self.stops = np.zeros((2, self.room, points))
        self.read, self.written = np.zeros((2, points), np.int64)

    def take(self, some: NDArray[np.bool_]) -> _Flow:
        """Some of the points alone."""
        found = copy(self)
        found.image = self.image.take(np.flatnonzero(some))
        found.own = [array[some] for array in self.own]
        for name in ("full", "shift", "total", "entered", "taken", "used", "read", "written"):
            setattr(found, name, getattr(self, name)[some])
        found.history, found.stops = self.history[:, :, some], self.stops[:, :, some]
        return found

    def step(self, line: int) -> None:
        """One line further."""
        depth, ahead, first, pace, held = self.own
        points, trip = np.arange(len(depth)), self.latencies.round_trip
        takes, uses, enters = self.history
        slot = self.image.slot(line)
        self._pass_stops(slot, points)
        arrives = np.maximum(slot + self.shift + self.length, self.entered + 1)
        late = takes[(line - depth) % self.ring, points] + 1
        self.entered = np.where(line >= depth, np.maximum(arrives, late), arrives)
        self._stop(arrives, self.entered - arrives, points)
        taken = np.maximum(self.taken + 1, self.entered + self.latencies.channel)
        if ahead[0]:
            room = uses[(line - ahead) % self.ring, points] + 1
            taken = np.where(line >= ahead, np.maximum(taken, room), taken)
            if line >= trip:
                taken = np.maximum(taken, uses[(line - trip) % self.ring] + trip - self.way)
        used = np.maximum(self.used + pace, taken + self.way)
        if (here := self.full == line).any():
            used = np.where(here, np.maximum(used, first + line * pace + held), used)
        self.taken, self.used = taken, used
        at = line % self.ring
        takes[at], uses[at], enters[at] = taken, used, self.entered

    def _pass_stops(self, slot: Floats, points: Ints) -> None:
        places, amounts = self.stops
        while True:
            at = self.read % self.room
            over = (self.read < self.written) & (places[at, points] < slot)
            if not over.any():
                return
            self.shift += np.where(over, amounts[at, points], 0.0)
            self.read += over

    def _stop(self, arrives: Floats, stop: Floats, points: Ints) -> None:
        stopped = stop > 0
        if not stopped.any():
            return
        some = points[stopped]
        at = self.written[some] % self.room
        self.stops[0, at, some] = (arrives - self.total)[some]
        self.stops[1, at, some] = stop[some]
        self.written += stopped
        self.total += stop
        if (self.written - self.read).max() >= self.room:
            raise ValueError("more stops of the loader at once than it has lines on their way")

    def repeats(self, line: int, window: int) -> NDArray[np.bool_]:
        """Which points have done the same for a row as for the one before it, for ``window`` lines,
        which is all that a line depends on."""
        lines = self.image.lines
        found = (line + 1 >= window + lines) & (self.full < line - window)
        for at in range(0, window, _CHECKED):
            some = np.flatnonzero(found)
            if not len(some):
                break
            back = line - np.arange(at, min(at + _CHECKED, window))[:, None]
            own = self.history[:, back % self.ring, some]
            before = self.history[:, (back - lines[some]) % self.ring, some]
            apart = own - before
            same = np.abs(apart - self._row(line, some)) < _SAME
            found[some] = same.all(axis=(0, 1))
        return np.asarray(found, np.bool_)

    def _row(self, line: int, some: Ints) -> Floats:
        """Cycles from a use to that a row before it."""
        uses = self.history[1]
        before = uses[(line - self.image.lines[some]) % self.ring, some]
        return np.asarray(self.used[some] - before, np.float64)

    def later(self, line: int, number: Ints, some: NDArray[np.bool_]) -> Floats:
        """When a line (points of ``some``,) after this one is used, of points that repeat."""
        own = np.flatnonzero(some)
        rows, rest = np.divmod(number - line, self.image.lines[own])
        # The same place of the last row, or this line itself.
        back = np.where(rest > 0, self.image.lines[own] - rest, 0)
        uses = self.history[1][(line - back) % self.ring, own]
        return np.asarray(uses + (rows + (rest > 0)) * self._row(line, own), np.float64)
