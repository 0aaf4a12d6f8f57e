"""Traces: the first difference is the first one, groups are told, nothing compared never passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.sim.trace import (
    Groups,
    Stage,
    compare,
    divergence_text,
    first_divergence,
)


def stage(name: str, values: NDArray[Any], **more: Any) -> Stage:
    axes = ("row", "column")[-values.ndim :]
    return Stage(name, more.pop("axes", axes), lambda: values, **more)


def unread() -> NDArray[Any]:
    raise AssertionError("read although an earlier stage differs")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, unique=True),
    st.integers(0, 7),
)
def test_the_first_difference_is_the_lowest_position(
    places: list[tuple[int, int]], start: int
) -> None:
    want, got = np.zeros((3, 6), np.int64), np.zeros((3, 6), np.int64)
    for place in places:
        got[place] = -2
    later = Stage("later", ("row",), unread)
    found = first_divergence(
        [stage("x", want, start=start, label="map x"), later], [stage("x", got), later]
    )
    assert found is not None
    row, column = min(places)
    assert found.at == (("row", row + start), ("column", column))
    assert (found.got, found.want, found.differing, found.total) == (-2, 0, len(places), 18)
    assert f"map x: {len(places)} of 18 values differ" in str(found)


def test_values_of_groups_are_told_by_the_first_group() -> None:
    want, got = np.zeros((2, 6), np.int64), np.zeros((2, 6), np.int64)
    got[0, 5] = got[1, 0] = 1  # the first value in memory is of the second group
    heads = Groups("head", 1, 3)
    (found,) = compare(
        [stage("q", want, groups=heads, layer=2)], [stage("q", got, layer=2)]
    ).differences
    assert (found.groups, found.at, found.layer) == ((0, 1), (("row", 1), ("column", 0)), 2)
    assert found.place == "head 0, row 1, column 0"
    assert "in heads 0, 1" in str(found)


def test_every_stage_is_compared_by_sample_layer_and_name() -> None:
    a = [stage("x", np.arange(3), sample=s, layer=n) for s in (0, 1) for n in (0, 1)]
    b = [stage("x", np.arange(3) + s * n, sample=s, layer=n) for n in (1, 0) for s in (0, 1)]
    found = compare(a, [*b, stage("more", np.arange(9))])
    assert (found.values, found.mismatches) == (12, 3)
    assert [(d.sample, d.layer) for d in found.differences] == [(1, 1)]


def test_what_does_not_count_is_compared_all_the_same() -> None:
    found = compare([stage("x", np.arange(4), counted=2)], [stage("x", np.arange(4) % 3)])
    assert (found.values, found.mismatches) == (2, 1)


def test_another_shape_is_a_difference() -> None:
    want, got = stage("x", np.zeros((2, 3)), label="layer 0, x"), stage("x", np.zeros((2, 2)))
    found = first_divergence([want], [got])
    assert found is not None and found.at == ()
    assert str(found) == "layer 0, shape of x: 4, expected 6"


@pytest.mark.parametrize("got", [[], [stage("y", np.zeros(2))], [stage("x", np.zeros(0))]])
def test_nothing_compared_never_passes(got: list[Stage]) -> None:
    want = [stage("x", np.zeros(0 if got and got[0].name == "x" else 2))]
    for check in (compare, first_divergence):
        with pytest.raises(CheckFailed, match="nothing was compared"):
            check(want, got)  # type: ignore[operator]


def test_the_text_of_a_divergence() -> None:
    found = first_divergence([stage("x", np.zeros(2))], [stage("x", np.ones(2))])
    text = divergence_text(found, "golden", "pocl")
    assert text == (
        "golden and pocl first differ in x: 2 of 2 values differ, the first at column 0: 1, "
        "expected 0"
    )
    assert divergence_text(None, "a", "b") == "a and b agree in every element compared"
