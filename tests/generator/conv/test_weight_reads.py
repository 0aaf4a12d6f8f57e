"""The next group's weights are read early enough and late enough, in groups of any length."""

from __future__ import annotations

import pytest
from random_networks import Family, random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.lower_conv import WEIGHT_DISTANCE
from shiftforge.generator.conv.plan import array_for, make_plan

FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier")


@pytest.mark.parametrize(
    ("seed", "units", "pixels"),
    [(45, 16, 7), (68, 16, 8), (103, 32, 8), (138, 16, 3), (198, 16, 7)],
)
def test_short_groups_of_a_few_words(seed: int, units: int, pixels: int) -> None:
    """Each has a group of some words that lasts no longer than a word must lie still."""
    model = random_network(
        seed, layers=8, family=FAMILIES[seed % 3], multiplier_requant=seed % 2 == 1
    )
    plan = make_plan(model, load_board("s10gx2800"), array_for(model, units, pixels))
    runs = [run for layer in plan.layers for run in layer.conv.runs if run.groups > 1]
    assert [r for r in runs if r.words > 1 and r.iterations == r.take_first + WEIGHT_DISTANCE]
    for own in runs:
        last = own.take_first + (own.words - 1) * own.take_every
        assert own.iterations + own.words - 1 - last >= WEIGHT_DISTANCE
    found = next(p.distance for p in plan.proofs if p.promise.name == "conv-weights")
    assert found is not None and found >= WEIGHT_DISTANCE
