"""Which layers run in strips, and of how many rows, so that all maps fit a number of bytes.

Every way to cut the layers into segments is looked at (a shortest path over the layers), each
segment with the fewest rounds that fit: a round more is an invocation more of each of its kernels,
with what they take to drain and to be entered again. Which cut is best is then decided by the cycle
model, and whether it fits by the real placement of its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, Depths
from shiftforge.generator.conv.maps import stored_maps
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.plan import Plan, area_estimate, make_plan
from shiftforge.generator.conv.segments import Segment, inner_result, row_lines, segment_rows

__all__ = ["Cutter", "fitting_plan", "limited_plan", "strips_or_none"]

_REPAIRS = 12
# How near the most bytes for which a board has room are found.
_CLOSE = 0.03
# Of the cuts with fewest invocations, so many are planned whole.
_PLANNED = 3


@dataclass(eq=False)
class Cutter:
    """Segments of a network on an array. made: see ``segment_rows``, the same for all arrays of the
    network. lines, alive: of whole maps, and the layers [a, b] while
    they are alive: from the one after which they exist to the last reader."""

    network: Network
    array: ArrayShape
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
        return max(a + b for a, b in zip([0, *own], [*own, 0], strict=True))

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
        layers = self.network.layers
        best: list[tuple[int, tuple[Segment, ...]] | None] = [(0, ())]
        for last in range(len(layers)):
            found: tuple[int, tuple[Segment, ...]] | None = None
            for first in range(last, -1, -1):
                if first < last and not self.inner[first]:
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
        if self.row_sums[last + 1] - self.row_sums[first] > row_room:
            return None
        return self.ends(first, last, room)

    def steps(self, room: int, row_room: int) -> int | None:
        """Steps of ``cut``, without where its segments end; None where nothing fits."""
        best: list[int | None] = [0]
        for last in range(len(self.tilings)):
            found: int | None = None
            for first in range(last, -1, -1):
                if first < last and not self.inner[first]:
                    break
                before, rounds = best[first], self._rounds(first, last, room, row_room)
                if before is not None and rounds is not None:
                    steps = before + rounds * (last - first + 1)
                    found = steps if found is None else min(found, steps)
            best.append(found)
        return best[-1]

    def _rounds(self, first: int, last: int, room: int, row_room: int) -> int | None:
        if first == last:
            return 1 if self._whole(first, last) <= room else None
        if self.row_sums[last + 1] - self.row_sums[first] > row_room:
            return None
        key = first, last, room
        if key not in self.rounds:
            found = self._greedy(first, last, room - self._whole(first, last))
            self.rounds[key] = None if found is None else len(found)
        return self.rounds[key]

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
                if self.cut(middle, row_room) is None:
                    low = middle
                else:
                    high = middle
            total = high + 2 * row_room
            best = total if best is None else min(best, total)
        assert best is not None
        return best


@dataclass(eq=False)
class _Limiter:
    """Plans of a network on a board's array within a number of bytes; none is held against what the
    board has room for."""

    network: Network
    board: Board
    array: ArrayShape
    options: dict[str, Any]

    @cached_property
    def whole(self) -> Plan:
        """The plan of whole maps."""
        return self._planned()

    @cached_property
    def cutter(self) -> Cutter:
        """Of the layers."""
        return Cutter(self.network, self.array)

    @cached_property
    def _tight(self) -> Plan:
        """The same, results being read as soon as they can be."""
        return self._planned(tight=True)

    @cached_property
    def _fixed(self) -> tuple[int, int]:
        """Bytes of a line as it is stored, and of all memories that strips do not change."""
        plan = self._tight
        line = plan.map_memories["maps"] // max(1, plan.memory.total_lines)
        return line, plan.map_bytes - (plan.memory.total_lines + 2 * plan.row_lines) * line

    def _planned(self, **strips: Any) -> Plan:
        own = {**self.options, **strips}
        return make_plan(self.network, self.board, self.array, must_fit=False, **own)

    @cached_property
    def smallest(self) -> int:
        """The fewest bytes that are possible."""
        line, fixed = self._fixed
        return fixed + self.cutter.smallest() * line

    def plan(self, limit: int) -> Plan:
        """See ``limited_plan``."""
        found = self.plan_or_none(limit)
        if found is not None:
            return found
        what = (
            f"{limit:,} bytes are too few for the maps: the thinnest strips take {self.smallest:,}"
        )
        remedy = (
            f"give {self.smallest:,} or more, a smaller input resolution or fewer pixels a tile"
        )
        raise InputError(Problem(what, remedy, "map memory"))

    def plan_or_none(self, limit: int) -> Plan | None:
        """The same; None where there is none."""
        if self._tight.map_bytes <= limit:
            return self.whole if self.whole.map_bytes <= limit else self._tight
        line, fixed = self._fixed
        cuts = []
        for row_room in self.cutter.row_rooms():
            room = (limit - fixed) // line - 2 * row_room
            found = self.cutter.cut(room, row_room)
            if found is not None:
                cuts.append((found[0], room, row_room))
        plans = []
        for _, room, row_room in sorted(cuts)[:_PLANNED]:
            for _ in range(_REPAIRS):
                found = self.cutter.cut(room, row_room)
                if found is None:
                    break
                plan = self._planned(segments=found[1], tight=True)
                if plan.map_bytes <= limit:
                    plans.append(plan)
                    break
                room -= -(-(plan.map_bytes - limit) // line)
        return min(plans, key=lambda plan: plan.modelled_cycles, default=None)


def limited_plan(
    network: Network, board: Board, array: ArrayShape, limit: int, *,
    non_blocking: bool = False, depths: Depths = DEFAULT_DEPTHS,
) -> Plan:  # fmt: skip
    """The plan of fewest modelled cycles whose memories of maps take at most ``limit`` bytes.

    Whether the board has room for it is not looked at. Raises InputError, with the fewest bytes
    that are possible, where none is so small.
    """
    options = {"non_blocking": non_blocking, "depths": depths}
    return _Limiter(network, board, array, options).plan(limit)


def fitting_plan(
    network: Network, board: Board, array: ArrayShape, limit: int | None = None, *,
    ram_blocks: int | None = None, non_blocking: bool = False, depths: Depths = DEFAULT_DEPTHS,
) -> Plan:  # fmt: skip
    """The plan within ``limit`` bytes of map memories, and within what the board has room for.

    Without a limit, whole maps where they fit, else the most bytes for which there is room.
    ram_blocks: of the board, at most; held against a plan in strips only where one can meet it.
    Raises InputError with what does not fit the board.
    """
    limiter = _Limiter(network, board, array, {"non_blocking": non_blocking, "depths": depths})
    plan = limiter.whole if limit is None else limiter.plan(limit)
    if _fits(plan, ram_blocks):
        return plan
    estimate = area_estimate(plan)
    *others, _ = estimate.uses
    if fit_problems(replace(estimate, uses=tuple(others))):
        raise InputError(fit_problems(estimate))
    best, low, high = None, limiter.smallest, plan.map_bytes
    while high - low > _CLOSE * high:
        middle = (low + high) // 2
        found = limiter.plan_or_none(middle)
        if found is not None and _fits(found, ram_blocks):
            best, low = found, middle
        elif found is None:
            low = middle
        else:
            high = middle
    if best is not None:
        return best
    if _fits(plan):
        return plan
    smallest = limiter.plan(limiter.smallest)
    if problems := fit_problems(area_estimate(smallest)):
        raise InputError(problems)
    return smallest


def strips_or_none(
    network: Network, board: Board, array: ArrayShape, limit: int | None = None, *,
    ram_blocks: int | None = None, non_blocking: bool = False, depths: Depths = DEFAULT_DEPTHS,
) -> Plan | None:  # fmt: skip
    """``fitting_plan``, or None where there is none: faster, as nothing is told."""
    options = {"non_blocking": non_blocking, "depths": depths}
    if limit is not None and (_Limiter(network, board, array, options).plan_or_none(limit) is None):
        return None
    try:
        return fitting_plan(
            network, board, array, limit, ram_blocks=ram_blocks, non_blocking=non_blocking,
            depths=depths,
        )  # fmt: skip
    except InputError:
        return None


def _fits(plan: Plan, ram_blocks: int | None = None) -> bool:
    """Whether the board has room for a plan, and it takes at most so many RAM blocks."""
    within = ram_blocks is None or plan.area.ram_blocks <= ram_blocks
    return within and not fit_problems(area_estimate(plan))
