"""What a user asks of a design: a rate to reach, and shares of the board to stay within."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.errors import Problem
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import Plan
from shiftforge.generator.conv.sweep.points import Points

__all__ = ["Limits", "limits_of"]


@dataclass(frozen=True)
class Limits:
    """fps: frames a second, at least. alm, ram_blocks: at most, without what the board's own
    limits say. None: not asked for."""

    fps: float | None = None
    alm: int | None = None
    ram_blocks: int | None = None

    def met(self, points: Points) -> NDArray[np.bool_]:
        """Which points are within; RAM as far as it is known."""
        return self.missed(points) <= 0

    def missed(self, points: Points) -> NDArray[np.float64]:
        """By what share a point misses, the worst of all; 0 where it does not."""
        found = np.zeros(len(points))
        if self.fps is not None:
            found = np.maximum(found, self.fps / points.fps - 1)
        if self.alm is not None:
            found = np.maximum(found, points.alm / self.alm - 1)
        if self.ram_blocks is not None:
            found = np.maximum(found, points.ram_blocks / self.ram_blocks - 1)
        return found

    def problems(self, plan: Plan) -> list[Problem]:
        """What a plan does not meet."""
        found = []
        if self.fps is not None and plan.modelled_fps < self.fps:
            what = f"reaches {plan.modelled_fps:,.0f} frames a second (modelled), not {self.fps:g}"
            found.append(Problem(what, "a larger array, or a lower --target-fps", plan.board.name))
        for name, option, used, most in (
            ("ALMs", "--max-alm", plan.area.alm, self.alm),
            ("RAM blocks", "--max-ram", plan.area.ram_blocks, self.ram_blocks),
        ):
            if most is not None and used > most:
                what = f"needs {used:,} {name} (modelled); {option} allows {most:,}"
                found.append(Problem(what, f"a smaller array, or more {option}", plan.board.name))
        return found

    def text(self) -> str:
        """What is asked for, after "no array on this board ..."."""
        asked = []
        if self.fps is not None:
            asked.append(f"reaches {self.fps:g} frames a second")
        if self.alm is not None:
            asked.append(f"takes at most {self.alm:,} ALMs")
        if self.ram_blocks is not None:
            asked.append(f"takes at most {self.ram_blocks:,} RAM blocks")
        return " and ".join(asked) or "fits"


def limits_of(options: Options, board: Board) -> Limits:
    """The limits that options set on a board: up to 1 a share of it, above a number."""

    def amount(value: float | None, whole: int) -> int | None:
        return None if value is None else int(value * whole if value <= 1 else value)

    return Limits(
        options.target_fps, amount(options.max_alm, board.alm),
        amount(options.max_ram, board.ram_blocks),
    )  # fmt: skip
