"""The model of a design space: every point's cycles and area, many at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.board_fit import device_uses, fit_problems
from shiftforge.generator.conv.area import ALM_A_LANE, lane_kind
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.depths import SHORT, Depths
from shiftforge.generator.conv.latencies import Latencies, board_latencies, bytes_per_cycle
from shiftforge.generator.conv.plan import area_estimate, make_plan
from shiftforge.generator.conv.sweep.area import RowArea, row_area, strip_area
from shiftforge.generator.conv.sweep.cycles import model_rows
from shiftforge.generator.conv.sweep.points import Choice, Points, Space
from shiftforge.generator.conv.sweep.rows import Row, RowMaker, stack_rows

__all__ = ["Model", "count_arrays", "joined", "lanes_fit", "model_points", "no_room"]

Ints = NDArray[np.int64]


def model_points(choices: Sequence[Choice], board: Board, space: Space) -> Points:
    """Every point whose lanes the board has room for.

    Raises InputError with the smallest array's problems where it has room for none.
    """
    model = Model(choices, board, space.depths, space.strips)
    found = model.points([tuple(space.arrays(own.network)) for own in choices])
    if not found.rows:
        raise InputError(no_room(choices, board, space))
    return found


class Model:
    """The model of several sweeps of the same networks on a board; what they share is found once.

    depths: columns. strips: each array with less feature-map memory, too.
    """

    def __init__(
        self, choices: Sequence[Choice], board: Board, depths: tuple[Depths, ...], strips: bool
    ) -> None:
        self.choices, self.board, self.depths, self.strips = tuple(choices), board, depths, strips
        self._latencies = board_latencies(board)
        self._makers = [
            RowMaker(own.network, n, self._latencies) for n, own in enumerate(self.choices)
        ]

    def points(self, arrays: Sequence[Sequence[ArrayShape]]) -> Points:
        """Of the arrays of each choice, those whose lanes the board has room for."""
        latencies, rate = self._latencies, bytes_per_cycle(self.board)
        whole = True
        stacks: dict[tuple[int, ...], list[Row]] = defaultdict(list)
        for maker, wanted in zip(self._makers, arrays, strict=True):
            for array in wanted:
                if lanes_fit(array, self.board):
                    row = maker.row(array)
                    stacks[row.shape].append(row)
                else:
                    whole = False
        rows = [row for own in stacks.values() for row in own]
        if not rows:
            none = np.zeros(0, np.int64)
            return Points(
                self.board, self.choices, (), self.depths, row=none, column=none, cycles=none,
                alm=none, dsp=none, ram_blocks=none, map_bytes=none, whole=whole,
            )  # fmt: skip
        cycles = [model_rows(stack_rows(own, rate), self.depths, latencies)
                  for own in stacks.values()]  # fmt: skip
        counted = np.concatenate(cycles)
        if self.strips:
            cut = [(n, own) for n, row in enumerate(rows)
                   for own in self._makers[row.variant].in_strips(row)]  # fmt: skip
            added = np.array(
                [own.strips.added * _step_cycles(own, latencies) for _, own in cut
                 if own.strips is not None], np.int64,
            )  # fmt: skip
            more = counted[[n for n, _ in cut]] + added[:, None]
            rows, counted = [*rows, *(own for _, own in cut)], np.concatenate([counted, more])
        found = _points(self.choices, self.board, self.depths, tuple(rows), counted)
        return replace(found, whole=whole)


def joined(parts: Sequence[Points]) -> Points:
    """The points of several sweeps by one model."""
    first, starts = parts[0], np.cumsum([0, *(len(own.rows) for own in parts)])
    named = ("column", "cycles", "alm", "dsp", "ram_blocks", "map_bytes")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(own, name) for own in parts]) for name in named
    }
    return replace(
        first,
        rows=tuple(row for own in parts for row in own.rows),
        row=np.concatenate([own.row + n for own, n in zip(parts, starts[:-1], strict=True)]),
        whole=all(own.whole for own in parts),
        **columns,
    )


def _step_cycles(row: Row, latencies: Latencies) -> int:
    """Cycles that an invocation more of all kernels takes: what drains and is entered again.

    Plans of MobileNetV2 with up to 110 of them had 212 to 214 each, where this is 210 to 213.
    """
    return latencies.round_trip + latencies.reentry + int(np.max(row.entries.controller)) + SHORT


def count_arrays(choices: Sequence[Choice], board: Board, space: Space) -> int:
    """Of all choices, the arrays for whose lanes the board has room."""
    return sum(lanes_fit(array, board) for c in choices for array in space.arrays(c.network))


def lanes_fit(array: ArrayShape, board: Board) -> bool:
    """The lanes alone: what else there is needs the records."""
    alm, dsp, _ = device_uses(board, 0, 0, 0, ("", "", ""))
    kind = lane_kind(array)
    blocks = array.lanes / 2 if kind[0] == "dsp" else 0
    return array.lanes * ALM_A_LANE[kind] <= alm.free and blocks <= dsp.free


def _points(
    choices: tuple[Choice, ...], board: Board, depths: tuple[Depths, ...], rows: tuple[Row, ...],
    cycles: Ints,
) -> Points:  # fmt: skip
    shape = len(rows), len(depths)
    row, column = (own.ravel() for own in np.indices(shape))
    areas: list[RowArea] = []
    whole: dict[tuple[int, ArrayShape], RowArea] = {}
    for own in rows:
        key = own.variant, own.array
        if own.strips is None:
            whole[key] = row_area(board, choices[own.variant].network, own, depths)
        areas.append(whole[key] if own.strips is None else
                     strip_area(board, own, depths, whole[key]))  # fmt: skip

    def each(name: str) -> Ints:
        return np.concatenate([getattr(area, name) for area in areas])

    return Points(
        board, choices, rows, depths, row, column, cycles.ravel(), each("alm"), each("dsp"),
        each("ram_blocks"), each("map_bytes"),
    )  # fmt: skip


def no_room(choices: Sequence[Choice], board: Board, space: Space) -> list[Problem]:
    """Why the smallest array of a space does not fit."""
    network = choices[0].network
    smallest = min(space.arrays(network), key=lambda array: array.lanes)
    plan = make_plan(network, board, smallest, must_fit=False)
    return fit_problems(area_estimate(plan))
