"""Encoder layers on the whole unit's RTL: every stage against golden, and planted faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.encoder import LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layer, plan_layers
from shiftforge.generator.edgebert.rtl import render_processing_unit
from shiftforge.generator.edgebert.sentence import choose_layer_unit
from shiftforge.sim.edgebert.opencl import run as edgebert_run
from shiftforge.sim.edgebert.opencl.run import LayersRun
from shiftforge.sim.edgebert.rtl import encoder_cosim as module
from shiftforge.sim.edgebert.rtl.encoder_compare import compare_layer
from shiftforge.sim.edgebert.rtl.encoder_cosim import (
    cosim_layer,
    golden_unit,
    random_case,
)
from shiftforge.sim.edgebert.rtl.encoder_image import build_layer_image, numbers_of
from shiftforge.sim.edgebert.rtl.encoder_run import UnitRun, build_unit, parse_log, run_image
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory
from shiftforge.sim.golden.edgebert.encoder import encoder_layer

MEMORY_BITS = 16
RAGGED = LayerShape(13, 32, 2, 64)
SMALL = {"a_buffer": 2048, "b_buffer": 2048, "c_buffer": 2048, "aux_buffer": 1024}


def stages_equal(
    lanes: int,
    shape: LayerShape,
    seed: int = 1,
    memory: ExternalMemory | None = None,
    faulty: Any = None,
    skip: bool = False,
    **changes: Any,
) -> UnitRun:
    """Run a layer and compare every stage; raises CheckFailed at the first difference."""
    design = choose_layer_unit(lanes, shape, **changes)
    case = random_case(design.config, shape, seed, spans=True)
    if skip and case.layer.spans is not None:
        case.layer.spans[0] = 0
    plan = plan_layer(design, shape, numbers_of(case.layer, skip=skip))
    image = build_layer_image(plan, case.layer, case.x)
    bits = max(MEMORY_BITS, (plan.beats - 1).bit_length())
    text = None if faulty is None else faulty(render_processing_unit(design))
    run = run_image(build_unit(design, bits, replace=text), plan, image, memory)
    want = encoder_layer(case.x, case.layer, golden_unit(design))
    checks, first = compare_layer(plan, 0, run.layers[0], run.commands, want)
    if any(check.mismatches for check in checks):
        raise CheckFailed(f"{first} {[c.malformed for c in checks if c.malformed]}")
    assert sum(check.values for check in checks) > 0
    return run


def test_a_layer_of_af_weights() -> None:
    run = stages_equal(4, RAGGED)
    assert run.cycles >= sum(r.command.ideal_cycles for r in run.commands)
    # Commands follow each other without a gap, from start to done.
    assert run.commands[-1].end == run.cycles
    for r in run.commands:
        assert r.busy == r.command.ideal_cycles


def test_a_slow_memory_changes_cycles_alone() -> None:
    fast = stages_equal(4, LayerShape(6, 32, 2, 60))
    slow = stages_equal(4, LayerShape(6, 32, 2, 60), memory=ExternalMemory((2, 5), 90))
    assert slow.cycles > fast.cycles
    assert (slow.reads, slow.writes) == (fast.reads, fast.writes)


def test_skipped_heads_save_cycles() -> None:
    whole = stages_equal(4, RAGGED)
    fewer = stages_equal(4, RAGGED, skip=True)
    heads = [r.cycles for r in whole.commands if r.command.head == 0]
    assert len(heads) == 2 and len(fewer.commands) == 10
    assert fewer.cycles < whole.cycles - sum(heads) + 100


def test_a_layer_of_shift_weights_in_small_buffers() -> None:
    """Strips that leave and come again, two tiles in the tile buffer, mantissa-term passes."""
    stages_equal(4, LayerShape(27, 32, 2, 100), weights="shift", **SMALL)


def test_three_layers_in_one_program() -> None:
    design = choose_layer_unit(4, RAGGED)
    case = random_case(design.config, RAGGED, 2, spans=True)
    bias = case.layer.biases["input"]
    biases = {**case.layer.biases, "norm2": bias}
    layer = replace(case.layer, biases=biases)
    plan = plan_layers(design, RAGGED, [numbers_of(layer)] * 3)
    image = build_layer_image(plan, layer, case.x)
    run = run_image(build_unit(design, MEMORY_BITS), plan, image)
    x = case.x
    for index, got in enumerate(run.layers):
        want = encoder_layer(x, layer, golden_unit(design))
        checks, first = compare_layer(plan, index, got, run.commands, want)
        assert first is None and not any(check.mismatches for check in checks)
        x = want["norm2"]
    assert run.commands[-1].command.layer == 2


@pytest.mark.slow
def test_clocks_that_run_on_change_nothing() -> None:
    """The unit with its clocks gated, and as an FPGA has it."""
    gated = stages_equal(4, RAGGED)
    wire = change("pu_clock_gate.sv", "`ifdef SYNTHESIS", "`ifndef SYNTHESIS")
    ungated = stages_equal(4, RAGGED, faulty=wire)
    for one, other in zip(gated.commands, ungated.commands, strict=True):
        assert (one.end, one.busy, one.gated) == (other.end, other.busy, other.gated)
    assert (gated.reads, gated.writes) == (ungated.reads, ungated.writes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lanes", "shape", "changes"),
    [
        (2, LayerShape(7, 32, 2, 30), {"weights": "shift"}),
        (4, LayerShape(24, 256, 4, 128), {"aux_buffer": 2048}),
        (4, RAGGED, {"weights": "shift", "terms": 2, "accumulator": "exact"}),
        (8, LayerShape(21, 64, 4, 136), {"aux_buffer": 4096}),
        (16, LayerShape(40, 128, 2, 200), {"weights": "shift", "terms": 2}),
        (32, LayerShape(40, 128, 2, 200), {}),
    ],
)
def test_layers_of_every_width(lanes: int, shape: LayerShape, changes: dict[str, Any]) -> None:
    stages_equal(lanes, shape, **changes)


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "ideal"), [("af", 3_637_248), ("shift", 4_030_464)])
def test_albert_base(weights: Any, ideal: int) -> None:
    shape = LayerShape()
    design = choose_layer_unit(16, shape, weights=weights)
    report = cosim_layer(design, shape)
    assert report.mismatches == 0
    assert report.codes == 2_162_688
    assert report.ideal_cycles == ideal
    assert report.cycles <= 1.10 * ideal


def test_every_write_falls_into_its_command() -> None:
    design = choose_layer_unit(4, RAGGED)
    case = random_case(design.config, RAGGED, 1, spans=True)
    plan = plan_layer(design, RAGGED, numbers_of(case.layer))
    image = build_layer_image(plan, case.layer, case.x)
    run = run_image(build_unit(design, MEMORY_BITS), plan, image, times=True)
    assert run.written is not None
    (found,), tensors = run.layers, plan.layers[0].tensors
    assert np.count_nonzero(run.written >= 0) == run.writes
    for r in run.commands:
        for stage in r.command.stages:
            if stage in found.cycles:
                cycles = found.cycles[stage]
                cycles = cycles if r.command.head is None else cycles[r.command.head]
            elif stage in tensors:
                tensor = tensors[stage]
                if r.command.head is not None:
                    tensor = tensor.part(r.command.head)
                at = tensor.base, tensor.base + tensor.strips * tensor.pitch
                assert (run.written[tensor.desc : tensor.desc + tensor.strips] >= 0).all()
                cycles = run.written[slice(*at)]
                cycles = cycles[cycles >= 0]
            else:
                continue  # v^T under its other name
            assert len(cycles) and (r.start < cycles).all() and (cycles < r.end).all()


def change(name: str, old: str, new: str) -> Any:
    def faulty(text: dict[str, str]) -> dict[str, str]:
        assert old in text[name], f"{name} has changed"
        return {name: text[name].replace(old, new)}

    return faulty


@pytest.mark.parametrize(
    ("name", "old", "new", "place", "command"),
    [
        (
            "sfu_gelu.sv",
            "positive5_q - 32'(part_q)",
            "positive5_q + 32'(part_q)",
            "gelu of layer 0, ",
            "ffn1",
        ),
        pytest.param(
            "sfu_tiles.sv",
            "{fill_slot, fill_row}",
            "{fill_slot, fill_row ^ 2'd1}",
            "probabilities of layer 0, head 0, row tile 0",
            "scores 0",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pu_function.sv",
            ".gamma_i(gamma), .beta_i(beta)",
            ".gamma_i(gamma), .beta_i('0)",
            "norm1 of layer 0, row tile 0, column tile 0",
            "norm1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pu_function.sv",
            ".row_i(9'(",
            ".row_i(~9'(",
            "probabilities of layer 0, head 0, row tile 0",
            "scores 0",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_planted_faults_are_located(
    name: str, old: str, new: str, place: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tile, lane and cycle; the cycle lies in the run of the command that computes the stage."""
    design = choose_layer_unit(4, RAGGED)
    text = change(name, old, new)(render_processing_unit(design))
    true_build = module.build_unit
    monkeypatch.setattr(
        module, "build_unit", lambda *rest, **more: true_build(*rest, **more, replace=text)
    )
    report = cosim_layer(design, RAGGED, seed=1)
    told = report.divergence
    assert report.mismatches and told is not None
    assert f"first: {place}" in report.first and told["command"] == command
    assert told["lane"] == told["column"] % 4 and told["rtl"] != told["golden"]
    assert told["start"] < told["cycle"] < told["end"] <= report.cycles
    assert f"written in cycle {told['cycle']:,} (command {command}: " in report.first


