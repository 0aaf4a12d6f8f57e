"""A design's neighbours are those that a model of every array finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.generator.conv import why
from shiftforge.generator.conv.depths import Depths
from shiftforge.generator.conv.options import PIXELS, UNITS
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.sweep import nearby
from shiftforge.generator.conv.sweep.model import model_points
from shiftforge.generator.conv.sweep.points import Choice, Points, Space, choices_of
from shiftforge.quant.graph.example import random_model

SLOW = pytest.mark.slow


def every(
    choice: Choice, board: Board, depths: Depths, frames: Sequence[int], alm: int, fps: float
) -> Points:
    return model_points([choice], board, Space(UNITS, PIXELS, tuple(frames), (depths,), True))


@pytest.mark.parametrize(
    ("seed", "board", "shape"),
    [
        (1, "a10gx1150", (8, 4, 2)),
        (2, "de10_nano", (8, 1, 1)),
        (4, "de10_nano", (16, 4, 1)),
        pytest.param(3, "s10gx2800", (48, 7, 8), marks=SLOW),
        *(pytest.param(seed, "a10gx1150", (16, 7, 1 + seed % 5), marks=SLOW) for seed in range(20)),
    ],
)
def test_neighbours_of_a_design(
    seed: int, board: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (choice, *_) = choices_of(random_model(seed))
    own = load_board(board)
    plan = make_plan(choice.network, own, array_for(choice.network, *shape), must_fit=False)
    told = why.explain((choice,), choice, plan)
    monkeypatch.setattr(why, "nearby", every)
    assert told == why.explain((choice,), choice, plan)


@pytest.mark.parametrize(
    ("seed", "board"),
    [(1, "a10gx1150"), *(pytest.param(n, "s10gx2800", marks=SLOW) for n in range(9))],
)
def test_more_frames_take_what_is_foretold(seed: int, board: str) -> None:
    """No array has fewer ALMs than it is ruled out by, nor a higher rate."""
    (choice, *_) = choices_of(random_model(seed))
    points = every(choice, load_board(board), Depths(), (1, 2, 3, 8, 16), 0, 0.0)
    known = points.take(points.frames <= 2)
    arrays = list(dict.fromkeys(points.array(n) for n in range(len(points))))
    found = {own.array: own for own in nearby._foretold(known, arrays)}
    assert {own for own in arrays if own.frames > 2} <= set(found)
    for n in np.flatnonzero(points.frames > 2):
        own = found[points.array(int(n))]
        assert own.least_alm <= points.alm[n] and points.fps[n] <= own.most_fps


def test_an_array_that_is_ruled_out_wrongly_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that promises too much costs an answer, which the comparison above would show."""
    (choice, *_) = choices_of(random_model(1))
    board = load_board("a10gx1150")
    plan = make_plan(choice.network, board, array_for(choice.network, 8, 4, 2), must_fit=False)
    right = why.explain((choice,), choice, plan)
    monkeypatch.setattr(nearby, "_MOST", 0.1)
    assert why.explain((choice,), choice, plan)["board"] != right["board"]
