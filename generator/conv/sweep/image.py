"""When the image's last line is used, for many points at once: ``ImageLines.last`` of each.

The flow is followed line by line, all points together. What a point looks back at (lines taken and
used before, stops of the loader) lies in rings of one column a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.depths import SHORT
from shiftforge.generator.conv.image import IMAGE_AHEAD, ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.streams import FOLLOWED

__all__ = ["ImagePoints", "last_used"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MOST_POINTS = 4096


@dataclass(frozen=True, eq=False)
class ImagePoints:
    """Images of points (points,): of a loader that nothing stops, its pace.

    count: lines of a frame; lines: of a map row; beats: of it; step: cycles of a map row; fetch:
    cycles of a beat.
    """

    count: Ints
    lines: Ints
    beats: Ints
    step: Floats
    fetch: Floats
    cycles: Floats

    @classmethod
    def of(cls, layouts: Sequence[ImageLayout], bytes_per_cycle: float) -> ImagePoints:
        """The points of layouts, see ``ImageLines``."""
        rows = np.array([own.map_rows * own.passes for own in layouts], np.int64)
        lines = np.array([own.lines for own in layouts], np.int64)
        beats = np.array([own.rows * own.beats for own in layouts], np.int64)
        beat = np.array([own.beat for own in layouts], np.float64)
        fetch = np.maximum(1.0, beat / bytes_per_cycle)
        step = np.array([own.step for own in layouts], np.float64) + beats * (fetch - 1)
        return cls(rows * lines, lines, beats, step, fetch, rows * step)

    def take(self, index: Ints) -> ImagePoints:
        """The points of an index."""
        own = (self.count, self.lines, self.beats, self.step, self.fetch, self.cycles)
        return ImagePoints(*(array[index] for array in own))  # type: ignore[arg-type]

    def slot(self, line: int | Ints) -> Floats:
        """Cycle in which a loader that nothing stops issues a line."""
        row, place = np.divmod(line, self.lines)
        more = place + np.minimum(place, self.beats) * (self.fetch - 1)
        found: Floats = (row + IMAGE_AHEAD) * self.step + more
        return found


def last_used(
    image: ImagePoints, latencies: Latencies, depth: Ints, ahead: Ints, way: int, first: Floats,
    pace: Floats, held: Floats,
) -> Floats:  # fmt: skip
    """Cycles (points,) from the first in which the controller may take a line to the last use.

    depth: lines of the channel. first: cycle of the first use at the earliest, counted as the
    result. The rest is as in ``ImageLines.last``; ahead is above 0, or 0 in all points.
    """
    columns = np.stack([
        image.count, image.lines, image.beats, image.step, image.fetch, depth, ahead, first, pace,
        held,
    ]).T  # fmt: skip
    _, some, back = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    found = np.empty(len(some))
    for at in range(0, len(some), _MOST_POINTS):
        own = some[at : at + _MOST_POINTS]
        found[at : at + _MOST_POINTS] = _followed(
            image.take(own), latencies, depth[own], ahead[own], way, first[own], pace[own],
            held[own],
        )  # fmt: skip
    return found[np.ravel(back)]


def _followed(
    image: ImagePoints, latencies: Latencies, depth: Ints, ahead: Ints, way: int, first: Floats,
    pace: Floats, held: Floats,
) -> Floats:  # fmt: skip
    points = np.arange(len(depth))
    followed = np.minimum(image.count, FOLLOWED)
    length, trip = latencies.loader + latencies.global_load, latencies.round_trip
    waits = bool(ahead[0])
    full = np.ceil((latencies.conv + latencies.channel + SHORT) / pace)
    start = -1.0 - 2 * length
    shift = start - image.slot(np.minimum(depth, followed - 1))
    total, entered = shift.copy(), np.full(len(depth), start)
    taken, used = np.full(len(depth), -1.0), first - pace
    ring = power_of_two(int(max(depth.max(), ahead.max(), trip)) + 1)
    takes, uses = np.zeros((2, ring, len(points)))
    # A stop lies in its ring until the lines on their way when it came are over.
    room = power_of_two(4 * length)
    places, amounts = np.zeros((2, room, len(points)))
    read, written = np.zeros((2, len(points)), np.int64)
    half, last = np.zeros((2, len(points)))
    for line in range(int(followed.max())):
        slot = image.slot(line)
        while True:
            over = (read < written) & (places[read % room, points] < slot)
            if not over.any():
                break
            shift += np.where(over, amounts[read % room, points], 0.0)
            read += over
        arrives = np.maximum(slot + shift + length, entered + 1)
        late = takes[(line - depth) % ring, points] + 1
        entered = np.where(line >= depth, np.maximum(arrives, late), arrives)
        stop = entered - arrives
        stopped = stop > 0
        if stopped.any():
            some = points[stopped]
            places[written[some] % room, some] = (arrives - total)[some]
            amounts[written[some] % room, some] = stop[some]
            written += stopped
            total += stop
            if (written - read).max() >= room:
                raise ValueError("more stops of the loader at once than it has lines on their way")
        taken = np.maximum(taken + 1, entered + latencies.channel)
        if waits:
            room_made = uses[(line - ahead) % ring, points] + 1
            taken = np.where(line >= ahead, np.maximum(taken, room_made), taken)
            if line >= trip:
                taken = np.maximum(taken, uses[(line - trip) % ring] + trip - way)
        used = np.maximum(used + pace, taken + way)
        used = np.where(full == line, np.maximum(used, first + line * pace + held), used)
        takes[line % ring], uses[line % ring] = taken, used
        half = np.where(followed // 2 == line, used, half)
        last = np.where(followed - 1 == line, used, last)
    left = image.count > followed
    apart = np.maximum(followed - 1 - followed // 2, 1)
    more: Floats = np.where(left, (last - half) / apart * (image.count - followed), 0.0)
    return last + more
