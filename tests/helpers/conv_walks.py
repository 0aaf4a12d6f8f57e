"""What a layer needs in which order, from its definition: lines, array cycles and results.

Written from the definition of a convolution and the order that docs/ARCHITECTURE.md states, with
plain nested loops over shapes; nothing of the planner is used. A line is (channel group, row,
tile) of a map; None is a line of zeros, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from math import ceil

import numpy as np

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.records import Pace
from shiftforge.generator.conv.schedule import Layer

Place = tuple[int, int, int]
Line = Place | None


@dataclass(frozen=True)
class Fire:
    """One array cycle. operands: nine channels (line, place in it) or the nine lines of a window
    and the channel in them; weight: group, word, and whether it is the second for its operands."""

    operands: tuple[object, ...]
    weight: tuple[int, int, int]
    completes: bool


def in_runs(
    counts: Sequence[tuple[int, int]], cost: Callable[[int, int], int], most: int = 4
) -> list[tuple[int, int]]:
    """The cheapest counts, of these the fewest words, none below the given ones, with at most
    ``most`` runs of equal ones."""
    changes = [i for i, (a, b) in enumerate(pairwise(counts), 1) if a != b]
    found: list[list[tuple[int, int]]] = []
    for cuts in combinations(changes, min(most - 1, len(changes))):
        ends, own = [0, *cuts, len(counts)], []
        for a, b in pairwise(ends):
            own += [(max(m for m, _ in counts[a:b]), max(k for _, k in counts[a:b]))] * (b - a)
        found.append(own)
    return min(found, key=lambda own: (sum(cost(m, k) for m, k in own), sum(map(sum, own))))


@dataclass(frozen=True, eq=False)
class Definition:
    """A layer's loops on an array."""

    layer: Layer
    array: ArrayShape

    @property
    def in_lines(self) -> tuple[int, int, int]:
        """Channel groups, rows and tiles of the map that is read."""
        return self._cut(self.layer.in_shape)

    @property
    def out_lines(self) -> tuple[int, int, int]:
        """The same of the convolution's result."""
        return self._cut(self.layer.out_shape)

    @property
    def taken(self) -> int:
        """Channels of a pointwise word: nine, or the eight of a line of eight units."""
        return min(9, self.array.units)

    def _cut(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        channels, rows, columns = shape
        return ceil(channels / self.array.units), rows, ceil(columns / self.array.pixels)

    @property
    def _by_group(self) -> bool:
        """Of a depthwise layer: a pool follows, or its results are the network's output."""
        return self.layer.pool is not None or self.layer.direct or self.layer.exported

    def tiles(self) -> Iterator[Place]:
        """Results of the convolution in order."""
        groups, rows, tiles = self.out_lines
        if self.layer.mode == "depthwise" and not self._by_group:
            yield from ((g, y, t) for y in range(rows) for g in range(groups) for t in range(tiles))
        else:
            yield from ((g, y, t) for g in range(groups) for y in range(rows) for t in range(tiles))

    def column(self, place: Place, at: int = 0) -> int:
        """First column of a tile's window, of those in a row of the kernel's."""
        layer, first = self.layer, place[2] * self.array.pixels * self.layer.stride
        return first - layer.left + at * layer.windows.column_step

    def window(self, group: int, place: Place, down: int = 0, at: int = 0) -> tuple[Line, ...]:
        """The nine lines of a tile's window in a channel group; of the kernel's windows the one at
        so many rows and columns of them."""
        layer, (_, row, _) = self.layer, place
        _, rows, tiles = self.in_lines
        found: list[Line] = []
        above = layer.top - down * layer.windows.row_step
        for r in range(3):
            for j in range(3):
                y, t = (
                    row * layer.stride - above + r,
                    self.column(place, at) // self.array.pixels + j,
                )
                inside = 0 <= y < rows and 0 <= t < tiles
                found.append((group, y, t) if inside else None)
        return tuple(found)

    @cached_property
    def operands(self) -> list[Line]:
        """Lines that are sent, in order; zeros too where the unit wants them."""
        groups, rows, tiles = self.in_lines
        found: list[Line] = []
        if self.layer.mode == "depthwise":
            # The map's lines up to the last one of the last window; no further one is sent.
            *_, final = self.tiles()
            last = final[1] * self.layer.stride - self.layer.top + 2
            end = final[2] * self.layer.stride - self.layer.left + 2
            lines = [
                (g, y, t)
                for g in range(groups)
                for y in range(min(rows, last + 1))
                for t in range(tiles)
                if (g, y) != (groups - 1, last) or t <= end
            ]
            if not self._by_group:
                lines.sort(key=lambda line: (line[1], line[0], line[2]))
            return [*lines]
        for place in self.tiles():
            if self.layer.mode == "pointwise":
                found += [(group, place[1], place[2]) for group in self.block(place[0])]
            else:
                for own in self.windows(place):
                    found += self.window(*own)
        return found

    def block(self, group: int) -> range:
        """Channel groups that a group of output channels reads."""
        layer, units = self.layer, self.array.units
        if layer.blocks == 1:
            return range(self.in_lines[0])
        outputs, inputs = layer.conv.weight.shape[:2]
        channel = group * units
        first = channel // (outputs // layer.conv.groups) * inputs
        lines = layer.block_channels // units
        return range(first // units // lines * lines, first // units // lines * lines + lines)

    def windows(self, place: Place) -> Iterator[tuple[int, Place, int, int]]:
        """A standard tile's windows in order: channel group, tile, row and column of windows."""
        own = self.layer.windows
        for at in range(own.columns):
            for down in range(own.rows):
                for group in self.block(place[0]):
                    yield group, place, down, at

    @cached_property
    def counts(self) -> list[tuple[int, int]]:
        """(first words, those of them that a second one follows) of each group: up to its last one
        with a weight that is not zero, and that is no power of two. Depthwise: one pair, its
        channel groups."""
        layer, units = self.layer, self.array.units
        groups, rest = self.out_lines[0], layer.weight.shape[1] if layer.weight.ndim > 1 else 1
        depthwise, pointwise = layer.mode == "depthwise", layer.mode == "pointwise"
        size = np.abs(layer.weight.astype(np.int64))
        found = []
        for group in range(groups):
            own = size[group * units : (group + 1) * units]
            block = self.taken if pointwise else rest if depthwise else 1
            words = [own[:, i : i + block] for i in range(0, rest, block)]
            first = [i + 1 for i, w in enumerate(words) if w.any()]
            second = [i + 1 for i, w in enumerate(words) if (w & (w - 1)).any() and self._shifts]
            found.append((max(first, default=1), max(second, default=0)))
        if depthwise:
            twice = [g + 1 for g, (_, second) in enumerate(found) if second]
            return [(groups, max(twice, default=0))]
        return in_runs(found, self._tile)

    @property
    def _shifts(self) -> bool:
        return self.array.unit == "shift"

    def _tile(self, first: int, second: int) -> int:
        """Iterations of a tile: a word each, and at least one for each line that comes."""
        units, groups = self.array.units, len(self.block(0))
        if self.layer.mode == "pointwise":
            lines = 0
            for word in range(first):
                # The channels of the next word have to be there.
                while lines < groups and lines * units < self.taken * (word + 1):
                    lines += 1
            return first + second + groups - lines
        parts = [0] * (self.layer.windows.count * len(self.block(0)))
        for channel in range(first):
            parts[self._part(channel)] += 2 if channel < second else 1
        return sum(max(9, words) for words in parts)

    def _part(self, word: int) -> int:
        """The window of a standard tile's word, by its number."""
        window, channel = divmod(word, self.layer.block_channels)
        return window * len(self.block(0)) + channel // self.array.units

    @cached_property
    def fires(self) -> list[Fire]:
        """Array cycles in order."""
        found: list[Fire] = []
        for fire in self._first_fires():
            group, word, _ = fire.weight
            last, twice = True, self.counts[0][1] > group
            if self.layer.mode != "depthwise":
                first, second = self.counts[group]
                last, twice = word == first - 1, word < second
                if word >= first:
                    continue
            found.append(Fire(fire.operands, fire.weight, last and not twice))
            if twice:
                found.append(Fire(fire.operands, (group, word, 1), last))
        return found

    def _first_fires(self) -> list[Fire]:
        layer, units = self.layer, self.array.units
        channels, found = layer.block_channels, []
        for place in self.tiles():
            group = place[0]
            if layer.mode == "depthwise":
                found.append(Fire((*self.window(group, place), None), (group, 0, 0), True))
            elif layer.mode == "standard":
                word, last = 0, layer.weight.shape[1] - 1
                for line, _, down, at in self.windows(place):
                    first = line - self.block(group).start
                    for c in range(min(units, channels - first * units)):
                        own: tuple[object, ...] = (*self.window(line, place, down, at), c)
                        if layer.windows.columns > 1:
                            own = (*own, self.column(place, at) % self.array.pixels)
                        found.append(Fire(own, (group, word, 0), word == last))
                        word += 1
            else:
                there, taken = len(self.block(0)) * units, self.taken
                begin = self.block(group).start
                for word in range(ceil(channels / taken)):
                    taps = tuple(
                        ((begin + c // units, place[1], place[2]), c % units) if c < there else None
                        for c in range(taken * word, taken * word + taken)
                    )
                    found.append(Fire(taps, (group, word, 0), taken * (word + 1) >= channels))
        return found

    def results(self) -> list[Place]:
        """Lines of the stored map in the order in which they come; of a pool, one a group."""
        if self.layer.direct:
            return []
        if self.layer.pool is not None:
            return [(g, 0, 0) for g in range(self.out_lines[0])]
        return list(self.tiles())

    def weights(self) -> list[tuple[int, int, int]]:
        """(group, word, second) in order of use."""
        found = []
        for group in range(self.out_lines[0]):
            first, second = 1, int(group < self.counts[0][1])
            if self.layer.mode != "depthwise":
                first, second = self.counts[group]
            for word in range(first):
                found.append((group, word, 0))
                if word < second:
                    found.append((group, word, 1))
        return found


def address(place: Place, sizes: tuple[int, int, int]) -> int:
    """Of a line in a map: order group, row, tile."""
    group, row, tile = place
    return (group * sizes[1] + row) * sizes[2] + tile


def pace_times(pace: Pace, outer: int) -> list[int]:
    """The iterations of a pace, one after the other: what ends decides the wait for the next."""
    found, at = [], pace.first
    for _ in range(outer):
        for row in range(pace.rows):
            for inner in range(pace.inner):
                for tile in range(pace.tiles):
                    found.append(at)
                    if tile < pace.tiles - 1:
                        at += pace.every_tile
                    elif inner < pace.inner - 1:
                        at += pace.every_inner
                    elif row < pace.rows - 1:
                        at += pace.every_row
                    else:
                        at += pace.every_outer
    return found
