"""Layers paced by weight words in several beats: counted as modelled, and bytes as planned."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from clocked_runs import Counted, count
from conv_chains import chain
from conv_faults import TEXT, replace_text
from narrow_beats import ROOMY, SLOW, classifier, narrow_project
from random_networks import random_frames

from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.quant.graph.types import QuantizedModel


@cache
def network() -> QuantizedModel:
    return classifier()


def counted(folder: Path) -> Counted:
    return count(folder, random_frames(network(), 1))


@pytest.mark.device("pocl")
@pytest.mark.parametrize(
    ("units", "beats", "off"), [(8, 3, 0.01), pytest.param(24, 4, 0.02, marks=pytest.mark.slow)]
)
def test_a_classifier_takes_the_modelled_cycles(
    units: int, beats: int, off: float, tmp_path: Path
) -> None:
    """With 8 units a beat a cycle decides, with 24 the memory does, which parameters share."""
    plan = make_plan(network(), ROOMY, array_for(network(), units, 1))
    assert plan.beats.count == beats and plan.layers[-1].cycles.bound == "weights"
    own = counted(narrow_project(network(), tmp_path / "p", units, 1, board=ROOMY))
    assert own.found.steady and own.mismatches(network()) == []
    assert own.found.cycles == pytest.approx(plan.modelled_cycles, rel=off)
    assert own.found.run.traffic == plan.traffic_bytes
    assert units > 8 or own.deviations() == []


@pytest.mark.device("pocl")
def test_a_wider_beat_than_planned_is_seen(tmp_path: Path) -> None:
    folder = narrow_project(network(), tmp_path / "p", 8, 1)
    replace_text(folder, "const int bytes = 16;", "const int bytes = 22;")
    (told,) = counted(folder).deviations()
    assert told.startswith(network().conv_nodes()[-1].name)


@pytest.mark.device("pocl")
@pytest.mark.slow
def test_wide_beats_wait_no_longer_than_narrow_ones(tmp_path: Path) -> None:
    """Where who comes first would not have the memory first, beats of weights would keep wider
    ones of parameters away."""
    halved = {"out": 512, "kernel": 3, "groups": 512, "stride": 2, "padding": (0, 0, 1, 1)}
    model = chain(
        {"out": 512, "kernel": 1}, halved, halved, {"out": 160, "kernel": 1, "wide": True},
        channels=8, height=4, width=4,
    )  # fmt: skip
    folder = narrow_project(model, tmp_path / "p", 24, 1, board=SLOW)
    codes = random_frames(model, 1)
    fair = count(folder, codes).found
    path = folder / TEXT
    path.write_text(re.sub(r"claim = claim \? claim : \d;", "", path.read_text()))
    assert count(folder, codes).found.cycles > 1.03 * fair.cycles
