"""Lowering to records: signed digits, bases, geometry, additions and what a record looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conv_chains import chain

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.lower_post import lower_post, signed_digits
from shiftforge.generator.conv.plan import Plan, StepPlan, make_plan
from shiftforge.generator.conv.records import (
    ConvPass,
    Pace,
)
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.turns import Turns
from shiftforge.generator.conv.walk import ROW_DISTANCE, walk_layer
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.types import QuantizedModel

ARRAY = ArrayShape(16, 7)


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
    return make_plan(model, load_board("a10gx1150"), ARRAY)


def test_a_later_pace_is_only_later() -> None:
    pace = Pace(3, 4, 5, 6, 7, 8, 9, 10)
    assert pace.later(20) == replace(pace, first=23)


def by_name(plan: Plan, name: str) -> StepPlan:
    return next(p for p in plan.steps if p.name == name)


def test_geometry_of_the_layers(plan: Plan) -> None:
    stem = by_name(plan, "stem")
    assert (stem.conv.mode, stem.conv.lines) == (0, 2)
    assert [(run.groups, run.words, run.twice) for run in stem.conv.runs] == [(1, 6, 3)]
    assert (stem.controller.in_rows, stem.controller.in_tiles) == (10, 2)
    assert (stem.post.rows, stem.post.tiles, stem.post.last_pixels) == (10, 2, 9 - 7)
    assert (stem.controller.from_image, stem.controller.base) == (1, 0)
    strided = by_name(plan, "block2.depthwise")
    assert (strided.conv.mode, strided.conv.stride, strided.conv.first_t) == (1, 2, 0)
    assert (strided.conv.groups, strided.post.groups) == (1, 2)
    assert (strided.conv.run0.words, strided.conv.run0.twice) == (4, 2)
    waits = by_name(plan, "block1.depthwise")
    assert (waits.conv.run0.words, waits.conv.run0.twice) == (4, 2)
    classifier = by_name(plan, "classifier")
    assert (classifier.post.direct, classifier.controller.stores) == (1, 0)
    assert (classifier.post.low, classifier.post.high) == (0, 0)
    head = by_name(plan, "head")
    assert (head.post.pool, head.controller.stores) == (1, 3)


def test_bases_are_the_memory_plan(plan: Plan, model: QuantizedModel) -> None:
    for planned, layer in zip(plan.steps, schedule(model).layers, strict=True):
        own = planned.controller
        if not own.from_image:
            corner = layer.top * own.in_tiles + layer.left if layer.mode == "standard" else 0
            assert own.base == plan.memory.bases[layer.input.name] - corner
        if layer.skip is not None:
            assert own.skip_base == plan.memory.bases[layer.skip.name]
        if not layer.direct:
            assert own.out_base == plan.memory.bases[layer.result.name]
    stored = [p.controller for p in plan.steps if not p.post.direct]
    assert [c.trace_base for c in stored] == [
        sum(before.stores for before in stored[:k]) for k in range(len(stored))
    ]


def test_a_stored_image_has_a_base() -> None:
    model = random_conv(3, ConvOptions(kernel=3, groups="depthwise", height=6, width=9))
    plan = make_plan(model, load_board("a10gx1150"), ARRAY)
    assert plan.image_pass is not None and not plan.image.streamed
    assert plan.image_pass.out_base == plan.memory.bases["input"] == plan.steps[0].controller.base
    assert plan.image_pass.trace_base == -1


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

    def moved(tensor: Any, exponent: int) -> Any:
        return replace(tensor, grid=replace(tensor.grid, exponent=exponent))

    changed = replace(
        layer, conv_output=moved(layer.conv_output, own), skip=moved(layer.skip, skip),
        add_output=moved(layer.add_output, total),
    )  # fmt: skip
    tiling = tile_layer(layer, ARRAY)
    post = lower_post(
        changed, tiling, walk_layer(layer, tiling), ARRAY, 0, Slice(1, ARRAY.pixels, 1),
        Turns(1, ARRAY.units, 1, ARRAY.units),
    )  # fmt: skip
    assert (post.add_left, post.skip_left, post.sum_left, post.sum_right) == shifts


def depthwise(height: int, width: int, stride: int, channels: int = 20) -> ConvPass:
    """Of a depthwise layer without padding that another layer follows."""
    own = {"out": channels, "kernel": 3, "stride": stride, "groups": channels}
    model = chain(
        {**own, "padding": (0, 0, 0, 0)}, {"out": 4, "kernel": 1},
        channels=channels, height=height, width=width,
    )  # fmt: skip
    layer, _ = make_plan(model, load_board("a10gx1150"), ARRAY).steps
    return layer.conv


def test_a_depthwise_layer_sends_no_row_that_no_window_needs() -> None:
    """Four rows at stride 2 without padding: one row of outputs, which needs three rows."""
    conv = depthwise(4, 4, 2)
    assert (conv.in_rows, conv.all_rows, conv.row_lines) == (4, 3, 2)


def test_short_rows_get_idle_iterations_by_whole_groups() -> None:
    short, long = depthwise(4, 4, 1), depthwise(4, 30, 1, channels=60)
    assert (short.row_lines, short.row_length) == (2, 16)
    assert (long.row_lines, long.row_length) == (20, 20)
    three = depthwise(5, 15, 1)  # two groups of three tiles
    assert (three.row_lines, three.row_length) == (6, 18)
    assert min(short.row_length, long.row_length, three.row_length) >= ROW_DISTANCE
