"""Programs of encoder layers, executed command by command from the memory image alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unit_interpreter import Interpreter

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.encoder import LayerPlan, LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layer, plan_layers
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit, random_case
from shiftforge.sim.edgebert.rtl.encoder_image import build_layer_image, numbers_of
from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages, read_stages
from shiftforge.sim.edgebert.rtl.random_encoder import Case
from shiftforge.sim.golden.edgebert.encoder import STAGES, encoder_layer

SHAPES = {
    "whole": LayerShape(8, 32, 2, 64),
    "ragged": LayerShape(13, 32, 2, 63),
    "short": LayerShape(6, 32, 2, 60),
    "single": LayerShape(1, 16, 1, 9),
    "wide": LayerShape(21, 64, 4, 136),
}
UNITS: list[tuple[int, dict[str, Any]]] = [
    (4, {}),
    (4, {"weights": "shift"}),
    (8, {"weights": "shift", "terms": 2, "accumulator": "exact"}),
    (2, {"accumulator": "exact"}),
    (16, {}),
]


def execute(plan: LayerPlan, case: Case) -> list[LayerStages]:
    image = build_layer_image(plan, case.layer, case.x)
    interpreter = Interpreter(image, plan.design)
    assert interpreter.run(plan.program) == len(plan.commands)
    assert not interpreter.written[: plan.results].any()
    return read_stages(plan, image, "".join(f"{t}\n" for t in interpreter.taps).encode())


def check(plan: LayerPlan, case: Case, got: LayerStages) -> None:
    want = encoder_layer(case.x, case.layer, golden_unit(plan.design))
    assert not got.malformed
    assert set(got.stages) == set(STAGES)
    for stage in STAGES:
        assert np.array_equal(got.stages[stage], want[stage]), stage


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("lanes", "changes"), UNITS)
def test_every_stage(lanes: int, changes: dict[str, Any], shape: str) -> None:
    size = SHAPES[shape]
    if lanes == 16 and shape != "wide" and shape != "single":
        size = replace(size, heads=2, hidden=32)
    small = max(2048, 256 * lanes)
    config = UnitConfig(lanes=lanes, a_buffer=small, b_buffer=small, c_buffer=small, **changes)
    design = UnitDesign(config, SfuConfig(lanes=lanes))
    case = random_case(design.config, size, 3, spans=True)
    plan = plan_layer(design, size, numbers_of(case.layer))
    (got,) = execute(plan, case)
    check(plan, case, got)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_long_tensor_in_parts(parts: int) -> None:
    design = UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4))
    case = random_case(design.config, SHAPES["whole"], 4, spans=False)
    plan = plan_layer(design, SHAPES["whole"], numbers_of(case.layer), gelu_parts=parts)
    (got,) = execute(plan, case)
    check(plan, case, got)


def test_a_skipped_head_leaves_zeros() -> None:
    design, size = UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4)), SHAPES["ragged"]
    case = random_case(design.config, size, 5, spans=True)
    assert case.layer.spans is not None
    case.layer.spans[1] = 0
    numbers = numbers_of(case.layer, skip=True)
    assert numbers.skipped == {1}
    plan = plan_layer(design, size, numbers)
    (got,) = execute(plan, case)
    got.stages["scores"][1] = encoder_layer(case.x, case.layer, golden_unit(design))["scores"][1]
    check(plan, case, got)


@pytest.mark.parametrize("apart", [True, False])
def test_layers_in_one_program(apart: bool) -> None:
    """The output of one layer is the input of the next, with exponent biases of its own."""
    design, size = UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4)), SHAPES["ragged"]
    case = random_case(design.config, size, 6, spans=True)
    biases, cases, numbers = case.layer.biases, [], []
    for index in range(3):
        own = {**biases, "input": biases["input"] + index, "norm2": biases["input"] + index + 1}
        layer = replace(case.layer, biases={**own, "q": biases["q"] + index})
        cases.append(replace(case, layer=layer))
        numbers.append(numbers_of(layer))
    plan = plan_layers(design, size, numbers, apart=apart)
    image = build_layer_image(plan, case.layer, case.x)
    interpreter = Interpreter(image, design)
    if not apart:
        interpreter.written_once = False
    assert interpreter.run(plan.program) == 36
    found = read_stages(plan, image, "".join(f"{t}\n" for t in interpreter.taps).encode())
    x = case.x
    for given, got in zip(cases, found, strict=True):
        given = replace(given, x=x)
        want = encoder_layer(x, given.layer, golden_unit(design))
        assert np.array_equal(got.stages["ffn1"], want["ffn1"])
        if apart or given.layer is cases[-1].layer:
            check(plan, given, got)
        else:
            assert set(got.stages) == {"scores", "ffn1", "add1", "add2"}
        x = want["norm2"]


def broken(change: Any) -> LayerStages:
    """The stages of an image that was changed after the run."""
    design, size = UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4)), SHAPES["ragged"]
    case = random_case(design.config, size, 7, spans=False)
    plan = plan_layer(design, size, numbers_of(case.layer))
    image = build_layer_image(plan, case.layer, case.x)
    interpreter = Interpreter(image, design)
    interpreter.run(plan.program)
    taps = "".join(f"{t}\n" for t in interpreter.taps)
    taps = change(plan.layers[0].tensors, image, taps) or taps
    return read_stages(plan, image, taps.encode())[0]


def test_malformed_tensors_are_told() -> None:
    def change(tensors: Any, image: Any, _: str) -> None:
        q, k, vt, context = (tensors[name] for name in ("q", "k", "vt", "context"))
        image[q.desc + q.row_tiles + 2, 0] += 1
        image[k.base + k.stride // 8, 0] = 0
        image[vt.base + 1, 3] |= 0x80
        # The row past the end of the last row tile.
        last = context.base + 3 * context.pitch
        image[last, 0] |= 0x20
        image[context.desc + 3, 0] = 0

    found = broken(change)
    assert found.malformed["q"] == "part 1, row tile 2 of q: masks and descriptor disagree"
    assert found.malformed["k"] == "part 0, row tile 0 of k: a stored code is 0"
    assert "row tile 0 of vt" in found.malformed["vt"]
    assert "row tile 3 of context" in found.malformed["context"]
    assert "q" not in found.stages and "ffn2" in found.stages


def test_values_beyond_the_tensor_are_told() -> None:
    """A valid strip with a value in the row past the last token."""

    def change(tensors: Any, image: Any, _: str) -> None:
        norm2 = tensors["norm2"]
        at = norm2.base + 3 * norm2.pitch
        masks = norm2.stride // 8
        bits = np.unpackbits(image[at : at + masks].reshape(-1), bitorder="little")
        bits = bits.reshape(-1, 4)
        assert bits[0].all() and not bits[1].any()  # token 12, then padding
        bits[1] = 1
        image[at : at + masks] = np.packbits(bits, bitorder="little").reshape(masks, 4)
        count = int(image[norm2.desc + 3, 0])
        image[at + masks + count] = 5
        image[norm2.desc + 3, 0] = bits.sum(axis=0).max()

    assert broken(change).malformed == {"norm2": "norm2 is not zero past its last row or column"}


def test_taps_must_be_complete() -> None:
    with pytest.raises(CheckFailed, match="expected"):
        broken(lambda tensors, image, taps: taps[: taps.rindex("S")])
    with pytest.raises(CheckFailed, match="1 tap vectors more"):
        broken(lambda tensors, image, taps: taps + "S 9 00000000\n")


def test_layers_that_do_not_suit_the_plan() -> None:
    design, size = UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4)), SHAPES["ragged"]
    case = random_case(design.config, size, 8, spans=True)
    plan = plan_layer(design, size, numbers_of(case.layer))
    layer = case.layer
    wrong = replace(
        layer,
        q=replace(layer.q, kind="shift1"),
        k=replace(layer.k, codes=layer.k.codes[:-1]),
        norm1=replace(layer.norm1, gamma=layer.norm1.gamma * 100),
        norm2=replace(layer.norm2, beta=layer.norm2.beta[:-1]),
        spans=layer.spans[:, :-1],  # type: ignore[index]
    )
    with pytest.raises(InputError) as error:
        build_layer_image(plan, wrong, case.x)
    assert len(error.value.problems) == 5
    with pytest.raises(InputError, match="the plan has span masks"):
        build_layer_image(plan, replace(layer, spans=None), case.x)
    far = replace(layer, q=replace(layer.q, exponent=-80))
    with pytest.raises(InputError, match="post-shifts of q"):
        build_layer_image(plan, far, case.x)
