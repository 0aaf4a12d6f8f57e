"""Which layers run in strips, and of how many rows, so that all maps fit a number of bytes.

Which cut of the layers (``Cutter``) is best is decided by the cycle model, and whether it fits by
the real placement of its maps. Where no strips are thin enough, maps travel through global memory
(``travelling_plan``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.cutter import Cutter
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, Depths
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.plan import Plan, area_estimate, make_plan
from shiftforge.generator.conv.travel import travelling_plan

__all__ = ["fitting_plan", "limited_plan", "strips_or_none"]

_REPAIRS = 12
# How near the most bytes for which a board has room are found.
_CLOSE = 0.03
# Of the cuts with fewest invocations, so many are planned whole.
_PLANNED = 3


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
        fewest = self.smallest

        def within(plan: Plan) -> bool:
            nonlocal fewest
            fewest = min(fewest, plan.map_bytes)
            return plan.map_bytes <= limit

        found = self.plan_or_none(limit)
        if found is None:
            found = self.travelling(within)
        if found is not None:
            return found
        what = (
            f"{limit:,} bytes are too few for the maps: the thinnest strips on chip take "
            f"{self.smallest:,}, and with maps in global memory at least {fewest:,} were needed"
        )
        remedy = f"give {fewest:,} or more, a smaller input resolution or fewer pixels a tile"
        raise InputError(Problem(what, remedy, "map memory"))

    def travelling(self, fits: Callable[[Plan], bool]) -> Plan | None:
        """With maps that travel through global memory."""
        if self.options.get("non_blocking"):
            return None
        return travelling_plan(self.network, self.array, self._planned, fits)

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
    return _Limiter(network.fit(array.units), board, array, options).plan(limit)


def fitting_plan(
    network: Network, board: Board, array: ArrayShape, limit: int | None = None, *,
    ram_blocks: int | None = None, non_blocking: bool = False, depths: Depths = DEFAULT_DEPTHS,
) -> Plan:  # fmt: skip
    """The plan within ``limit`` bytes of map memories, and within what the board has room for.

    Without a limit, whole maps where they fit, else the most bytes for which there is room.
    ram_blocks: of the board, at most; held against a plan in strips only where one can meet it.
    Raises InputError with what does not fit the board.
    """
    options = {"non_blocking": non_blocking, "depths": depths}
    network = network.fit(array.units)
    limiter = _Limiter(network, board, array, options)
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
    travelling = limiter.travelling(lambda found: _fits(found) and _within(found, limit))
    if travelling is not None:
        return travelling
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
    network = network.fit(array.units)
    if limit is not None and (_Limiter(network, board, array, options).plan_or_none(limit) is None):
        return None
    try:
        return fitting_plan(
            network, board, array, limit, ram_blocks=ram_blocks, non_blocking=non_blocking,
            depths=depths,
        )  # fmt: skip
    except InputError:
        return None


def _within(plan: Plan, limit: int | None) -> bool:
    return limit is None or plan.map_bytes <= limit


def _fits(plan: Plan, ram_blocks: int | None = None) -> bool:
    """Whether the board has room for a plan, and it takes at most so many RAM blocks."""
    within = ram_blocks is None or plan.area.ram_blocks <= ram_blocks
    return within and not fit_problems(area_estimate(plan))
