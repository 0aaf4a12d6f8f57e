"""The on-chip memory planner: MobileNetV2's figures, random chains, and planted overlaps."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.conv.memory import MemoryPlan, StoredMap, plan_memory, prove_no_overlap

# Expansion, output channels, blocks, stride of the first block: table 2 of the MobileNetV2 paper.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LINE_BYTES = 16 * 7


def lines_of(channels: int, side: int) -> int:
    return -(-channels // 16) * side * -(-side // 7)


def mobilenet_v2_maps(side: int = 224) -> list[StoredMap]:
    """One step a convolution; the residual addition is part of the projecting step."""
    sizes: list[tuple[str, int]] = []
    last_read: dict[int, int] = {}

    def store(name: str, channels: int, at: int, *reads: int) -> int:
        sizes.append((name, lines_of(channels, at)))
        step = len(sizes) - 1
        for source in reads:
            last_read[source] = step
        return step

    at = side // 2
    last = store("image", 27, at)
    last, channels = store("stem", 32, at, last), 32
    for stage, (expansion, out, blocks, first_stride) in enumerate(MOBILENET_V2):
        for block in range(blocks):
            name, skip = f"s{stage}b{block}", last
            stride = first_stride if block == 0 else 1
            if expansion != 1:
                last = store(f"{name}.expand", channels * expansion, at, last)
            at //= stride
            last = store(f"{name}.depthwise", channels * expansion, at, last)
            residual = (skip,) if stride == 1 and channels == out else ()
            last, channels = store(f"{name}.project", out, at, last, *residual), out
    last = store("head", 1280, at, last)
    last = store("pool", 1280, 1, last)
    return [
        StoredMap(name, lines, born, last_read.get(born, born))
        for born, (name, lines) in enumerate(sizes)
    ]


def live_bound(maps: list[StoredMap]) -> int:
    return max(
        sum(m.lines for m in maps if m.born <= step <= m.dies)
        for step in range(min(m.born for m in maps), max(m.dies for m in maps) + 1)
    )


def shares_lines(bases: dict[str, int], maps: list[StoredMap]) -> bool:
    return any(
        a.born <= b.dies
        and b.born <= a.dies
        and bases[a.name] < bases[b.name] + b.lines
        and bases[b.name] < bases[a.name] + a.lines
        for a, b in itertools.combinations(maps, 2)
    )


def smallest_possible(maps: list[StoredMap]) -> int:
    """The optimum. Items in order of their bases in an optimal plan, each at the lowest free
    place, end no higher than in that plan: so some order of first fit is optimal."""
    best = sum(m.lines for m in maps)
    for order in itertools.permutations(maps):
        bases: dict[str, int] = {}
        for new in order:
            base = 0
            for old in sorted((o for o in order if o.name in bases), key=lambda o: bases[o.name]):
                alive = old.born <= new.dies and new.born <= old.dies
                if alive and base + new.lines > bases[old.name]:
                    base = max(base, bases[old.name] + old.lines)
            bases[new.name] = base
        best = min(best, max(bases[m.name] + m.lines for m in maps))
    return best


@st.composite
def chains(draw: st.DrawFn, most: int = 24) -> list[StoredMap]:
    """A chain where each map is read by the next step and some again by a later one."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=most))
    maps = []
    for born, lines in enumerate(sizes):
        reach = draw(st.sampled_from([1, 1, 1, 2, 3, 5]))
        maps.append(StoredMap(f"m{born}", lines, born, min(born + reach, len(sizes) - 1)))
    return maps


def test_mobilenet_v2_reaches_the_bound_exactly() -> None:
    maps = mobilenet_v2_maps()
    plan = plan_memory(maps)
    assert len(maps) == 1 + 52 + 1  # the image, 52 convolutions before the classifier, the pool
    assert plan.total_lines == plan.lower_bound_lines == 13_440
    assert plan.total_lines * LINE_BYTES == 1_505_280
    assert plan.placement == "two ends"
    assert plan.symmetric_lines == 2 * 10_752
    # In the usual scheme a third buffer keeps the largest skipped map of a residual block.
    assert plan.symmetric_residual_lines == lines_of(24, 56)


@pytest.mark.parametrize("side", [32, 64, 96, 128, 160, 192, 224])
def test_mobilenet_v2_at_every_resolution(side: int) -> None:
    maps = mobilenet_v2_maps(side)
    plan = plan_memory(maps)
    assert plan.total_lines == plan.lower_bound_lines == live_bound(maps)


def test_residual_blocks_alone_peak_at_their_own_bound() -> None:
    maps = mobilenet_v2_maps()
    skipped = [m for m in maps if m.dies > m.born + 1]
    peak = max(
        sum(o.lines for o in maps if o.born <= step <= o.dies)
        for m in skipped
        for step in range(m.born + 1, m.dies + 1)
    )
    assert len(skipped) == 10
    assert peak * LINE_BYTES == 2 * lines_of(144, 56) * LINE_BYTES + lines_of(24, 56) * LINE_BYTES


def test_consecutive_maps_lie_at_opposite_ends() -> None:
    plan = plan_memory([StoredMap("a", 3, 0, 1), StoredMap("b", 7, 1, 2), StoredMap("c", 2, 2, 3)])
    assert plan.bases == {"a": 0, "b": 3, "c": 0}
    assert (plan.total_lines, plan.symmetric_lines) == (10, 14)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=60))
