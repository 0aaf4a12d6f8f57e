"""The next group's weights are read early enough and late enough, in groups of any length."""

from __future__ import annotations

from itertools import pairwise

import pytest
from random_networks import Family, random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.lower_conv import WEIGHT_DISTANCE
from shiftforge.generator.conv.plan import array_for, make_plan


@pytest.mark.parametrize(
    ("seed", "family", "units", "pixels", "runs"),
    [
        (44, "two-term", 16, 5, 1), (53, "one-term", 16, 6, 1), (18, "multiplier", 16, 3, 1),
        (55, "mixed", 32, 8, 1), (199, "mixed", 16, 8, 2), (267, "mixed", 16, 4, 3),
        (243, "mixed", 16, 4, 4),
    ],
)  # fmt: skip
def test_short_groups_of_a_few_words(
    seed: int, family: Family, units: int, pixels: int, runs: int
) -> None:
    """Each has a group of some words that lasts no longer than a word must lie still."""
    model = random_network(seed, layers=8, family=family, multiplier_requant=seed % 2 == 1)
    plan = make_plan(model, load_board("s10gx2800"), array_for(model, units, pixels))
    short = [
        layer for layer in plan.steps for run in layer.conv.runs
        if run.groups > 1 and run.words > 1
        and run.iterations == run.take_first + WEIGHT_DISTANCE
    ]  # fmt: skip
    assert max(len(layer.conv.runs) for layer in short) == runs
    for layer in plan.steps:
        groups = [run for run in layer.conv.runs for _ in range(run.groups)]
        for own, after in pairwise(groups):
            # The next group takes its words one an iteration.
            last = own.take_first + (after.words - 1) * own.take_every
            assert own.iterations + after.words - 1 - last >= WEIGHT_DISTANCE
    found = next(p.distance for p in plan.proofs if p.promise.name == "conv-weights")
    assert found is not None and found >= WEIGHT_DISTANCE
