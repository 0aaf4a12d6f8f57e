"""What a project reports is what the RTL runs: unit, memory map, commands, cycles."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_projects import make_project
from numpy.typing import NDArray

from shiftforge.generator.edgebert.encoder import LayerPlan
from shiftforge.generator.edgebert.sentence import choose_unit, memory_map, plan_sentence
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.file import load_package
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert import sentence_rtl
from shiftforge.sim.edgebert.rtl.operands import read_tensor


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its heads is off."""
    return make_project(tmp_path_factory.mktemp("albert") / "tiny", optimised=True)


class Caught(Exception):
    """Ends a run where the simulation would start."""


def started(
    network: IntegerAlbert, design: UnitDesign, monkeypatch: pytest.MonkeyPatch
) -> tuple[LayerPlan, NDArray[np.uint8]]:
    """What the simulation of a sentence as long as the network takes is given."""
    given: list[Any] = []

    def simulate(
        model: Path, plan: LayerPlan, image: NDArray[np.uint8], *_: Any, **__: Any
    ) -> None:
        given.append((plan, image))
        raise Caught

    monkeypatch.setattr(sentence_rtl, "build_unit", lambda *_, **__: Path("unit"))
    monkeypatch.setattr(sentence_rtl, "simulate", simulate)
    rtl = sentence_rtl.ClassifierRtl(design, network)
    with pytest.raises(Caught):
        rtl.run(np.arange(network.length) + 4)
    found: tuple[LayerPlan, NDArray[np.uint8]] = given[0]
    return found


def test_the_reported_memory_map_is_the_one_that_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_package(project / "network.safetensors").network
    manifest = json.loads((project / "shiftforge.json").read_text())
    design = UnitDesign(UnitConfig(**manifest["unit"]), SfuConfig(**manifest["sfu"]))
    # The board has blocks for the multipliers.
    chosen = choose_unit(network, design.config.lanes)
    assert design == replace(chosen, config=replace(chosen.config, multipliers="blocks"))
    ran, image = started(network, design, monkeypatch)
    told = json.loads((project / "plan.json").read_text())
    report = json.loads((project / "report.json").read_text())
    assert told["beats"] == len(image) and told["beat_bytes"] == image.shape[1]
    assert report["external_memory_bytes"] == image.size
    assert (told["program"], told["results"]) == (ran.program, ran.results)
    assert report["sentence_ideal_cycles"] == ran.ideal_cycles
    assert report["sentence_commands"] == len(ran.commands) == len(told["commands"])
    assert told["commands"] == [
        {"layer": c.layer, "name": c.label, "ideal_cycles": c.ideal_cycles} for c in ran.commands
    ]
    # No region meets another, and nothing that a run starts from lies outside of all.
    covered = np.zeros(len(image), dtype=np.int64)
    for region in told["memory"]:
        covered[region["first"] : region["first"] + region["beats"]] += 1
    assert covered.max() == 1
    assert not image[covered == 0].any()
    where = {region["name"]: region["first"] for region in told["memory"]}
    weights = {**network.linears, "ramp 2": network.ramps[2]}
    tensors = {**ran.place.weights, **plan_sentence(design, network, network.length).weights}
    for name in ("q", "ffn1", "mapping", "ramp 2"):
        assert where[f"weights {name}"] == tensors[name].desc
        assert np.array_equal(read_tensor(image, tensors[name], name), weights[name].codes)


@pytest.mark.parametrize("apart", [True, False])
def test_regions_of_the_memory_map_do_not_meet(project: Path, apart: bool) -> None:
    network = load_package(project / "network.safetensors").network
    plan = plan_sentence(choose_unit(network), network, network.length, apart=apart)
    found = memory_map(plan)
    assert [r.first for r in found] == sorted(r.first for r in found)
    for one, following in pairwise(found):
        assert one.first + one.beats <= following.first, (one, following)
    assert found[-1].first + found[-1].beats == plan.program.beats
    assert {"program", "weights q", "layer 0 norm2", "logits 0", "word"} <= {r.name for r in found}
