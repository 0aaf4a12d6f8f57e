"""What the loader and the feeder do in a frame: words that wait ahead, and words that come late.

Both run through a whole run of frames. They are ahead of the array by what their channel and their
own pipeline hold: an iteration is a load on its way, so that a pipeline of 220 cycles has up to 220
of them. The model of the cycles (see ``cycles``) asks when the array has what it waits for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from shiftforge.generator.conv.depths import SHORT
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.times import Number, least, most

__all__ = ["FOLLOWED", "ImageLines", "Weights"]

FOLLOWED = 4096
"""Lines after which the image's rate is taken for steady."""


@dataclass(frozen=True)
class ImageLines:
    """The image's lines of one frame, for which the loader had all the time of the frame before.

    depth: lines that its channel holds.
    """

    layout: ImageLayout
    latencies: Latencies
    bytes_per_cycle: float
    depth: int = 16

    @property
    def cycles(self) -> float:
        """Of the loader for a frame."""
        return self.layout.map_rows * self.layout.passes * self._step

    @property
    def _fetch(self) -> float:
        return max(1.0, self.layout.beat / self.bytes_per_cycle)

    @property
    def _step(self) -> float:
        return self.layout.lines * self._fetch

    def _slot(self, line: int) -> float:
        """Cycle of a loader that nothing stops, in which it issues the line."""
        return line * self._fetch

    def last(
        self, start: float, ahead: int, way: float, first: float, pace: float, held: float = 0,
        rows: int | None = None,
    ) -> float:  # fmt: skip
        """Cycle in which the last line is used, one being used every ``pace`` cycles.

        rows: of the map, that are sent; None for all.
        start: first cycle in which the controller may take one. It takes one a cycle, and is at
        most ``ahead`` lines before their use, which is ``way`` cycles after it at the earliest.
        Where lines are used, it waits for their results, a round trip after they were taken.
        first: cycle in which the first line is used at the earliest. held: cycles for which the
        array stands still once its pipeline and the channel behind it are full.
        """
        rows = self.layout.map_rows if rows is None else rows
        count = rows * self.layout.passes * self.layout.lines
        followed = min(count, FOLLOWED)
        length = self.latencies.loader + self.latencies.global_load
        # Everything up to the first line that found no place has arrived. ``shift`` is by how much
        # lines are issued later than their slots, ``total`` the same for those still to come.
        total = shift = start - 1 - 2 * length - self._slot(min(self.depth, followed - 1))
        stops: deque[tuple[float, float]] = deque()
        entered, taken, used = start - 1 - 2 * length, start - 1.0, first - pace
        takes: deque[float] = deque(maxlen=self.depth)
        trip = self.latencies.round_trip
        uses: deque[float] = deque(maxlen=max(ahead, trip))
        full = ceil((self.latencies.conv + self.latencies.channel + SHORT) / pace)
        half = 0.0
        for line in range(followed):
            slot = self._slot(line)
            while stops and stops[0][0] < slot:
                shift += stops.popleft()[1]
            arrives = max(slot + shift + length, entered + 1)
            entered = max(arrives, takes[0] + 1) if len(takes) == self.depth else arrives
            if entered > arrives:
                # The loader stands still: what it has not issued yet comes later.
                stops.append((arrives - total, entered - arrives))
                total += entered - arrives
            taken = max(taken + 1, entered + self.latencies.channel)
            if ahead and line >= ahead:
                taken = max(taken, uses[-ahead] + 1)
            if ahead and line >= trip:
                taken = max(taken, uses[-trip] + trip - way)
            used = max(used + pace, taken + way)
            if line == full:
                used = max(used, first + line * pace + held)
            takes.append(taken)
            uses.append(used)
            if line == followed // 2:
                half = used
        if count > followed:
            used += (used - half) / (followed - 1 - followed // 2) * (count - followed)
        return used


@dataclass
class Weights:
    """The feeder as a flow: ``word`` cycles a word, and words ahead up to what has room.

    depth: words that its channel holds.
    """

    word: Number
    latencies: Latencies
    depth: Number = 64
    level: Number = field(init=False)
    time: Number = 0.0

    def __post_init__(self) -> None:
        self.word = most(1.0, self.word)
        self.level = self.room

    @property
    def room(self) -> Number:
        """Words in the channel and on their way."""
        return self.depth + (self.latencies.feeder + self.latencies.global_load) / self.word

    def late(self, start: Number, words: Number, first: Number, every: Number) -> Number:
        """Cycles by which the last word comes later than it is wanted; takes them.

        Word j is wanted at ``start + first + j * every``.
        """
        several = isinstance(words, np.ndarray)
        if not (np.any(words) if several else words):
            return 0.0
        level = least(self.room, self.level + most(0.0, start - self.time) / self.word)
        wanted = first + (words - 1) * every
        stop = most(0.0, (words - level) * self.word - wanted)
        time = start + wanted + stop
        level = most(0.0, least(self.room, level + (wanted + stop) / self.word - words))
        if several and not np.all(words):
            # Points that take none.
            some = np.asarray(words) > 0
            time, level = np.where(some, time, self.time), np.where(some, level, self.level)
            stop = np.where(some, stop, 0.0)
        self.time, self.level = time, level
        return stop