def test_chain_without_residuals_always_reaches_the_bound(sizes: list[int]) -> None:
    maps = [StoredMap(f"m{i}", n, i, i + 1) for i, n in enumerate(sizes)]
    plan = plan_memory(maps)
    assert plan.total_lines == live_bound(maps)
    assert plan.symmetric_residual_lines == 0


@given(chains())
@settings(deadline=None)
def test_random_residuals_never_share_lines(maps: list[StoredMap]) -> None:
    plan = plan_memory(maps)
    assert not shares_lines(plan.bases, maps)
    assert plan.lower_bound_lines == live_bound(maps) <= plan.total_lines
    assert all(0 <= plan.bases[m.name] <= plan.total_lines - m.lines for m in maps)
    assert plan_memory(maps) == plan


def test_small_plans_against_the_optimum_by_brute_force() -> None:
    # The rules are no exact search: about one such chain in several thousand misses the optimum.
    chance = random.Random(20240)
    missed = 0
    for _ in range(200):
        last = chance.randint(0, 5)
        maps = [
            StoredMap(
                f"m{born}",
                chance.randint(1, 40),
                born,
                min(born + chance.choice([1, 1, 1, 2, 3, 5]), last),
            )
            for born in range(last + 1)
        ]
        total, optimum = plan_memory(maps).total_lines, smallest_possible(maps)
        assert total >= optimum
        missed += total > optimum
    assert missed <= 1


def test_greedy_rules_take_over_where_opposite_ends_do_not_reach_the_bound() -> None:
    maps = [
        StoredMap("a", 7, 1, 3),
        StoredMap("b", 8, 3, 5),
        StoredMap("c", 9, 4, 5),
        StoredMap("d", 5, 0, 2),
        StoredMap("e", 4, 1, 5),
    ]
    plan = plan_memory(maps)
    assert plan.placement == "largest first, first fit"
    assert plan.total_lines == plan.lower_bound_lines == 21
    assert not shares_lines(plan.bases, maps)


def test_no_maps_need_no_lines() -> None:
    assert plan_memory([]) == MemoryPlan({}, 0, 0, 0, 0, "two ends")


@pytest.mark.parametrize("name", ["s1b0.expand", "s1b0.depthwise"])
@pytest.mark.parametrize("shift", [-1, 1])
def test_a_base_shifted_by_one_line_is_caught(name: str, shift: int) -> None:
    # These two fill the array together, so either of them moved by a line meets the other one
    # or leaves the array.
    maps = mobilenet_v2_maps()
    plan = plan_memory(maps)
    moved = dataclasses.replace(plan, bases={**plan.bases, name: plan.bases[name] + shift})
    with pytest.raises(CheckFailed, match=rf"'{re.escape(name)}'.* at step \d+"):
        prove_no_overlap(moved, maps)


def test_the_proof_names_both_maps_and_the_step() -> None:
    maps = [StoredMap("a", 4, 0, 1), StoredMap("b", 4, 1, 2), StoredMap("c", 4, 2, 2)]
    plan = plan_memory(maps)
    assert plan.bases == {"a": 0, "b": 4, "c": 0}
    broken = dataclasses.replace(plan, bases={"a": 0, "b": 3, "c": 0})
    with pytest.raises(CheckFailed, match=r"'a' at lines \[0, 4\) and 'b' at .* at step 1"):
        prove_no_overlap(broken, maps)
    outside = dataclasses.replace(plan, bases={"a": 0, "b": 5, "c": 0})
    with pytest.raises(CheckFailed, match=r"'b' .* leaves the array"):
        prove_no_overlap(outside, maps)
    with pytest.raises(CheckFailed, match="'c' has no base"):
        prove_no_overlap(dataclasses.replace(plan, bases={"a": 0, "b": 4}), maps)


@given(chains(most=10), st.data())
@settings(deadline=None)
def test_the_proof_agrees_with_a_pairwise_check(maps: list[StoredMap], data: st.DataObject) -> None:
    plan = plan_memory(maps)
    moved = data.draw(st.sampled_from(maps))
    base = data.draw(st.integers(0, plan.total_lines - moved.lines))
    changed = dataclasses.replace(plan, bases={**plan.bases, moved.name: base})
    if shares_lines(changed.bases, maps):
        with pytest.raises(CheckFailed, match="share lines at step"):
            prove_no_overlap(changed, maps)
    else:
        prove_no_overlap(changed, maps)


def test_too_small_a_capacity_states_the_size_needed() -> None:
    maps = mobilenet_v2_maps()
    assert plan_memory(maps, capacity_lines=13_440).total_lines == 13_440
    with pytest.raises(InputError, match=r"need 13440 lines on chip.*room for 13439") as caught:
        plan_memory(maps, capacity_lines=13_439)
    assert "block RAM" in caught.value.problems[0].remedy


def test_malformed_maps_are_all_listed() -> None:
    maps = [StoredMap("a", 0, 0, 1), StoredMap("b", 3, 4, 2), StoredMap("b", 3, 4, 5)]
    with pytest.raises(InputError) as caught:
        plan_memory(maps)
    assert len(caught.value.problems) == 3
