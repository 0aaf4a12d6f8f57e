"""Depths of the channels: what can wait in them, counted one by one."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
from conv_walks import pace_times
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.depths import plan_channels
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.plan import Plan, StepPlan, array_for, make_plan
from shiftforge.generator.conv.records import Pace

BOARD = load_board("s10gx2800")
OPERANDS = 64


@cache
def planned(seed: int) -> Plan:
    rng = random.Random(seed)
    model = random_network(seed, layers=rng.randint(1, 9), sides=(1, rng.choice((6, 14, 22))))
    return make_plan(model, BOARD, array_for(model, rng.choice((16, 32)), rng.randint(1, 16)))


def most(times: list[int], within: int) -> int:
    """Of how many times at most do so many iterations take hold."""
    found = start = 0
    for end in range(len(times)):
        while times[end] - times[start] >= within:
            start += 1
        found = max(found, end - start + 1)
    return found


def times(pace: Pace, own: StepPlan, count: int) -> list[int]:
    """The first ``count`` iterations of a pace."""
    return pace_times(pace, max(1, own.post.groups))[:count]


@pytest.mark.parametrize("seed", range(80))
def test_results_and_skips_on_their_way_have_room(seed: int) -> None:
    plan = planned(seed)
    depth = {c.name: c.depth for c in plan.channels}
    latencies = plan.latencies
    for own in plan.steps:
        if own.controller.stores:
            results = times(own.controller.results, own, own.controller.stores)
            # Those whose last operand was sent and that are not read yet.
            assert most(results, latencies.round_trip) <= depth["result"]
        if own.controller.residual:
            skips = times(own.controller.skips, own, own.post.tiles_all)
            ahead = latencies.conv + 2 * latencies.channel + OPERANDS
            assert most(skips, ahead) <= depth["skip"]
    assert ("skip" in depth) == any(own.controller.residual for own in plan.steps)


@pytest.mark.parametrize("seed", range(0, 80, 8))
def test_channels_are_powers_of_two_between_other_kernels(seed: int) -> None:
    kernels = {"loader", "feeder", "params", "controller", "conv", "post"}
    channels = planned(seed).channels
    assert len({c.name for c in channels}) == len(channels)
    for channel in channels:
        assert channel.depth >= 8 and channel.depth & (channel.depth - 1) == 0
        assert {channel.writer, channel.reader} <= kernels and channel.writer != channel.reader
    assert {c.name for c in channels} - {"skip"} == {
        "image", "operand", "weight", "param", "acc", "result",
        "program_controller", "program_conv", "program_post",
    }  # fmt: skip


def test_longer_latencies_take_deeper_channels() -> None:
    plan = next(p for p in map(planned, range(80)) if any(c.name == "skip" for c in p.channels))
    passes = [(own.controller, own.conv, own.post) for own in plan.steps]
    short, long = (
        {c.name: c.depth for c in plan_channels(passes, [lag] * len(passes), latencies)}
        for latencies in (Latencies(conv=1), Latencies(conv=2000))
        for lag in [latencies.round_trip]
    )
    assert long["result"] > short["result"] and long["skip"] > short["skip"]
    assert all(long[name] >= depth for name, depth in short.items())


def test_a_long_way_takes_deeper_channels_at_an_even_pace() -> None:
    plan = planned(3)
    passes = [(own.controller, own.conv, own.post) for own in plan.steps]
    for cycles, depth in ((1, 8), (3, 8), (4, 16), (10, 32)):
        found = plan_channels(passes, [200] * len(passes), Latencies(channel=cycles))
        assert {c.depth for c in found if c.name in ("acc", "param")} == {depth}


def test_the_fastest_results_decide() -> None:
    plan = planned(3)
    own = plan.steps[0]

    def depth(pace: Pace) -> int:
        controller = replace(own.controller, results=pace, stores=1000)
        found = plan_channels(
            [(controller, own.conv, own.post)], [Latencies().round_trip], Latencies()
        )
        return next(c.depth for c in found if c.name == "result")

    slow = Pace(0, 100, 100, 100, 100, tiles=4, inner=2, rows=5)
    assert depth(slow) == 8
    for name in ("every_tile", "every_inner", "every_row", "every_outer"):
        assert depth(replace(slow, **{name: 1})) == 256
    # An interval that never comes decides nothing.
    assert depth(replace(slow, every_tile=1, tiles=1)) == 8
