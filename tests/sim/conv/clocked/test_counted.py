"""The text with simulated time on devices: the reference's integers, and the model's cycles."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from clocked_runs import Counted, count
from conv_chains import chain
from mobilenet import mobilenet_v2
from random_networks import Family, random_frames, random_network
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.clocked.planned import read_planned

Generate = Callable[..., Path]

# seed, weight formats, a multiplier in requantisation, units, pixels
CASES: tuple[tuple[int, Family, bool, int, int], ...] = (
    (6, "two-term", False, 32, 1),  # standard layers with additions: the controller is the bound
    (9, "two-term", True, 16, 7),
    (10, "one-term", False, 32, 4),
    (17, "multiplier", True, 16, 4),  # the image and weights are late
)
WITHOUT = 3  # this one is also run at other latencies and damaged


@cache
def network(case: int) -> QuantizedModel:
    seed, family, multiplier, _, _ = CASES[case]
    return random_network(
        seed, family=family, multiplier_requant=multiplier, layers=12, sides=(4, 40),
        orders=case % 2 == 1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def counted(generated: Generate) -> Iterator[Callable[[int], Counted]]:
    """counted(case) -> its run on PoCL with every map; one run a case."""

    @cache
    def run(case: int) -> Counted:
        model, (seed, _, _, units, pixels) = network(case), CASES[case]
        return count(generated(model, units, pixels), random_frames(model, seed), check=True)

    yield run
    run.cache_clear()


@pytest.mark.device("pocl")
@pytest.mark.parametrize("case", thinned(range(len(CASES)), 2))
def test_random_networks(case: int, counted: Callable[[int], Counted]) -> None:
    own = counted(case)
    assert own.found.steady
    assert own.outputs.maps and own.mismatches(network(case)) == []
    assert own.deviations() == []


@pytest.mark.device("pocl", "intel-cpu")
@pytest.mark.parametrize("case", [0, 2])
def test_both_devices_count_the_same(
    case: int, counted: Callable[[int], Counted], generated: Generate
) -> None:
    model, (seed, _, _, units, pixels) = network(case), CASES[case]
    one = counted(case)
    frames = one.found.run.frames
    folder = generated(model, units, pixels)
    other = count(folder, random_frames(model, seed), "intel-cpu", frames=frames)
    assert other.mismatches(model) == []
    a, b = one.found.run, other.found.run
    assert (a.layer_ends == b.layer_ends).all() and (a.frame_starts == b.frame_starts).all()
    assert (a.spans, a.high_water, a.depths) == (b.spans, b.high_water, b.depths)


@pytest.mark.device("pocl")
@pytest.mark.slow
def test_longer_latencies_take_longer(
    counted: Callable[[int], Counted], generated: Generate
) -> None:
    """The plan is the same: half the latencies gain little, the round trip is waited for anyway."""
    model, (seed, _, _, units, pixels) = network(WITHOUT), CASES[WITHOUT]
    folder, codes = generated(model, units, pixels), random_frames(model, seed, 1)
    declared = counted(WITHOUT).found
    own = read_planned(folder).latencies
    half, double = (
        count(folder, codes, latencies=own.scaled(factor)).found for factor in (0.5, 2.0)
    )
    assert half.cycles < declared.cycles < double.cycles
    # Each stored result comes as many cycles later as one kernel takes longer.
    slow = count(folder, codes, latencies=replace(own, post=own.post + 40)).found
    stored = len(slow.layers) - 1
    assert 40 * stored * 0.9 <= slow.cycles - declared.cycles <= 40 * (stored + 2)


@pytest.fixture(scope="module")
def large() -> QuantizedModel:
    """More results than go into the channels between two of the controller's."""
    return random_model(5, ModelOptions(height=48, width=45))


def edited(folder: Path, pattern: str, new: str, to: Path) -> Path:
    shutil.copytree(folder, to)
    path = to / "device/accelerator.cl"
    text, found = re.subn(pattern, new, path.read_text())
    assert found == 1
    path.write_text(text)
    return to


@pytest.mark.device("pocl")
def test_a_depth_made_too_small_is_reported_by_name(
    large: QuantizedModel, generated: Generate, tmp_path: Path
) -> None:
    """At the plan's latencies the pipelines hold all results of a round trip; at half of them the
    channel has to."""
    folder = edited(
        generated(large, 16, 7), r"#define SF_HARDWARE_result \d+", "#define SF_HARDWARE_result 1",
        tmp_path / "p",
    )  # fmt: skip
    codes, latencies = random_frames(large, 1, 1), read_planned(folder).latencies.scaled(0.5)
    with pytest.raises(CheckFailed) as caught:
        count(folder, codes, latencies=latencies)
    told = str(caught.value)
    assert "post writes full channel result (depth 1)" in told
    assert "controller writes full channel operand (depth 64)" in told
    assert re.search(r"in frame 0, step \d+: ", told) and "result 1 of 1 after" in told
    assert count(generated(large, 16, 7), codes, latencies=latencies).found.steady


