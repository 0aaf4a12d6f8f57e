"""Simulated time with frames in flight and with units of all sizes: the model counts the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clocked_runs import count
from random_networks import Family, random_frames, random_network
from tiers import thinned

from shiftforge.sim.conv.clocked.planned import read_planned
from shiftforge.sim.conv.clocked.report import ClockedReport

Generate = Callable[..., Path]

# seed, weight formats, units, pixels, frames in flight
CASES: tuple[tuple[int, Family, int, int, int], ...] = (
    (9, "two-term", 16, 3, 2),
    (17, "nibble", 24, 2, 3),
    (6, "mixed", 8, 4, 2),
    (10, "multiplier", 48, 2, 1),
)


@pytest.mark.device("pocl")
@pytest.mark.parametrize("case", thinned(range(len(CASES)), 2))
def test_random_networks_with_frames_in_flight(case: int, generated: Generate) -> None:
    seed, family, units, pixels, flight = CASES[case]
    model = random_network(seed, family=family, layers=10, sides=(4, 30))
    folder = generated(model, units, pixels, flight)
    # Images of a batch differ, and those of the next batch from them.
    own = count(folder, random_frames(model, seed, flight + 1), check=True)
    assert own.found.steady
    assert len(own.outputs.output) == flight * own.found.run.frames
    assert own.outputs.maps and own.mismatches(model) == []
    assert own.deviations() == []


@pytest.mark.device("pocl")
def test_rates_are_of_all_frames_and_latency_is_of_a_batch(generated: Generate) -> None:
    seed, family, units, pixels, flight = CASES[0]
    model = random_network(seed, family=family, layers=10, sides=(4, 30))
    folder = generated(model, units, pixels, flight)
    found = count(folder, random_frames(model, seed, 1)).found
    plan = read_planned(folder)
    told = ClockedReport(plan, found, found, found).to_dict()
    clock = plan.totals.clock_mhz
    assert (told["frames_in_flight"], told["frames"]) == (flight, flight * found.run.frames)
    assert told["fps"] == flight * clock * 1e6 / told["cycles"]
    assert told["latency_ms"] == found.latency / (clock * 1e3)
    assert told["utilisation"] == flight * sum(plan.macs) / (told["cycles"] * plan.totals.lanes)
    lost = sum(loss["cycles"] for loss in told["losses"])
    assert lost == pytest.approx(told["cycles"] * (1 - told["utilisation"]))
