"""Many layers in one program by ``cosim_layer``: figures by layer, and faults in a later layer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.encoder import LayerPlan, LayerShape
from shiftforge.generator.edgebert.sentence import choose_layer_unit
from shiftforge.sim.edgebert.rtl import encoder_cosim as module
from shiftforge.sim.edgebert.rtl.encoder_cosim import (
    LayerReport,
    check_layer,
    cosim_layer,
    golden_unit,
    random_case,
)
from shiftforge.sim.edgebert.rtl.encoder_run import UnitRun, parse_log
from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages
from shiftforge.sim.edgebert.rtl.random_encoder import random_layers
from shiftforge.sim.golden.edgebert.encoder import encoder_layer

RAGGED = LayerShape(13, 32, 2, 64)


def stand_in(monkeypatch: pytest.MonkeyPatch, spoil: Any) -> LayerReport:
    """The report of three layers where golden's stages, spoiled, stand for the RTL's."""
    design = choose_layer_unit(4, RAGGED)

    def run(program: Path, plan: LayerPlan, image: Any, *_: Any, **__: Any) -> UnitRun:
        case = random_case(design.config, RAGGED, 3, spans=True)
        found, x = [], case.x
        for layer in random_layers(case, len(plan.layers)):
            stages = encoder_layer(x, layer, golden_unit(design))
            x = stages["norm2"]
            found.append(LayerStages({n: v.copy() for n, v in stages.items()}, {}))
        spoil(found)
        lines = "\n".join(
            f"COMMAND {i} cycles=100 busy=64 gated=0 wait_a=1 wait_b=2"
            for i in range(len(plan.commands))
        )
        commands, _ = parse_log(plan, lines + "\nDONE cycles=3700 reads=5 writes=6\n")
        return UnitRun(tuple(found), commands, 3700, 5, 6, 0.5)

    monkeypatch.setattr(module, "build_unit", lambda *_, **__: Path("stand-in"))
    monkeypatch.setattr(module, "run_image", run)
    return cosim_layer(design, RAGGED, layers=3, seed=3)


def test_layers_have_biases_of_their_own() -> None:
    case = random_case(choose_layer_unit(4, RAGGED).config, RAGGED, 3, spans=True)
    layers = random_layers(case, 4)
    assert layers[0] is case.layer
    for before, here in pairwise(layers):
        assert here.biases["input"] == before.biases["norm2"]
        assert here.q is case.layer.q
    assert len({tuple(layer.biases.items()) for layer in layers}) > 1


def test_the_figures_of_three_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    report = stand_in(monkeypatch, lambda found: None)
    assert report.layers == 3 and report.mismatches == 0 and report.first == ""
    assert [row.layer for row in report.by_layer] == [0, 1, 2]
    assert sum(row.values for row in report.by_layer) == report.codes
    assert sum(row.ideal_cycles for row in report.by_layer) == report.ideal_cycles
    assert sum(row.cycles for row in report.by_layer) == 3600
    assert sum(check.values for check in report.stages) == report.codes
    assert {c.name: c.commands for c in report.commands}["scores"] == 6
    assert report.ratio == pytest.approx(1 / report.utilisation)
    assert {"golden", "build", "simulate", "wait"} <= set(report.wall)


def test_a_difference_in_the_last_layer_is_located(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(found: list[LayerStages]) -> None:
        found[2].stages["ffn1"][5, 33] += 1

    report = stand_in(monkeypatch, spoil)
    assert report.mismatches == 1
    assert [row.mismatches for row in report.by_layer] == [0, 0, 1]
    told = report.divergence
    assert told is not None
    assert (told["layer"], told["stage"], told["row"], told["column"]) == (2, "ffn1", 5, 33)
    assert "layer 2" in report.first


def test_layers_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    design = choose_layer_unit(4, RAGGED)
    monkeypatch.setattr(module, "MOST_MEMORY_BITS", 14)
    check_layer(design, RAGGED, 2)
    with pytest.raises(InputError, match="8 layers take"):
        check_layer(design, RAGGED, 8)
    with pytest.raises(InputError, match="0 layers"):
        check_layer(design, RAGGED, 0)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["af", "shift"])
def test_three_layers_on_rtl_and_kernels(weights: Any, lowered: str) -> None:
    design = choose_layer_unit(4, RAGGED, weights=weights)
    report = cosim_layer(design, RAGGED, layers=3, opencl=lowered)
    assert report.mismatches == 0 and report.first == ""
    assert all(check.opencl == 0 for check in report.stages)
    assert sum(row.cycles for row in report.by_layer) == report.cycles


@pytest.mark.slow
def test_a_wrong_register_in_the_second_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has another exponent bias than golden: seen in its layer, with cycle and lane."""
    true_plan = module.plan_layers

    def planted(*rest: Any, **more: Any) -> LayerPlan:
        plan = true_plan(*rest, **more)
        commands = tuple(
            replace(c, registers={**c.registers, "frac": c.registers["frac"] - 1})
            if (c.layer, c.name) == (1, "attention_output")
            else c
            for c in plan.commands
        )
        return replace(plan, commands=commands)

    monkeypatch.setattr(module, "plan_layers", planted)
    design = choose_layer_unit(4, RAGGED)
    report = cosim_layer(design, RAGGED, layers=3)
    assert [row.mismatches > 0 for row in report.by_layer] == [False, True, True]
    told = report.divergence
    assert told is not None and (told["layer"], told["stage"]) == (1, "attention_output")
    assert told["start"] < told["cycle"] < told["end"]
