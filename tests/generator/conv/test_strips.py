"""Layers in strips: what steps read and make, the planner of a number of bytes, faults."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from conv_strip_check import strip_problems
from mobilenet import mobilenet_v2
from strip_networks import blocks, random_array, random_segments
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.conv.maps import map_lives, prove_steps
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.plan import Plan, StepPlan, array_for, make_plan
from shiftforge.generator.conv.segments import Segment, steps_of
from shiftforge.generator.conv.strips import fitting_plan, limited_plan

BOARD = load_board("s10gx2800")
SEEDS = range(60)


@cache
def random_strips(seed: int) -> tuple[Network, Plan]:
    """Blocks in random segments of random heights, on a random array."""
    rng = random.Random(seed)
    network = network_of(blocks(seed))
    array = random_array(network, seed)
    segments = random_segments(network, rng)
    return network, make_plan(network, BOARD, array, segments=segments, tight=rng.random() < 0.5)


@pytest.mark.parametrize("seed", thinned(SEEDS, 2))
def test_random_strips_walk_as_defined(seed: int) -> None:
    network, plan = random_strips(seed)
    assert strip_problems(plan, network.layers) == []


def test_the_random_strips_are_of_every_kind() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        network, plan = random_strips(seed)
        for own in plan.steps:
            layer = network.layers[own.index]
            strips = plan.layers[own.index].steps
            if strips == 1:
                continue
            seen[layer.mode] += 1
            seen[f"stride {layer.stride}"] += 1
            seen[f"top {layer.top}, left {layer.left}"] += layer.mode == "depthwise"
            seen["residual"] += layer.skip is not None
            seen["image"] += bool(own.controller.from_image)
            seen["one row"] += own.tiling.out_rows == 1
            seen["further in the line buffer"] += own.conv.first_line > 0
            seen["zeros alone"] += own.conv.first_y >= own.conv.in_rows > 0
            seen["second words"] += any(run.twice for run in own.conv.runs)
            last = own.conv.fires.time(own.conv.loads - 1) + 1
            seen["lines behind the last window"] += bool(own.conv.keeps) and (
                last < own.conv.iterations
            )
    assert len(seen) == 14 and min(seen.values()) > 0, seen


@cache
def mobilenet() -> Network:
    return network_of(mobilenet_v2(224))


@cache
def limited(limit: int) -> Plan:
    network, board = mobilenet(), load_board("a10gx1150")
    array = array_for(network, 16, 8)
    return limited_plan(network, board, array, limit)


@pytest.mark.parametrize("limit", [400_000, 700_000])
def test_mobilenet_v2_within_a_number_of_bytes(limit: int) -> None:
    plan = limited(limit)
    whole = make_plan(mobilenet(), plan.board, plan.array, must_fit=False)
    assert plan.map_bytes <= limit < whole.map_bytes
    assert plan.map_bytes == sum(plan.map_memories.values()) == plan.area.map_bytes
    assert plan.modelled_cycles <= 1.1 * whole.modelled_cycles
    assert plan.macs == whole.macs
    assert plan.memory.total_lines == plan.memory.lower_bound_lines


def test_fewer_bytes_take_more_invocations_and_cycles() -> None:
    plans = [limited(n) for n in (300_000, 400_000, 700_000)]
    assert [len(p.steps) for p in plans] == sorted((len(p.steps) for p in plans), reverse=True)
    cycles = [p.modelled_cycles for p in plans]
    assert cycles == sorted(cycles, reverse=True)


def test_maps_that_fit_run_whole() -> None:
    assert len(limited(2_000_000).steps) == len(mobilenet().layers)


@pytest.mark.slow
def test_too_few_bytes_are_refused_and_the_fewest_are_told() -> None:
    with pytest.raises(InputError) as caught:
        limited(20_000)
    [problem] = caught.value.problems
    fewest = int(problem.remedy.split()[1].replace(",", ""))
    told = re.search(r"on chip take ([\d,]+), .* at least ([\d,]+) were", problem.what)
    assert told is not None
    least, travelling = (int(own.replace(",", "")) for own in told.groups())
    assert fewest == travelling <= least
    assert limited(least).map_bytes <= least and not limited(least).through.bases
    # With fewer a map travels through global memory.
    for bytes_ in (least - 1, fewest):
        plan = limited(bytes_)
        assert plan.through.bases and plan.map_bytes <= bytes_


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ((Segment(1, 3, (2, 1, 7)),), "do not rise to"),
        ((Segment(1, 3, (2,)),), "do not rise to"),
        ((Segment(0, 99, (1,)),), "are no layers"),
        ((Segment(0, 2, (56, 112)), Segment(2, 3, (112,))), "share a layer"),
        ((Segment(0, 9, (56,)),), "cannot run in strips"),
    ],
)
def test_segments_that_make_no_sense(segments: tuple[Segment, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make_plan(mobilenet(), BOARD, array_for(mobilenet(), 16, 8), segments=segments)


def test_uneven_strips_of_the_image_are_refused() -> None:
    """The loader counts strips of one height between the first and the last."""
    segment = Segment(0, 2, (10, 21, 29, 112))
    with pytest.raises(InputError, match="strips of the image"):
        make_plan(mobilenet(), BOARD, array_for(mobilenet(), 16, 8), segments=(segment,))


def small() -> tuple[Network, Plan]:
    """A stem, a block with an addition in four strips, and a layer."""
    network, plan = random_strips(SMALL)
    return network, plan


SMALL = next(
    seed for seed in SEEDS
    if any(own.steps > 3 and "residual" in own.notes for own in random_strips(seed)[1].layers)
)  # fmt: skip


def changed(plan: Plan, number: int, part: str, **values: Any) -> Plan:
    """A plan with other numbers in a step's record."""
    own = plan.steps[number]
    step = replace(own, **{part: replace(getattr(own, part), **values)})
    return replace(plan, steps=(*plan.steps[:number], step, *plan.steps[number + 1 :]))


