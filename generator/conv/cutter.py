"""Ways to cut the layers into segments that run in strips.

Every way is looked at (a shortest path over the layers), each segment with the fewest rounds that
fit: a round more is an invocation more of each of its kernels, with what they take to drain and to
be entered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.maps import stored_maps
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.segments import Segment, inner_result, row_lines, segment_rows
from shiftforge.generator.conv.steps import Step
from shiftforge.generator.conv.through import read_rows

__all__ = ["Cutter"]


@dataclass(eq=False)
class Cutter:
    """Segments of a network on an array. through: maps that lie in global memory. made: see
    ``segment_rows``, the same for all arrays of the network. alive: lines of the whole maps on
    chip, and the layers [a, b] while they are alive: from the one after which they exist to the
    last reader."""

    network: Network
    array: ArrayShape
    through: frozenset[str] = frozenset()
    tilings: Sequence[Tiling] = field(init=False)
    inner: Sequence[bool] = field(init=False)
    row_sums: Sequence[int] = field(init=False)
    alive: Sequence[tuple[int, int, int]] = field(init=False)
    known: dict[tuple[int, int, int], tuple[int, ...] | None] = field(default_factory=dict)
    rounds: dict[tuple[int, int, int], int | None] = field(default_factory=dict)
    made: dict[tuple[int, int, int], tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tilings = [tile_layer(layer, self.array) for layer in self.network.layers]
        layers = self.network.layers
        self.inner = [inner_result(layers, index) for index in range(len(layers))]
        lines = [row_lines(layers, self.tilings, index, index) for index in range(len(layers))]
        self.row_sums = [0, *accumulate(lines)]
        # Steps count from 1, layers from 0.
        self.alive = [
            (own.lines, own.born - 1, own.dies - 1)
            for own in stored_maps(self.network.scheduled, self.array)
            if own.name not in self.through
        ]

    def _whole(self, first: int, last: int) -> int:
        """Lines of the maps that are whole while a segment runs: read by it or later, or made."""
        return sum(
            lines for lines, born, dies in self.alive
            if (born < first <= dies) or born == last
        )  # fmt: skip

    def _row(self, index: int) -> int:
        """Lines of a row of a layer's result, all channel groups."""
        return self.tilings[index].out_groups * self.tilings[index].out_tiles

    def peak(self, first: int, last: int, before: int, after: int) -> int:
        """Most lines of strips at once in a round that makes rows [before, after)."""
        made = self._made(first, last, after)
        done = self._made(first, last, before) if before else (0,) * len(made)
        own = [
            (m - d) * self._row(index)
            for index, m, d in zip(range(first, last), made, done, strict=False)
        ]
        strips = max(a + b for a, b in zip([0, *own], [*own, 0], strict=True))
        return strips + (2 * self._fetched(first, done, made) if self.through else 0)

    def _fetched(self, first: int, done: Sequence[int], made: Sequence[int]) -> int:
        """Lines that come from global memory for a round; those of the next one come meanwhile."""
        lines = 0
        for index, d, m in zip(range(first, first + len(made)), done, made, strict=True):
            layer, whole = self.network.layers[index], self.tilings[index]
            if m > d:
                rows = read_rows(layer, whole, Step(index, d, m, m == whole.out_rows), self.through)
                lines += sum(own.lines for own in rows)
        return lines

    def _moves(self, first: int, last: int) -> bool:
        """Whether a segment reads maps from global memory or writes one."""
        layers = self.network.layers[first : last + 1]
        skips = any(own.skip is not None and own.skip.name in self.through for own in layers)
        return skips or bool({layers[0].input.name, layers[-1].result.name} & self.through)

    def _made(self, first: int, last: int, end: int) -> tuple[int, ...]:
        key = first, last, end
        if key not in self.made:
            self.made[key] = segment_rows(self.network.layers, first, last, end)
        return self.made[key]

    def ends(self, first: int, last: int, room: int) -> tuple[int, ...] | None:
        """The fewest rounds whose maps and strips fit ``room`` lines; None where none do. Of these
        the ones that take the least."""
        key = first, last, room
        if key not in self.known:
            self.known[key] = self._ends(first, last, room - self._whole(first, last))
        return self.known[key]

    def _ends(self, first: int, last: int, room: int) -> tuple[int, ...] | None:
        found = self._greedy(first, last, room)
        if found is None:
            return None
        low, high = 0, room
        while high - low > 1:
            middle = (low + high) // 2
            other = self._greedy(first, last, middle)
            if other is not None and len(other) == len(found):
                high, found = middle, other
            else:
                low = middle
        return found

    def _greedy(self, first: int, last: int, room: int) -> tuple[int, ...] | None:
        rows, found = self.network.layers[last].out_shape[1], [0]
        while found[-1] < rows:
            low, high = found[-1], rows
            while low < high:
                middle = (low + high + 1) // 2
                if self.peak(first, last, found[-1], middle) <= room:
                    low = middle
                else:
                    high = middle - 1
            if low == found[-1]:
                return None
            found.append(low)
        return tuple(found[1:])

    def cut(self, room: int, row_room: int) -> tuple[int, tuple[Segment, ...]] | None:
        """(steps, segments) with the fewest steps for so many lines of maps and of the line buffer;
        None where nothing fits. Layers that run whole are in no segment."""
        found = self._path(room, row_room)
        if found is None:
            return None
        steps, parts = found
        cut = (self._segment(first, last, room) for first, last in parts)
        return steps, tuple(own for own in cut if own is not None)

    def steps(self, room: int, row_room: int) -> int | None:
        """Steps of ``cut``, without where its segments end; None where nothing fits."""
        found = self._path(room, row_room)
        return None if found is None else found[0]

    def _path(self, room: int, row_room: int) -> tuple[int, tuple[tuple[int, int], ...]] | None:
        """The fewest steps, and the layers (first, last) of each part; None where nothing fits."""
        best: list[tuple[int, int] | None] = [(0, 0)]  # steps, and where the last part begins
        for last in range(len(self.tilings)):
            found: tuple[int, int] | None = None
            for first in range(last, -1, -1):
                if first < last and not self.inner[first]:
                    break
                before, rounds = best[first], self._rounds(first, last, room, row_room)
                if before is None or rounds is None:
                    continue
                steps = before[0] + rounds * (last - first + 1)
                if found is None or steps < found[0]:
                    found = steps, first
            best.append(found)
        if best[-1] is None:
            return None
        parts, end = [], len(self.tilings)
        while end and (own := best[end]) is not None:
            parts.append((own[1], end - 1))
            end = own[1]
        return best[-1][0], tuple(reversed(parts))

    def _rounds(self, first: int, last: int, room: int, row_room: int) -> int | None:
        """The fewest rounds of a segment that fit; None where none do."""
        moves = bool(self.through) and self._moves(first, last)
        if first == last and not moves:
            return 1 if self._whole(first, last) <= room else None
        if self.row_sums[last + 1] - self.row_sums[first] > row_room:
            return None
        key = first, last, room
        if key not in self.rounds:
            found = self._greedy(first, last, room - self._whole(first, last))
            self.rounds[key] = None if found is None else len(found)
        rounds, rows = self.rounds[key], self.network.layers[last].out_shape[1]
        # What is fetched next must not come from the step before it.
        return 2 if moves and rounds == 1 < rows else rounds

    def _segment(self, first: int, last: int, room: int) -> Segment | None:
        """A part of the path with the ends of its rounds; None where it runs whole."""
        moves = bool(self.through) and self._moves(first, last)
        if first == last and not moves:
            return None
        rows, ends = self.network.layers[last].out_shape[1], self.ends(first, last, room)
        if moves and ends is not None and len(ends) == 1 < rows:
            ends = (rows + 1) // 2, rows
        return None if ends is None or len(ends) == 1 else Segment(first, last, ends)

    def row_rooms(self) -> list[int]:
        """Lines that the line buffer may have: what a segment takes, or the largest layer."""
        layers, found = self.network.layers, set()
        for last in range(len(layers)):
            for first in range(last, -1, -1):
                if first < last and not self.inner[first]:
                    break
                found.add(self.row_sums[last + 1] - self.row_sums[first])
        least = max(row_lines(layers, self.tilings, i, i) for i in range(len(layers)))
        return sorted(lines for lines in found if lines >= least) or [1]

    def smallest(self) -> int:
        """Fewest lines, of maps and, counted twice, of the line buffer."""
        best = None
        for row_room in self.row_rooms():
            low, high = -1, sum(lines for lines, _, _ in self.alive)
            while high - low > 1:
                middle = (low + high) // 2
                if self.steps(middle, row_room) is None:
                    low = middle
                else:
                    high = middle
            total = high + 2 * row_room
            best = total if best is None else min(best, total)
        assert best is not None
        return best
