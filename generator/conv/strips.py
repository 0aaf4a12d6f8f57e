"""Which layers run in strips, and of how many rows, so that all maps fit a number of bytes.

Every way to cut the layers into segments is looked at (a shortest path over the layers), each
segment with the fewest rounds that fit: a round more is an invocation more of each of its kernels,
with what they take to drain and to be entered again. Which cut is best is then decided by the cycle
model, and whether it fits by the real placement of its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, Depths
from shiftforge.generator.conv.maps import stored_maps
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.plan import Plan, make_plan
from shiftforge.generator.conv.segments import Segment, inner_result, row_lines, segment_rows

__all__ = ["limited_plan"]

_REPAIRS = 12
# Of the cuts with fewest invocations, so many are planned whole.
_PLANNED = 3


@dataclass(eq=False)
class _Cutter:
    """Segments of a network on an array. lines, alive: of whole maps, and the layers [a, b] while
    they are alive: from the one after which they exist to the last reader."""

    network: Network
    array: ArrayShape
    tilings: Sequence[Tiling] = field(init=False)
    alive: Sequence[tuple[int, int, int]] = field(init=False)
    known: dict[tuple[int, int, int], tuple[int, ...] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tilings = [tile_layer(layer, self.array) for layer in self.network.layers]
        # Steps count from 1, layers from 0.
        self.alive = [
            (own.lines, own.born - 1, own.dies - 1)
            for own in stored_maps(self.network.scheduled, self.array)
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
        layers = self.network.layers
        made = segment_rows(layers, first, last, after)
        done = segment_rows(layers, first, last, before) if before else (0,) * len(made)
        own = [
            (m - d) * self._row(index)
            for index, m, d in zip(range(first, last), made, done, strict=False)
        ]
        return max(a + b for a, b in zip([0, *own], [*own, 0], strict=True))

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
        layers = self.network.layers
        best: list[tuple[int, tuple[Segment, ...]] | None] = [(0, ())]
        for last in range(len(layers)):
            found: tuple[int, tuple[Segment, ...]] | None = None
            for first in range(last, -1, -1):
                if first < last and not inner_result(layers, first):
                    break
                before, ends = best[first], self._fitting(first, last, room, row_room)
                if before is None or ends is None:
                    continue
                steps = before[0] + len(ends) * (last - first + 1)
                if found is None or steps < found[0]:
                    own = (Segment(first, last, ends),) if len(ends) > 1 else ()
                    found = (steps, (*before[1], *own))
            best.append(found)
        return best[-1]

    def _fitting(self, first: int, last: int, room: int, row_room: int) -> tuple[int, ...] | None:
        rows = self.network.layers[last].out_shape[1]
        if first == last:
            return (rows,) if self._whole(first, last) <= room else None
        if row_lines(self.network.layers, self.tilings, first, last) > row_room:
            return None
        return self.ends(first, last, room)

    def row_rooms(self) -> list[int]:
        """Lines that the line buffer may have: what a segment takes, or the largest layer."""
        layers, found = self.network.layers, set()
        for last in range(len(layers)):
            for first in range(last, -1, -1):
                if first < last and not inner_result(layers, first):
                    break
                found.add(row_lines(layers, self.tilings, first, last))
        least = max(row_lines(layers, self.tilings, i, i) for i in range(len(layers)))
        return sorted(lines for lines in found if lines >= least) or [1]

    def smallest(self) -> int:
        """Fewest lines, of maps and, counted twice, of the line buffer."""
        best = None
        for row_room in self.row_rooms():
            low, high = -1, sum(lines for lines, _, _ in self.alive)
            while high - low > 1:
                middle = (low + high) // 2
                if self.cut(middle, row_room) is None:
                    low = middle
                else:
                    high = middle
            total = high + 2 * row_room
            best = total if best is None else min(best, total)
        assert best is not None
        return best


def limited_plan(
    network: Network, board: Board, array: ArrayShape, limit: int, *,
    non_blocking: bool = False, depths: Depths = DEFAULT_DEPTHS,
) -> Plan:  # fmt: skip
    """The plan of fewest modelled cycles whose memories of maps take at most ``limit`` bytes.

    Whether the board has room for it is not looked at. Raises InputError, with the fewest bytes
    that are possible, where none is so small.
    """
    planned = partial(
        make_plan, network, board, array, non_blocking=non_blocking, depths=depths, must_fit=False
    )
    whole = planned()
    if whole.map_bytes <= limit:
        return whole
    whole, cutter = planned(tight=True), _Cutter(network, array)
    line = whole.map_memories["maps"] // max(1, whole.memory.total_lines)
    fixed = whole.map_bytes - (whole.memory.total_lines + 2 * whole.row_lines) * line
    cuts = []
    for row_room in cutter.row_rooms():
        room = (limit - fixed) // line - 2 * row_room
        found = cutter.cut(room, row_room)
        if found is not None:
            cuts.append((found[0], room, row_room))
    plans = []
    for _, room, row_room in sorted(cuts)[:_PLANNED]:
        for _ in range(_REPAIRS):
            found = cutter.cut(room, row_room)
            if found is None:
                break
            plan = planned(segments=found[1], tight=True)
            if plan.map_bytes <= limit:
                plans.append(plan)
                break
            room -= -(-(plan.map_bytes - limit) // line)
    if plans:
        return min(plans, key=lambda plan: plan.modelled_cycles)
    smallest = fixed + cutter.smallest() * line
    what = f"{limit:,} bytes are too few for the maps: the thinnest strips take {smallest:,}"
    remedy = f"give {smallest:,} or more, a smaller input resolution or fewer pixels a tile"
    raise InputError(Problem(what, remedy, "map memory"))