@pytest.mark.device("pocl")
@pytest.mark.slow
def test_a_short_channel_is_slow_and_never_too_full(
    large: QuantizedModel, generated: Generate, tmp_path: Path
) -> None:
    folder = edited(
        generated(large, 16, 7), r"#define SF_HARDWARE_skip \d+", "#define SF_HARDWARE_skip 1",
        tmp_path / "p",
    )  # fmt: skip
    codes = random_frames(large, 1, 1)
    found = count(folder, codes).found
    assert found.run.depths["skip"] == 1 == found.run.high_water["skip"]
    assert found.cycles > count(generated(large, 16, 7), codes).found.cycles


@pytest.mark.device("pocl")
def test_a_scheduler_that_fills_channels_too_far_is_caught(
    large: QuantizedModel, generated: Generate, tmp_path: Path
) -> None:
    folder = edited(
        generated(large, 16, 7), r">= SF_HARDWARE_operand;", ">= SF_HARDWARE_operand + 3;",
        tmp_path / "p",
    )  # fmt: skip
    with pytest.raises(CheckFailed, match="channel operand: held 67 words, its depth is 64"):
        count(folder, random_frames(large, 1, 1))


@pytest.mark.device("pocl")
def test_a_scheduler_with_another_latency_is_caught_by_the_model(
    large: QuantizedModel, generated: Generate, tmp_path: Path
) -> None:
    folder = edited(
        generated(large, 16, 7), r"(result_ready\[[^;]*now \+ post_latency);", r"\1 + 30;",
        tmp_path / "p",
    )  # fmt: skip
    codes = random_frames(large, 1, 1)
    good, slow = count(generated(large, 16, 7), codes), count(folder, codes)
    assert good.deviations() == []
    stored = sum(layer.cycles.modelled > 0 for layer in slow.plan.steps) - 1
    assert slow.found.cycles - good.found.cycles >= 30 * stored * 0.9
    assert len(slow.deviations()) > stored / 2


@pytest.mark.device("pocl")
def test_a_standard_layer_between_two_others(tmp_path: Path) -> None:
    """64 -> 64 channels, 3x3 at 28 x 28: the acceptance figure is 85 % of the lanes."""
    around = {"kernel": 3, "padding": (1, 1, 1, 1)}
    model = chain(
        {"out": 64, "kernel": 1}, {"out": 64, **around}, {"out": 64, "kernel": 1},
        channels=16, height=28, width=28, family="one-term",
    )  # fmt: skip
    generate(model, load_board("a10gx1150"), units=16, pixels=7).write(tmp_path / "p")
    found = count(tmp_path / "p", random_frames(model, 1, 1))
    assert found.plan.steps[1].mode == "standard"
    assert found.mismatches(model) == [] == found.deviations()
    assert found.utilisation(1) >= 0.85


def test_mobilenet_v2_at_224_is_modelled_above_85_percent() -> None:
    model = mobilenet_v2(224, terms=1)
    plan = make_plan(model, load_board("a10gx1150"), array_for(model, 16, 7))
    assert plan.utilisation >= 0.85


@pytest.mark.slow
@pytest.mark.device("pocl")
def test_mobilenet_v2_at_224(tmp_path: Path) -> None:
    model = mobilenet_v2(224, terms=1)
    generate(model, load_board("a10gx1150"), units=16, pixels=7).write(tmp_path / "p")
    found = count(tmp_path / "p", random_frames(model, 1, 1))
    assert found.mismatches(model) == [] == found.deviations()
    macs = sum(found.plan.macs)
    assert macs / (found.found.cycles * found.plan.totals.lanes) >= 0.85


@pytest.mark.slow
@pytest.mark.device("pocl")
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_networks(seed: int, generated: Generate) -> None:
    families: tuple[Family, ...] = ("two-term", "one-term", "multiplier")
    shapes = ((16, 7), (32, 4), (16, 1), (16, 3), (32, 8), (16, 8), (32, 1), (32, 7), (16, 4))
    model = random_network(
        seed, family=families[seed % 3], multiplier_requant=seed % 2 == 1, layers=12,
        sides=(4, 40), orders=seed % 4 < 2,
    )  # fmt: skip
    own = count(generated(model, *shapes[seed % 9]), random_frames(model, seed), check=True)
    assert own.mismatches(model) == []
    assert len(own.deviations()) <= 1, own.deviations()
