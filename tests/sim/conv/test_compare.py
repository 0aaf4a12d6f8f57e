"""Comparisons find what differs, say where, and never pass on nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden_cases import random_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.cli.output import print_table
from shiftforge.errors import CheckFailed, InputError
from shiftforge.quant.graph.example import random_model
from shiftforge.sim.conv.checkpoints import comparison_table
from shiftforge.sim.conv.layers import compare_checkpoints, first_divergence, tensor_order
from shiftforge.sim.golden import run_golden
from shiftforge.sim.trace import divergence_text


def zeros(*names: str, shape: tuple[int, ...] = (2, 3, 4, 5), kind: Any = np.int8) -> Any:
    """A checkpoint of zero tensors."""
    return {name: np.zeros(shape, kind) for name in names}


def test_equal_checkpoints_of_different_types_agree() -> None:
    a, b = zeros("x", "y"), zeros("x", "y", kind=np.int64)
    assert first_divergence(a, b, ["x", "y"]) is None
    assert divergence_text(None, "golden", "pocl") == (
        "golden and pocl agree in every element compared"
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, n - 1) for n in (2, 3, 4, 5)]), min_size=1, unique=True),
    st.sampled_from(["x", "y"]),
)
def test_the_lowest_position_of_the_first_tensor_is_named(
    places: list[tuple[int, int, int, int]], tensor: str
) -> None:
    a, b = zeros("x", "y", "z"), zeros("x", "y", "z")
    b["z"][:] = 1
    for place in places:
        b[tensor][place] = -7
    found = first_divergence(a, b, ["x", "y", "z"])
    assert found is not None
    assert (
        found.index("frame"),
        found.index("channel"),
        found.index("row"),
        found.index("column"),
    ) == min(places)
    assert (found.stage, found.want, found.got) == (tensor, 0, -7)
    assert (found.differing, found.total) == (len(places), 120)


def test_the_order_decides_which_tensor_is_first() -> None:
    a, b = zeros("x", "y"), zeros("x", "y")
    b["x"][1, 2, 3, 4] = b["y"][0, 0, 0, 1] = 1
    for order in (["x", "y"], ["y", "x"]):
        found = first_divergence(a, b, order)
        assert found is not None
        assert found.stage == order[0]


def test_single_frames_have_frame_zero_and_extremes_keep_their_values() -> None:
    a = {"x": np.full((1, 1, 2), 255, np.uint8)}
    b = {"x": np.full((1, 1, 2), -1, np.int8)}
    found = first_divergence(a, b, ["x"])
    assert found is not None
    assert (found.index("frame"), found.want, found.got) == (0, 255, -1)


def test_tensors_of_one_side_only_are_left_out_but_unknown_names_are_not() -> None:
    a, b = zeros("x", "y"), zeros("y")
    a["x"][:] = 1
    assert first_divergence(a, b, ["x", "y"]) is None
    with pytest.raises(InputError, match="neither"):
        first_divergence(a, b, ["x", "y", "yy"])


@pytest.mark.parametrize(
    ("a", "b", "order", "kind", "message"),
    [
        ({}, {}, [], InputError, "no tensor to compare"),
        ({}, {}, ["x"], InputError, "neither"),
        (zeros("x"), zeros("x"), [], InputError, "no tensor to compare"),
        (zeros("x"), zeros("y"), ["x", "y"], InputError, "no tensor to compare"),
        (
            zeros("x", shape=(0, 1, 1, 1)),
            zeros("x", shape=(0, 1, 1, 1)),
            ["x"],
            InputError,
            "shape",
        ),
        (zeros("x", shape=(1, 0, 1)), zeros("x", shape=(1, 0, 1)), ["x"], InputError, "shape"),
        (zeros("x", shape=(4,)), zeros("x", shape=(4,)), ["x"], InputError, "shape"),
        (zeros("x"), zeros("x", shape=(2, 3, 5, 4)), ["x"], CheckFailed, "shapes"),
        (zeros("x"), zeros("x", shape=(1, 3, 4, 5)), ["x"], CheckFailed, "shapes"),
        (zeros("x", shape=(3, 4, 5)), zeros("x", shape=(1, 3, 4, 5)), ["x"], CheckFailed, "shapes"),
        (zeros("x", kind=bool), zeros("x"), ["x"], InputError, "bool"),
        (zeros("x", kind=object), zeros("x"), ["x"], InputError, "object"),
    ],
)
def test_nothing_to_compare_never_passes(
    a: Any, b: Any, order: list[str], kind: type[Exception], message: str
) -> None:
    model = random_model(0)
    model = replace(model, tensors=dict.fromkeys("xy", model.tensors["input"]))
    with pytest.raises(kind, match=message):
        first_divergence(a, b, order)
    with pytest.raises(kind, match=message):
        compare_checkpoints(a, b, order, model=model)


def test_real_values_are_not_compared_as_codes() -> None:
    with pytest.raises(InputError, match="integer codes"):
        first_divergence(zeros("x"), zeros("x", kind=np.float32), ["x"])


def test_layers_are_measured_in_real_values() -> None:
    model = random_model(2)
    name = model.input
    grid = model.tensors[name].grid
    codes = random_codes(np.random.default_rng(0), model.tensors[name], 4)
    real = np.ldexp(codes.astype(np.float64), grid.exponent)
    step = 2.0**grid.exponent

    (same,) = compare_checkpoints({name: real}, {name: codes}, [name], model=model)
    assert (same.mismatches, same.max_abs_diff, same.sqnr_db) == (0, 0.0, math.inf)
    assert same.exact
    assert same.total == codes.size

    # A fifth of a step everywhere moves no value to another code; three fifths move each one.
    (near,) = compare_checkpoints({name: real + 0.2 * step}, {name: codes}, [name], model=model)
    assert near.mismatches == 0
    assert near.max_abs_diff == pytest.approx(0.2 * step)
    signal = np.square(real + 0.2 * step).mean()
    assert near.sqnr_db == pytest.approx(10 * np.log10(signal / (0.2 * step) ** 2))
    inside = (codes < grid.qmax).sum()
    (far,) = compare_checkpoints({name: real + 0.6 * step}, {name: codes}, [name], model=model)
    assert far.mismatches == inside

    other = codes.copy()
    other[3, 0, 0, 1] ^= 4
    (two,) = compare_checkpoints({name: codes}, {name: other}, [name], model=model)
    assert (two.mismatches, two.max_abs_diff) == (1, 4 * step)
    assert not two.exact


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_fail(value: float) -> None:
    model = random_model(2)
    codes = np.zeros((1, *model.tensors["input"].shape), np.int8)
    real = codes.astype(np.float32)
    real[0, 0, 1, 1] = value
    for a, b in ((real, codes), (codes, real), (real, real)):
        with pytest.raises(CheckFailed, match="finite"):
            compare_checkpoints({"input": a}, {"input": b}, ["input"], model=model)


def test_tensors_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(InputError, match="holds no tensors"):
        compare_checkpoints(zeros("nn"), zeros("nn"), ["nn"], model=random_model(2))


def test_answers_are_printed_and_written_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    model = random_model(6)
    codes = random_codes(np.random.default_rng(6), model.tensors[model.input], 2)
    good = run_golden(model, codes)
    bad = {name: array.copy() for name, array in good.items()}
    tensor = model.nodes[2].output
    bad[tensor][1, 0, 0, 0] ^= 1
    order = tensor_order(model)
    assert order == (model.input, *(node.output for node in model.nodes))

    found = first_divergence(good, bad, order, model=model)
    assert found is not None
    text = divergence_text(found, "golden", "pocl")
    for part in (tensor, model.nodes[2].name, model.nodes[2].source, "frame 1", "golden", "pocl"):
        assert part in text
    written = json.loads(json.dumps(found.to_dict()))
    assert (written["tensor"], written["frame"], written["differing"]) == (tensor, 1, 1)

    layers = compare_checkpoints(good, bad, order, model=model)
    assert [layer.tensor for layer in layers if not layer.exact] == [tensor]
    rows = json.loads(json.dumps([layer.to_dict() for layer in layers], allow_nan=False))
    assert [row["exact"] for row in rows].count(False) == 1
    assert rows[0]["sqnr_db"] is None
    table = comparison_table(layers, "golden [a]", "pocl")
    print_table(table.title, table.columns, table.rows)
    page = capsys.readouterr().out
    for part in ("golden [a]", *order, model.nodes[2].source, "inf"):
        assert part in page
