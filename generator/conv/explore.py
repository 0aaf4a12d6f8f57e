"""The designs of a network on boards: a design space modelled, and its Pareto front."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.conv.limits import limits_of
from shiftforge.generator.conv.options import FRAMES, PIXELS, UNITS, Options
from shiftforge.generator.conv.plan import Plan
from shiftforge.generator.conv.search import chosen_weights, nearest_problem
from shiftforge.generator.conv.sweep.front import front_of
from shiftforge.generator.conv.sweep.model import count_arrays, model_points
from shiftforge.generator.conv.sweep.points import (
    Choice,
    Points,
    Space,
    choices_of,
    depth_columns,
    point_options,
)
from shiftforge.generator.exploring import Exploration, FrontPoint
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["as_planned", "explore"]

_CUTS = 4
"""Sizes of the feature-map memory that arrays have about, whole maps among them."""


def explore(
    model: QuantizedModel, boards: tuple[Board, ...], options: Options, points: int
) -> Exploration:
    """See ``Explores``. A board without room for any design has none in the front."""
    choices = choices_of(model)
    several, wanted = len(choices) > 1, chosen_weights(choices, options)
    modelled = fitting = 0
    front: list[FrontPoint] = []
    seen: list[Points] = []
    refused: list[InputError] = []
    for board in boards:
        try:
            found = model_points(wanted, board, _space(wanted, board, points / len(boards)))
        except InputError as error:
            refused.append(error)
            continue
        modelled += len(found)
        seen.append(found)
        fitting += int(found.fits.sum())
        own = found.take(found.fits & limits_of(options, board).met(found))
        front += [_point(own, int(k), several) for k in front_of(own)]
    if not front:
        if not seen:
            raise refused[0]
        raise InputError([nearest_problem([own], limits_of(options, own.board)) for own in seen])
    return Exploration(modelled, fitting, tuple(front))


def _space(choices: tuple[Choice, ...], board: Board, points: float) -> Space:
    """As many depths of the channels as it takes for so many points."""
    space = Space(UNITS, PIXELS, FRAMES, strips=True)
    rows = max(1, count_arrays(choices, board, space))
    return replace(space, depths=depth_columns(ceil(points / rows / _CUTS)))


def _point(points: Points, k: int, several: bool) -> FrontPoint:
    board, row = points.board, points.rows[int(points.row[k])]
    sqnr = float(points.sqnr_db[k])
    return FrontPoint(
        board=board.name,
        options=point_options(points, k, several),
        fps=round(float(points.fps[k]), 2),
        latency_ms=round(float(points.latency_ms[k]), 6),
        alm=int(points.alm[k]),
        alm_fraction=round(float(points.alm[k] / board.alm), 4),
        ram_blocks=int(points.ram_blocks[k]),
        ram_fraction=round(float(points.ram_blocks[k] / board.ram_blocks), 4),
        ram_planned=False,
        sqnr_db=None if np.isnan(sqnr) else round(sqnr, 2),
        cycles=int(points.cycles[k]),
        facts={
            "f": round(row.f, 4),
            "lanes": row.array.lanes,
            "utilisation": round(float(points.utilisation[k]), 4),
            "map_bytes": int(points.map_bytes[k]),
        },
    )


def as_planned(point: FrontPoint, plan: Plan) -> FrontPoint:
    """The point with its plan's figures."""
    return replace(
        point,
        fps=round(plan.modelled_fps, 2),
        latency_ms=round(plan.batch_latency_ms, 6),
        alm=plan.area.alm,
        alm_fraction=round(plan.area.alm / plan.board.alm, 4),
        ram_blocks=plan.area.ram_blocks,
        ram_fraction=round(plan.area.ram_blocks / plan.board.ram_blocks, 4),
        ram_planned=True,
        cycles=plan.modelled_cycles,
        facts={**point.facts, "map_bytes": plan.area.map_bytes},
    )