def report_of(monkeypatch: pytest.MonkeyPatch, spoil: Any) -> module.LayerReport:
    """The report where the RTL's run is replaced by golden's stages, spoiled."""

    def run(program: Path, plan: Any, image: Any, *_: Any, **__: Any) -> UnitRun:
        case = random_case(plan.config, plan.shape, 3, spans=True)
        stages = encoder_layer(case.x, case.layer, golden_unit(plan.design))
        stages = {name: value.copy() for name, value in stages.items()}
        lines = "\n".join(
            f"COMMAND {i} cycles=100 busy=64 gated=0 wait_a=1 wait_b=2"
            for i in range(len(plan.commands))
        )
        commands, _ = parse_log(plan, lines + "\nDONE cycles=1300 reads=5 writes=6\n")
        malformed: dict[str, str] = {}
        spoil(stages, malformed)
        for name in malformed:
            del stages[name]
        found = module_stages(stages, malformed)
        return UnitRun((found,), commands, 1300, 5, 6, 0.5)

    monkeypatch.setattr(module, "build_unit", lambda *_, **__: Path("stand-in"))
    monkeypatch.setattr(module, "run_image", run)
    design = choose_layer_unit(4, RAGGED)
    return cosim_layer(design, RAGGED, seed=3)


def module_stages(stages: dict[str, Any], malformed: dict[str, str]) -> Any:
    from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages

    return LayerStages(stages, malformed, {"scores": np.full((2, 13, 4), 555)})