def strip_steps(plan: Plan, mode: str) -> list[tuple[int, StepPlan]]:
    return [
        (n, own) for n, own in enumerate(plan.steps)
        if own.mode == mode and own.first_row and plan.layers[own.index].steps > 1
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["base", "skip_base", "out_base", "trace_base"])
def test_a_strips_base_off_by_a_line_is_located(field: str) -> None:
    network, plan = small()
    for number, own in strip_steps(plan, "pointwise"):
        if field == "skip_base" and not own.controller.residual:
            continue
        wrong = changed(plan, number, "controller",
                        **{field: getattr(own.controller, field) + 1})  # fmt: skip
        found = strip_problems(wrong, network.layers, 1)
        # What is stored at a wrong place shows where it is read, or in the trace.
        reader = own.index + 1 if field == "out_base" else own.index
        names = (network.layers[reader].conv.name, own.name, "the trace")
        assert found and (field == "trace_base" or found[0].startswith(names)), found


@pytest.mark.parametrize(
    ("field", "change"), [("first_y", 1), ("first_y", -1), ("keeps", -1), ("first_line", 1)]
)
def test_a_dropped_row_of_an_overlap_is_located(field: str, change: int) -> None:
    network, plan = small()
    seen = 0
    for number, own in strip_steps(plan, "depthwise"):
        value = getattr(own.conv, field) + change
        if value < 0:
            continue
        found = strip_problems(changed(plan, number, "conv", **{field: value}), network.layers, 1)
        assert all(text.startswith(own.name) for text in found[:1])
        seen += bool(found)
    assert seen or field == "keeps"


def test_strips_that_share_lines_are_refused() -> None:
    network, plan = small()
    steps = steps_of(network.layers, [own.tiling for own in plan.layers], plan.segments)
    lives = map_lives(network.scheduled, plan.array, steps)
    name = next(name for name, own in lives.items() if len(own) > 1)
    prove_steps(plan.memory, network.scheduled, plan.array, steps)
    refused = 0
    for base in range(plan.memory.total_lines):
        moved = replace(plan.memory, bases={**plan.memory.bases, name: base})
        try:
            prove_steps(moved, network.scheduled, plan.array, steps)
        except CheckFailed as error:
            refused += 1
            assert re.search(f"map.* '{name}, strip .* (share lines at|leaves)", str(error))
    assert refused > plan.memory.total_lines / 2


def test_maps_too_large_for_the_board_run_in_strips() -> None:
    """As few as it takes: 512 x 512 images on an Arria 10."""
    network, board = network_of(mobilenet_v2(512)), load_board("a10gx1150")
    array = array_for(network, 16, 8)
    with pytest.raises(InputError, match="RAM blocks"):
        make_plan(network, board, array)
    whole = make_plan(network, board, array, must_fit=False)
    plan = fitting_plan(network, board, array)
    assert plan.map_bytes < whole.map_bytes / 3
    assert plan.modelled_cycles < 1.02 * whole.modelled_cycles
    assert plan.memory.total_lines == plan.memory.lower_bound_lines
    tight = fitting_plan(network, board, array, 1_500_000)
    assert tight.map_bytes <= 1_500_000


@pytest.mark.slow
def test_a_board_with_no_room_for_strips_sends_maps_away_or_is_refused() -> None:
    network, board = network_of(mobilenet_v2(512)), load_board("a10gx1150")
    with pytest.raises(InputError, match="RAM blocks"):
        fitting_plan(network, replace(board, ram_blocks=500), array_for(network, 16, 8))
