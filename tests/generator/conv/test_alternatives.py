"""What else an array's lanes could be made of: each line is the plan of such a network."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import with_random_variants

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.alternatives import Alternative, alternatives
from shiftforge.generator.conv.area import ALM_A_LANE, ALM_A_LANE_PACKED
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.weights import pack_weights
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat
from shiftforge.quant.graph.variants import own_share, with_variant

BOARD = load_board("a10gx1150")
ONE = ModelOptions(weight_format=ShiftFormat(4, 1, "S1"))
INTEGERS = tuple(
    f"int{bits}, multipliers in {place}"
    for bits, place in ((4, "logic"), (5, "logic"), (6, "logic"), (8, "logic"), (8, "DSP blocks"))
)


def planned(model: QuantizedModel) -> Plan:
    return make_plan(model, BOARD, array_for(model, 16, 3))


def found(model: QuantizedModel) -> dict[str, Alternative]:
    listed = alternatives(model, planned(model))
    assert len({a.weights for a in listed}) == len(listed)
    assert [a.built for a in listed].count(True) == 1
    return {a.weights: a for a in listed}


def with_one_term_in_the_first_layer(model: QuantizedModel) -> QuantizedModel:
    first = model.conv_nodes()[0]
    one = replace(first, weight=np.sign(first.weight).astype(np.int8))
    return replace(model, nodes=tuple(one if node is first else node for node in model.nodes))


def test_a_shift_model_beside_integers() -> None:
    model = with_one_term_in_the_first_layer(random_model(3))
    plan, listed = planned(model), found(model)
    assert plan.second_terms > 0
    one, own, two, *rest = listed
    assert (one, own) == ("shift, one term", f"shift, f = {plan.second_terms:.3f}")
    assert two.startswith("shift, two terms everywhere") and tuple(rest) == INTEGERS
    assert listed[own].built and listed[own].cycles == plan.modelled_cycles
    assert (listed[own].alm, listed[own].ram_blocks) == (plan.area.alm, plan.area.ram_blocks)
    assert 0 == listed[one].f < listed[own].f < listed[two].f <= 1
    assert listed[one].fps > listed[two].fps
    assert all(a.sqnr_db is None for a in listed.values()), "the file says nothing of it"
    dense = [a.weights for a in alternatives(random_model(3), planned(random_model(3)))]
    assert not any("everywhere" in name for name in dense), "they are the model's own"


@pytest.mark.parametrize("bits", [4, 8])
def test_integers_are_planned_as_if_they_were_the_models(bits: int) -> None:
    own = random_model(3, ModelOptions(weight_format=IntFormat(bits)))
    plan, other = planned(own), found(random_model(3, ONE))
    told = other[f"int{bits}, multipliers in logic"]
    assert told.weight_bytes == plan.beats.frame_bytes(plan.frame_words)
    assert told.cycles == plan.modelled_cycles
    lanes, kind = plan.array.lanes, ("soft", bits)
    soft = found(own)[f"int{bits}, multipliers in logic"]
    assert soft.alm - plan.area.alm == pytest.approx(
        lanes * (ALM_A_LANE[kind] - ALM_A_LANE["dsp", 8]), abs=1
    )
    assert told.alm - told.alm_packed == pytest.approx(
        lanes * (ALM_A_LANE[kind] - ALM_A_LANE_PACKED[kind]), abs=1
    )
    assert told.dsp == 0 and plan.area.dsp == lanes // 2
    listed = found(own)
    assert listed[f"int{bits}, multipliers in DSP blocks"].built
    assert listed["shift, one term"].f == 0


def test_choices_that_the_file_holds_have_their_sqnr() -> None:
    model = with_random_variants(random_model(1), 1, (0.0, 0.04, 0.25), 0.1)
    for share in (0.0, 0.1):
        listed = alternatives(chosen := with_variant(model, share), planned(chosen))
        known = sorted(a.sqnr_db for a in listed if a.sqnr_db is not None)
        assert known == pytest.approx([20.0, 20.04, 20.1, 20.25])
        (built,) = [a for a in listed if a.built]
        own = own_share(chosen)
        assert own is not None and built.sqnr_db == pytest.approx(own.sqnr_db)


@pytest.mark.parametrize("fmt", [ShiftFormat(4, 2, "S2"), IntFormat(4), IntFormat(8)])
def test_a_frames_weight_bytes_are_those_of_the_file(fmt: ShiftFormat | IntFormat) -> None:
    model = random_model(3, ModelOptions(weight_format=fmt))
    for units in (16, 32):
        plan = make_plan(model, BOARD, array_for(model, units, 3))
        words = [own.words for own in plan.layers]
        beats, rests = pack_weights(schedule(model).layers, words, plan.array, plan.beats)
        assert plan.beats.frame_bytes(plan.frame_words) == len(beats) + len(rests)


def test_a_board_without_room_is_told() -> None:
    model = random_model(3, ONE)
    plan = planned(model)
    few = replace(plan, board=replace(BOARD, dsp=3))
    listed = {a.weights: a for a in alternatives(model, few)}
    assert not listed[INTEGERS[-1]].fits and listed[INTEGERS[0]].fits


def test_generate_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_model(1)
    save_model(model, tmp_path / "m.safetensors")
    arguments = ["generate", str(tmp_path / "m.safetensors"), "--board", "a10gx1150", "--units"]
    arguments += ["16", "--pixels", "3", "-o", str(tmp_path / "d")]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["alternatives"] == [asdict(a) for a in alternatives(model, planned(model))]
    assert run(arguments) == 0
    told = capsys.readouterr().out
    assert all(told.count(a["weights"]) == 1 for a in report["alternatives"])
    assert "alternatives" not in json.loads((tmp_path / "d" / "plan.json").read_text())["totals"]


def test_weights_of_no_model_are_never_written() -> None:
    model = random_model(1)
    before = [conv.weight.copy() for conv in model.conv_nodes()]
    alternatives(model, planned(model))
    for conv, own in zip(model.conv_nodes(), before, strict=True):
        assert np.array_equal(conv.weight, own)
