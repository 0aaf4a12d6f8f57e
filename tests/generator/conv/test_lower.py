"""Lowering to instructions: signed digits, and what the words of a layer say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.instruction import Instruction, instruction_fields
from shiftforge.generator.conv.lower import lower_layer, signed_digits
from shiftforge.generator.conv.plan import Plan, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.types import QuantizedModel


def test_signed_digits_up_to_seventeen_bits() -> None:
    for value in range(1 << 17):
        plus, minus = signed_digits(value)
        assert plus - minus == value
        both = plus | minus
        assert not plus & minus
        assert not both & (both >> 1)  # non-adjacent: no form has fewer digits
    assert signed_digits(1337) == (0b10101000001, 0b1000)  # 1/49 = 1337 / 65536


def test_negative_values_have_no_signed_digits() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        signed_digits(-1)


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return random_model(4, ModelOptions(height=21, width=18))


@pytest.fixture(scope="module")
def plan(model: QuantizedModel) -> Plan:
    return make_plan(model, load_board("a10gx1150"), ArrayShape(16, 7))


def test_the_fields_are_the_words(plan: Plan) -> None:
    names = [name for name, _ in instruction_fields()]
    words = plan.layers[3].instruction.words()
    assert len(words) == len(names) == len(set(names))
    assert dict(zip(names, words, strict=True))["in_base"] == plan.layers[3].instruction.in_base
    assert all(comment for _, comment in instruction_fields())
    assert all(-(1 << 31) <= w < 1 << 31 for p in plan.layers for w in p.instruction.words())


def by_name(plan: Plan, name: str) -> Instruction:
    return next(p.instruction for p in plan.layers if p.name == name)


def test_geometry_of_the_layers(plan: Plan) -> None:
    stem = by_name(plan, "stem")
    assert (stem.mode, stem.in_channels, stem.in_groups, stem.weight_words) == (0, 27, 2, 3)
    assert (stem.in_rows, stem.in_tiles, stem.out_rows, stem.out_columns) == (10, 2, 10, 9)
    strided = by_name(plan, "block2.depthwise")
    assert (strided.mode, strided.stride, strided.pad_top, strided.pad_left) == (1, 2, 0, 0)
    assert (strided.in_groups, strided.out_groups, strided.weight_words) == (2, 2, 1)
    classifier = by_name(plan, "classifier")
    assert (classifier.direct, classifier.result_lines, classifier.low) == (1, 0, -(1 << 31))
    head = by_name(plan, "head")
    assert (head.pool, head.result_lines) == (1, 3)


def test_bases_are_the_memory_plan(plan: Plan, model: QuantizedModel) -> None:
    for planned, layer in zip(plan.layers, schedule(model).layers, strict=True):
        assert planned.instruction.in_base == plan.memory.bases[layer.input.name]
        if layer.skip is not None:
            assert planned.instruction.skip_base == plan.memory.bases[layer.skip.name]
        if not layer.direct:
            assert planned.instruction.out_base == plan.memory.bases[layer.result.name]
    stored = [p.instruction for p in plan.layers if not p.instruction.direct]
    assert [i.trace_base for i in stored] == [
        sum(before.result_lines for before in stored[:k]) for k in range(len(stored))
    ]


@pytest.mark.parametrize(
    ("own", "skip", "total", "shifts"),
    [(-5, -5, -5, (0, 0, 0, 0)), (-5, -7, -4, (2, 0, 0, 3)), (-7, -5, -5, (0, 2, 0, 2)),
     (-5, -5, -7, (0, 0, 2, 0)), (-2, -2, -17, (0, 0, 8, 0))],
)  # fmt: skip
def test_an_addition_becomes_shifts(
    own: int, skip: int, total: int, shifts: tuple[int, int, int, int], model: QuantizedModel
) -> None:
    layer = next(p for p in schedule(model).layers if p.add is not None)
    assert layer.skip is not None

    def moved(tensor: object, exponent: int) -> object:
        return replace(tensor, grid=replace(tensor.grid, exponent=exponent))  # type: ignore

    changed = replace(
        layer, conv_output=moved(layer.conv_output, own), skip=moved(layer.skip, skip),
        add_output=moved(layer.add_output, total),
    )  # type: ignore  # fmt: skip
    bases = dict.fromkeys(model.tensors, 0)
    i = lower_layer(changed, tile_layer(layer, ArrayShape(16, 7)), bases, 0)
    assert (i.add_left, i.skip_left, i.sum_left, i.sum_right) == shifts


def test_a_depthwise_layer_sends_no_line_that_no_window_needs() -> None:
    """Four rows at stride 2 without padding: one row of outputs, which needs three rows."""
    model = random_conv(
        1,
        ConvOptions(
            kernel=3,
            stride=2,
            groups="depthwise",
            in_channels=20,
            height=4,
            width=4,
            padding=(0, 0, 0, 0),
        ),
    )
    plan = make_plan(model, load_board("a10gx1150"), ArrayShape(16, 7))
    [layer] = plan.layers
    assert layer.tiling.in_groups == 2 and layer.instruction.in_rows == 4
    # one line a row; the last window's two further lines are zeros or the next row
    assert layer.instruction.operand_lines == min(4 + 2 + 3, 8)
