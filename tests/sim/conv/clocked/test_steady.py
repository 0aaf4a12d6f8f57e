"""The steady-state frame, what it took, and where its cycles went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isclose

import pytest
from clocked_cases import CYCLES, STALLED, made_up, with_end

from shiftforge.errors import CheckFailed
from shiftforge.sim.conv.clocked.losses import GAP, PADDING, find_losses
from shiftforge.sim.conv.clocked.run import ClockedRun
from shiftforge.sim.conv.clocked.steady import SteadyFrame, steady

MACS, LANES = (20_000, 110_000, 37_000), 1008


def counted(
    extra: Callable[[int, int], int] = lambda frame, layer: 0,
) -> tuple[Callable[[int], ClockedRun], list[int]]:
    asked: list[int] = []

    def run(frames: int) -> ClockedRun:
        asked.append(frames)
        return made_up(frames, extra=extra)

    return run, asked


def test_a_slow_first_frame_is_not_the_steady_one() -> None:
    run, asked = counted(lambda frame, layer: 30 if frame == 0 else 0)
    found = steady(run)
    assert (asked, found.steady, found.frame) == ([3], True, 2)
    assert found.layers == (110, 160, 90)
    assert found.cycles == sum(found.layers) == 360
    assert found.latency == int(found.run.layer_ends[0, -1]) - 1 == 449


def test_frames_are_added_until_two_agree_in_every_layer() -> None:
    # The sums agree from the start, the layers only later.
    run, asked = counted(lambda frame, layer: (0, frame % 2, -(frame % 2))[layer] * (frame < 5))
    found = steady(run)
    assert asked == [3, 4, 5, 6]
    assert (found.steady, found.frame) == (True, 5)


def test_the_last_frame_may_be_faster() -> None:
    def run(frames: int) -> ClockedRun:
        return made_up(frames, extra=lambda frame, layer: -9 if frame == frames - 1 else 0)

    found = steady(run)
    assert (found.steady, found.run.frames, found.frame, found.cycles) == (True, 4, 2, 360)


def test_what_never_agrees_is_told() -> None:
    run, asked = counted(lambda frame, layer: frame)
    found = steady(run, most=5)
    assert (asked, found.steady, found.frame) == ([3, 4, 5], False, 4)


def test_frames_that_come_back_in_turn_are_steady() -> None:
    run, asked = counted(lambda frame, layer: frame % 3)
    found = steady(run, most=6)
    assert (asked, found.steady, found.frame) == ([3, 4, 5, 6], True, 5)


def test_more_frames_where_samples_are_more() -> None:
    run, asked = counted()
    assert steady(run, first=7, most=8).run.frames == 7
    assert asked == [7]


def test_books_that_do_not_balance_end_the_run() -> None:
    with pytest.raises(CheckFailed, match="frame 1, layer 0: ends at cycle 475"):
        steady(lambda frames: with_end(made_up(frames), 1, 0, 475))
    with pytest.raises(CheckFailed, match="has 2 frames, 3 were asked for"):
        steady(lambda frames: made_up(frames - 1))


def test_stalls_and_busy_cycles_are_of_the_frame() -> None:
    found = steady(counted()[0])
    assert found.stalls == {
        "loader": {}, "conv": {"operand": 2 * STALLED, "memory": STALLED}, "post": {"acc": 21},
    }  # fmt: skip
    assert found.busy["post"] == sum(own // 2 for own in CYCLES)


def lost(found: SteadyFrame) -> dict[str, tuple[float, int]]:
    return {loss.name: (loss.cycles, loss.layer) for loss in find_losses(found, MACS, LANES)}


def test_losses_add_up_to_what_an_ideal_array_would_save() -> None:
    found = steady(counted()[0])
    table = lost(found)
    ideal = sum(MACS) / LANES
    assert isclose(sum(cycles for cycles, _ in table.values()), found.cycles - ideal)
    assert table["conv stopped by operand"] == (2 * STALLED, 1)
    assert table["conv stopped by memory"] == (STALLED, 0)
    assert table[GAP][0] == found.cycles - found.busy["conv"] - 3 * STALLED
    padding = [cycles - 20 - STALLED - macs / LANES for cycles, macs in zip(CYCLES, MACS,
                                                                          strict=True)]  # fmt: skip
    assert table[PADDING] == (pytest.approx(sum(padding)), padding.index(max(padding)))
    order = [loss.cycles for loss in find_losses(found, MACS, LANES)]
    assert order == sorted(order, reverse=True)


def test_the_longest_gap_is_named() -> None:
    run = made_up(3)
    spans = tuple(
        replace(s, start=s.start + 9, stalled={"operand": 3})
        if (s.frame, s.layer, s.kernel) == (2, 1, "conv") else s
        for s in run.spans
    )  # fmt: skip
    assert lost(SteadyFrame(replace(run, spans=spans), 2, True))[GAP][1] == 1
