"""Records of layers against the layers' definition, iteration by iteration, and planted faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_chains import chain
from conv_machines import PaceState, controller_events
from conv_plans import BOARD, CASES, KINDS, planned, second_kinds
from conv_walk_check import walk_problems
from conv_walks import pace_times
from device_client import DeviceClient
from hypothesis import given
from hypothesis import strategies as st
from random_networks import PADDINGS, Family, random_frames
from tiers import thinned

from shiftforge.generator.conv.plan import Plan, StepPlan, array_for, make_plan
from shiftforge.generator.conv.records import Pace, Run
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.golden.conv.network import run_golden

COUNTS = st.integers(1, 4)
WAITS = st.integers(1, 9)


@given(
    st.builds(
        Pace, st.integers(0, 9), WAITS, WAITS, WAITS, WAITS,
        tiles=COUNTS, inner=COUNTS, rows=COUNTS,
    ),
    COUNTS,
)  # fmt: skip
def test_a_pace_is_its_nested_loops(pace: Pace, outer: int) -> None:
    expected = pace_times(pace, outer)
    state, found = PaceState(pace), []
    for i in range(expected[-1] + 1):
        if state.left == 0:
            found.append(i)
        state.step()
    assert found == expected
    assert pace_times(pace.later(5), outer) == [i + 5 for i in expected]


@pytest.mark.parametrize(("seed", "family"), thinned(CASES, 2))
def test_random_layers_walk_as_defined(seed: int, family: Family) -> None:
    layers, plan = planned(seed, family)
    assert walk_problems(plan, layers) == []


def test_second_words_of_every_kind_walk() -> None:
    found: set[str] = set()
    for seed, family in CASES:
        layers, plan = planned(seed, family)
        for layer, own in zip(layers, plan.steps, strict=True):
            found |= second_kinds(layer, own, plan)
    assert found == KINDS


def test_the_random_layers_are_of_every_kind() -> None:
    found: set[tuple[Any, ...]] = set()
    for seed, family in CASES:
        layers, plan = planned(seed, family)
        for layer, own in zip(layers, plan.steps, strict=True):
            found |= {
                (layer.mode, "pool" if layer.pool is not None else ""),
                (layer.mode, "residual" if layer.skip is not None else ""),
                (layer.mode, "one tile" if own.tiling.in_tiles == 1 else "tiles"),
                (layer.mode, "groups" if own.tiling.out_groups > 1 else "one group"),
                (layer.mode, "direct" if layer.direct else "stored"),
                ("streamed", plan.image.streamed),
            }
    wanted: set[tuple[Any, ...]] = {("streamed", True), ("streamed", False)}
    for mode in ("pointwise", "depthwise", "standard"):
        wanted |= {(mode, s) for s in ("pool", "residual", "one tile", "tiles", "groups", "direct")}
    assert wanted <= found


@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 40])
def test_every_geometry_walks_as_defined(
    groups: int, stride: int, padding: tuple[int, int, int, int]
) -> None:
    rng = random.Random(repr((groups, stride, padding)))
    for _ in range(2):
        model = chain(
            {"out": 40, "kernel": 3, "stride": stride, "groups": groups, "padding": padding},
            {"out": 20, "kernel": 1},
            channels=40, height=rng.randint(3, 7), width=rng.randint(3, 20),
        )  # fmt: skip
        plan = make_plan(model, BOARD, array_for(model, 16, rng.randint(1, 9)))
        assert walk_problems(plan, schedule(model).layers) == []


def test_a_lane_finds_its_column_in_three_lines() -> None:
    """Lines tile * stride - left, and two more: column origin + pixel * stride + tap of them."""
    for pixels in range(1, 17):
        for stride in (1, 2):
            for left in (0, 1):
                origin = pixels - 1 if left else 0
                for at in range(pixels * 3):
                    tile, pixel = divmod(at, pixels)
                    for tap in range(3):
                        x = at * stride - left + tap
                        column = origin + pixel * stride + tap
                        first = tile * stride - left
                        assert 0 <= column < 3 * pixels
                        assert first * pixels + column == x


def _changes(record: Any) -> Iterator[tuple[str, Any]]:
    """(field, record with another number there)."""
    for own in fields(record):
        value = getattr(record, own.name)
        if isinstance(value, Pace | Run):
            for inner, changed in _changes(value):
                yield f"{own.name}.{inner}", replace(record, **{own.name: changed})
        else:
            yield own.name, replace(record, **{own.name: value + 1})


def _with(plan: Plan, index: int, own: StepPlan) -> Plan:
    return replace(plan, steps=(*plan.steps[:index], own, *plan.steps[index + 1 :]))


def _unseen(plan: Plan, layers: tuple[Layer, ...], index: int, part: str) -> set[str]:
    """Fields that may change without a problem in their layer."""
    own, found = plan.steps[index], set()
    for name, record in _changes(getattr(own, part)):
        problems = walk_problems(_with(plan, index, replace(own, **{part: record})), layers, 1)
        if not problems:
            found.add(name)
        else:
            # Weights that come too early or late show in the layer that uses them.
            assert part == "conv" or problems[0].startswith(f"{own.name}: ")
    return found


# Values are not simulated, and these say nothing of the walk.
VALUES = {
    # What comes and goes through global memory has tests of its own (test_opencl_through).
    # So have kernels that are cut into windows, and blocks of channels (below).
    "controller": {"trace_base", "to_memory", "fetches", "fetch_every", "fetch_base",
                   "column", "column_step", "enlarge", "repeats_t", "repeats_y", "repeat_row",
                   *(f"{axis}{k}" for axis in "anty" for k in (6, 7, 8))},
    "conv": {"in_signed", "geometry", "column", "column_step", "more_rows", "more_columns",
             "further", "largest", "raises"},
    "post": {"low", "high", "exported", "skip_signed", "skip_left", "add_signed", "add_left",
             "sum_left", "sum_right", "add_low", "add_high", "pool_signed", "pool_low",
             "pool_high"},
}  # fmt: skip

_COUNTERS = {f"{axis}{k}" for axis in "anty" for k in (3, 4, 5)}
_ROWS = {
    "all_rows", "first_line", "first_t", "first_y", "in_rows", "in_tiles", "keeps",
    "row_length", "row_lines", "stride",
    *(f"fires.{f.name}" for f in fields(Pace)),
}  # fmt: skip
# The last run's reads are the layer's.
_LAST_RUN = {"run3.take_every", "run3.take_first"}
_ONE_INNER = {"results.every_inner", "skip_inner", "skips.every_inner", "store_inner"}
# Their results come at equal intervals, and a pool's are read when all lines are sent.
_ONE_PACE = {"results.tiles", "results.inner", "results.rows"}
UNUSED = {
    # Past the last counter and the last row nothing is sent.
    ("controller", "pointwise"): {
        *_COUNTERS, *_ONE_INNER, *_ONE_PACE, "groups", "in_rows", "in_tiles", "n2", "sends",
        "skips.rows", "skips.tiles", "zero_outside",
    },
    ("controller", "depthwise"): {
        "a4", "a5", "y4", "y5", "t4", "t5", "n3", "n4", "n5", "in_tiles", "sends", "skip_outer",
        "skips.every_outer", "skips.rows", "results.every_outer", "results.rows",
    },
    ("controller", "standard"): {
        *_ONE_INNER, *_ONE_PACE, "groups", "n5", "skip_tile", "skips.every_tile",
        "skips.rows", "skips.tiles", "zero_outside",
    },
    ("conv", "pointwise"): {*_ROWS, *_LAST_RUN, "last_lanes", "loads"},
    # Words end with the last channel; the first group's are read with its first window.
    ("conv", "standard"): {
        *_ROWS, *_LAST_RUN, "last_lanes", "run0.take_first", *(f"run{k}.tile" for k in range(4)),
    },
    # One group of weights; the layer ends with its last window.
    ("conv", "depthwise"): {
        "last_lanes", "lines", "run0.take_every", "run0.take_first", "run0.tile", "run0.words",
        "tiles",
        *(f"run{k}.{f.name}" for k in (1, 2, 3) for f in fields(Run) if f.name != "groups"),
    },
}  # fmt: skip
# Seeds and layers that use, together, all other fields.
EXAMPLES = {
    ("controller", "pointwise"): ((111, 2), (167, 3), (231, 0), (57, 0), (116, 1)),
    ("controller", "depthwise"): ((58, 1), (3, 2), (269, 0), (861, 2)),
    ("controller", "standard"): ((66, 1), (285, 1), (282, 1), (26, 2), (51, 1)),
    ("conv", "pointwise"): ((34, 4), (49, 0), (0, 5)),
    ("conv", "depthwise"): ((50, 4), (49, 1), (3, 1), (38, 4)),
    ("conv", "standard"): ((29, 7), (44, 6), (35, 5)),
    ("post", "pointwise"): ((121, 0),),
    ("post", "depthwise"): ((277, 0), (33, 1)),
    ("post", "standard"): ((225, 1),),
}


@pytest.mark.parametrize(
    ("part", "mode"),
    [
        pytest.param(*own, marks=[pytest.mark.slow] if own[0] == "controller" else [])
        for own in EXAMPLES
    ],
)
def test_a_wrong_number_in_any_field_is_seen(part: str, mode: str) -> None:
    unseen = []
    for seed, index in EXAMPLES[part, mode]:
        # Those of the convolution unit have second words.
        layers, plan = planned(seed, "mixed" if part == "conv" else "two-term")
        assert layers[index].mode == mode
        unseen.append(_unseen(plan, layers, index, part))
    assert set.intersection(*unseen) <= VALUES[part] | UNUSED.get((part, mode), set())


def test_wrong_bases_are_seen() -> None:
    layers, plan = planned(3)
    moved = {name: base + 1 for name, base in plan.memory.bases.items()}
    wrong = replace(plan, memory=replace(plan.memory, bases=moved))
    found = walk_problems(wrong, layers)
    assert "conv0: results are stored elsewhere, or not each once" in found


def test_a_short_result_channel_is_seen() -> None:
    layers, plan = planned(3)
    assert walk_problems(plan, layers) == []
    short = tuple(replace(c, depth=2) if c.name == "result" else c for c in plan.channels)
    found = walk_problems(replace(plan, channels=short), layers)
    assert any("results wait" in text for text in found)


def test_a_stored_image_is_stored_once_a_line() -> None:
    """Lines come in the order row, tile, group and lie in the order group, row, tile."""
    seen = 0
    for seed, family in CASES:
        _, plan = planned(seed, family)
        own, image = plan.image_pass, plan.image
        if own is None:
            continue
        events = list(controller_events(own))
        base = own.out_base
        order = [
            base + (g * image.map_rows + y) * image.map_tiles + t
            for y in range(image.map_rows)
            for t in range(image.map_tiles)
            for g in range(image.map_groups)
        ]
        assert [(e.iteration, e.kind, e.address) for e in events] == [
            (i, "store", a) for i, a in enumerate(order)
        ]
        assert own.iterations == len(order) == own.stores
        seen += 1
    assert seen > 10


def last_lines_unused() -> QuantizedModel:
    """A depthwise layer whose last window ends before its row, and then many weight words.

    The layer is prolonged until they are read; no line comes in that time.
    """
    return chain(
        {"out": 32, "kernel": 1},
        {"out": 32, "kernel": 3, "stride": 2, "groups": 32, "padding": (1, 1, 0, 0)},
        {"out": 16, "kernel": 3, "padding": (1, 1, 1, 1)},
        {"out": 16, "kernel": 1},
        channels=16, height=2, width=5,
    )  # fmt: skip


def test_a_prolonged_layer_wants_no_line_more() -> None:
    model = last_lines_unused()
    plan = make_plan(model, BOARD, array_for(model, 16, 2))
    layers = schedule(model).layers
    conv, controller = plan.steps[1].conv, plan.steps[1].controller
    assert conv.iterations > controller.sends
    assert walk_problems(plan, layers) == []
    # One load more, and the unit waits for the row's last line.
    longer = replace(plan.steps[1], conv=replace(conv, loads=conv.loads + 1))
    assert walk_problems(_with(plan, 1, longer), layers) == [
        "conv1: iteration 25 wants a line and none is left"
    ]


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_a_prolonged_layer_runs_to_its_end(
    device: str, generated: Callable[..., Path], on_device: Callable[[str], DeviceClient]
) -> None:
    model = last_lines_unused()
    frames = random_frames(model, 1)
    found = on_device(device).run(generated(model, 16, 2), frames, trace=False)[model.output]
    assert np.array_equal(found, run_golden(model, frames)[model.output])
