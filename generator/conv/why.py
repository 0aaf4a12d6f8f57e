"""Why a design is as it is: what bounds its layers, its neighbours, and what the board allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shiftforge.generator.board_fit import device_uses
from shiftforge.generator.conv.bounds import BOUNDS, MOST, layer_bound
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.plan import Plan, make_plan
from shiftforge.generator.conv.sweep.nearby import FASTER, nearby
from shiftforge.generator.conv.sweep.points import Choice, Points, option_text, point_options

__all__ = ["explain"]

_FRAMES = (1, 2, 3, 4, 6, 8, 12, 16)


def explain(choices: tuple[Choice, ...], choice: Choice, plan: Plan) -> dict[str, Any]:
    """What decides the plan's cycles, and the designs next to it. All modelled.

    layers: by name, bound and cycles. bounds: cycles of a batch by bound, most first. smaller,
    larger: the design with the next fewer ALMs whose rate is the best for so many, and the one with
    the fewest ALMs that is faster; None where there is none. board: the fastest design that the
    board has room for, and what keeps a faster one from it. RAM of these is a lower bound.
    """
    bounds = [layer_bound(plan.steps, layer) for layer in plan.layers]
    totals: dict[str, int] = dict.fromkeys(BOUNDS, 0)
    for bound, layer in zip(bounds, plan.layers, strict=True):
        totals[bound] += layer.cycles.modelled
    depths = Depths(**{c.name: c.depth for c in plan.channels if c.name in Depths.__annotations__})
    frames = tuple(sorted({*_FRAMES, plan.array.frames}))
    points = nearby(choice, plan.board, depths, frames, plan.area.alm, plan.modelled_fps)
    several = len(choices) > 1
    return {
        "words": {k: BOUNDS[k] for k, v in totals.items() if v},
        "bounds": {k: v for k, v in sorted(totals.items(), key=lambda pair: -pair[1]) if v},
        "layers": [
            {"name": layer.name, "bound": bound, "cycles": layer.cycles.modelled}
            for layer, bound in zip(plan.layers, bounds, strict=True)
        ],
        "smaller": _smaller(points, plan, several),
        "larger": _larger(points, plan, several),
        "board": _board(points, several),
    }


def _smaller(points: Points, plan: Plan, several: bool) -> dict[str, Any] | None:
    some = np.flatnonzero(points.fits & (points.alm < plan.area.alm))
    # The best of those that are smaller, by rate, then by ALMs.
    return None if not len(some) else _told(
        points, int(some[np.lexsort((points.alm[some], -points.fps[some]))[0]]), several
    )  # fmt: skip


def _larger(points: Points, plan: Plan, several: bool) -> dict[str, Any] | None:
    some = np.flatnonzero(points.fits & (points.fps > plan.modelled_fps * FASTER))
    some = some[points.alm[some] > plan.area.alm]
    return None if not len(some) else _told(
        points, int(some[np.lexsort((-points.fps[some], points.alm[some]))[0]]), several
    )  # fmt: skip


def _board(points: Points, several: bool) -> dict[str, Any] | None:
    """The fastest point that fits, and what binds there."""
    some = np.flatnonzero(points.fits)
    if not len(some):
        return None
    best = int(some[np.argmax(points.fps[some])])
    return {**_told(points, best, several), "limit": _limit(points, best)}


def _limit(points: Points, best: int) -> str:
    """What keeps a faster design from the board: ALMs, RAM blocks, DSP blocks or bandwidth."""
    plan = make_plan(
        points.choice(best).network, points.board, points.array(best), must_fit=False,
        depths=points.depth(best),
    )  # fmt: skip
    waits = sum(x.cycles.modelled for x in plan.layers if x.cycles.bound in ("weights", "image"))
    if waits > MOST * plan.modelled_cycles:
        return "bandwidth"
    faster = points.take((points.fps > points.fps[best]) & ~points.fits)
    alm, dsp, ram = (use.free for use in device_uses(points.board, 0, 0, 0, ("", "", "")))
    if len(faster):
        if (faster.alm > alm).all():
            return "ALMs"
        if (faster.ram_blocks > ram).all() or ((faster.alm <= alm) & (faster.dsp <= dsp)).any():
            return "RAM blocks"
        return "ALMs" if (faster.alm > alm).any() else "DSP blocks"
    return "the largest array" if points.whole else "ALMs"


def _told(points: Points, point: int, several: bool) -> dict[str, Any]:
    options: Mapping[str, int | float] = point_options(points, point, several)
    return {
        "options": option_text(options),
        "modelled_fps": round(float(points.fps[point]), 2),
        "alm": int(points.alm[point]),
        "alm_fraction": round(float(points.alm[point]) / points.board.alm, 4),
        "ram_blocks_at_least": int(points.ram_blocks[point]),
    }