def test_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of(monkeypatch, lambda stages, malformed: None)
    assert (report.mismatches, report.first, report.divergence) == (0, "", None)
    assert (report.cycles, report.cycles_per_second) == (1300, 2600)
    totals = {total.name: total for total in report.commands}
    assert (totals["scores"].commands, totals["scores"].cycles) == (2, 200)
    assert totals["norm1"].ideal_cycles == 0
    # q, k, v^T, context, output, add1, norm1, ffn2, add2, norm2; scores, probabilities; ffn.
    assert report.codes == 10 * 13 * 32 + 2 * 2 * 13 * 13 + 2 * 13 * 64
    assert report.vectors == 9 * 13 * 8 + 32 * 4 + 2 * 2 * 13 * 4 + 2 * 13 * 16


def test_the_first_difference_is_located(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(stages: dict[str, Any], _: Any) -> None:
        stages["norm2"][0, 0] ^= 1
        stages["scores"][1, 12, 3] += 5
        stages["scores"][1, 6, 9] += 5
        stages["context"][2, 30] ^= 1

    report = report_of(monkeypatch, spoil)
    assert report.mismatches == 4
    told = report.divergence
    assert told is not None
    keys = ("stage", "layer", "head", "row_tile", "column_tile", "row", "column", "lane")
    assert [told[k] for k in keys] == ["scores", 0, 1, 1, 2, 6, 9, 1]
    assert told["rtl"] == told["golden"] + 5
    # q, k, v, then scores and context of head 0.
    assert (told["command"], told["start"], told["end"]) == ("scores 1", 500, 600)
    assert told["cycle"] == 555
    assert report.first == (
        "RTL differs from golden; first: scores of layer 0, head 1, row tile 1, column tile 2, "
        f"row 6, column 9 (lane 1): {told['rtl']} in RTL, {told['golden']} in golden; passed in "
        "cycle 555 (command scores 1: 500 to 600)"
    )


def test_a_malformed_tensor_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(stages: dict[str, Any], malformed: dict[str, str]) -> None:
        stages["norm2"][0, 0] ^= 1
        malformed["gelu"] = "row tile 1 of gelu: masks and descriptor disagree"

    report = report_of(monkeypatch, spoil)
    assert report.mismatches == 1 + 13 * 64
    assert report.first == (
        "RTL: row tile 1 of gelu: masks and descriptor disagree; first: gelu of layer 0; "
        "never written (command ffn1: 900 to 1,000)"
    )


@pytest.mark.parametrize("wrong", ["RTL", "golden", "OpenCL", "all"])
def test_who_of_three_differs(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    def kernels(design: Any, device: str, x: Any, layers: Any, unit: Any, **_: Any) -> Any:
        (layer,) = layers
        stages = {name: value.copy() for name, value in encoder_layer(x, layer, unit).items()}
        stages["gelu"][5, 5] ^= {"RTL": 0, "golden": 1, "OpenCL": 1, "all": 2}[wrong]
        return LayersRun((stages,), 1.0)

    def spoil(stages: dict[str, Any], _: Any) -> None:
        stages["gelu"][5, 5] ^= {"RTL": 1, "golden": 1, "OpenCL": 0, "all": 1}[wrong]

    monkeypatch.setattr(edgebert_run, "run_layers", kernels)
    true_cosim = module.cosim_layer
    monkeypatch.setitem(
        globals(), "cosim_layer", lambda *a, **k: true_cosim(*a, **k, opencl="pocl")
    )
    report = report_of(monkeypatch, spoil)
    names = [n for n in ("RTL", "golden", "OpenCL") if n != wrong]
    text = "RTL, golden and OpenCL differ"
    if wrong != "all":
        text = f"{wrong} differs from {names[0]} and {names[1]}"
    assert text in report.first
    assert report.opencl == "pocl" and report.opencl_seconds == 1.0


def test_a_run_that_stops_is_told_with_its_command() -> None:
    design = choose_layer_unit(4, RAGGED)
    case = random_case(design.config, RAGGED, 1, spans=False)
    plan = plan_layer(design, RAGGED, numbers_of(case.layer))
    line = "COMMAND {} cycles=9 busy=8 gated=0 wait_a=0 wait_b=0\n"
    with pytest.raises(CheckFailed, match=r"stopped at layer 0, v: [^$]*LIMIT"):
        parse_log(plan, line.format(0) + line.format(1) + "LIMIT command=2\n")
    done = "DONE cycles=18 reads=1 writes=1\n"
    with pytest.raises(CheckFailed, match="ran 2 of 12 commands"):
        parse_log(plan, line.format(0) + line.format(1) + done)
    with pytest.raises(CheckFailed, match="the RTL failed"):
        run_image(Path("/bin/false"), plan, np.zeros((plan.beats, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="no such files"):
        build_unit(design, MEMORY_BITS, replace={"none.sv": ""})
