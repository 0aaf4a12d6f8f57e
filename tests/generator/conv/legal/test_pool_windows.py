"""Stages of pools along an axis: which places their windows hold, for all small axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from random_maps import random_maps
from random_networks import random_frames

from shiftforge.generator.conv.legal import legalise
from shiftforge.generator.conv.legal.windows import Axis, runs_natively, stages
from shiftforge.quant.graph.types import Conv, MaxPool
from shiftforge.sim.golden.conv.network import run_golden


def held(own: Axis) -> list[frozenset[int]]:
    """Places of the map in each window."""
    starts = [n * own.stride - own.before for n in range(own.count)]
    return [frozenset(range(max(0, a), min(own.size, a + own.kernel))) for a in starts]


def axes(most: int) -> Iterator[Axis]:
    """Every axis whose windows all hold a place."""
    for size in range(1, most):
        for kernel in range(1, 10):
            for stride in range(1, 6):
                for before in range(kernel):
                    for after in range(kernel + stride):
                        if size + before + after < kernel:
                            continue
                        own = Axis(size, kernel, stride, before, after, True)
                        if all(held(own)):
                            yield own
                            yield Axis(size, kernel, stride, before, after, False)


def test_stages_hold_the_places_of_the_windows() -> None:
    several = 0
    for own in axes(14):
        found = stages(own)
        if found is None:
            # What is not padded has stages, but for large steps of columns.
            assert own.padded or (own.wide and own.stride > 4), own
            continue
        reached = [frozenset([n]) for n in range(own.size)]
        for stage in found:
            assert stage.size == len(reached) and runs_natively(stage), own
            reached = [frozenset().union(*(reached[n] for n in part)) for part in held(stage)]
        assert reached == held(own), own
        several += len(found) > 1
    assert several > 1000


def test_pools_of_random_networks_keep_their_codes() -> None:
    made = 0
    for seed in range(60):
        model = random_maps(seed, nodes=10, kinds=(Conv, MaxPool))
        legal = legalise(model)
        frames = random_frames(model, seed)
        want, found = run_golden(model, frames), run_golden(legal.model, frames)
        for name in model.tensors:
            assert np.array_equal(want[name], found[name]), f"seed {seed}, {name}"
        for node in legal.model.nodes:
            if isinstance(node, MaxPool):
                assert max(node.kernel) <= 3
                made += 1
    assert made > 30
