"""Activation grids and equalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibrate_cases import small_graph, smooth_images

from shiftforge.errors import InputError
from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids, input_grid, residual_groups
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph
from shiftforge.quant.graph.types import Grid, Preprocess


def prepared(count: int = 4) -> np.ndarray:
    return normalise(smooth_images(count), small_graph().preprocess)


def one_layer(gain: float) -> FloatGraph:
    weight = np.full((1, 1, 1, 1), gain, np.float32)
    node = FloatConv(
        "c", "c", "x", "y", weight, np.zeros(1, np.float32), 1, (0, 0, 0, 0), 1, 1, "relu6"
    )
    pre = Preprocess(1, 8, 8, (0.0,), (1.0,))
    # A second layer, because the grid of the network's output is not calibrated.
    last = replace(node, name="d", source="d", input="y", output="z", activation="none")
    shapes = {"x": (1, 8, 8), "y": (1, 8, 8), "z": (1, 8, 8)}
    return FloatGraph("one", pre, "x", "z", shapes, (node, last))


def test_input_grid_covers_the_normalised_range_to_one_code() -> None:
    half = Preprocess(3, 8, 8, (0.5,) * 3, (0.5,) * 3)
    assert input_grid(half) == Grid(8, True, -7)
    imagenet = Preprocess(3, 8, 8, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert input_grid(imagenet) == Grid(8, True, -5)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("bits", [4, 8])
def test_signs_bits_and_shared_exponents(method: str, bits: int) -> None:
    graph = small_graph()
    grids = calibrate_grids(graph, prepared(), bits=bits, method=method)  # type: ignore[arg-type]
    assert graph.output not in grids
    for node in graph.nodes:
        if node.output in grids:
            assert grids[node.output].bits == bits
            assert grids[node.output].signed == (getattr(node, "activation", "relu6") == "none")
        if isinstance(node, FloatAdd):
            exponents = {grids[name].exponent for name in (node.a, node.b, node.output)}
            assert len(exponents) == 1
    assert any(len(group) >= 3 for group in residual_groups(graph))


def test_relu6_that_reaches_six_is_code_192_at_least_by_range() -> None:
    images = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    graph = one_layer(8.0)
    assert calibrate_grids(graph, images, method="minmax")["y"] == Grid(8, False, -5)
    assert calibrate_grids(one_layer(3.0), images, method="minmax")["y"].exponent == -6


def test_mse_ignores_a_lone_outlier_where_minmax_does_not() -> None:
    images = np.full((1, 1, 200, 200), 0.01, np.float32)
    images += np.linspace(0, 0.01, 40000, dtype=np.float32).reshape(images.shape)
    images[0, 0, 0, 0] = 0.1
    graph = one_layer(1.0)
    wide = calibrate_grids(graph, images, bits=3, method="minmax")["y"].exponent
    assert calibrate_grids(graph, images, bits=3, method="mse")["y"].exponent < wide
    assert calibrate_grids(graph, images, bits=3, method="percentile")["y"].exponent < wide


def test_bad_options_are_all_listed() -> None:
    with pytest.raises(InputError) as caught:
        calibrate_grids(small_graph(), prepared(1), bits=9, method="best")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2


def test_a_network_that_overflows_is_refused_by_layer() -> None:
    graph = small_graph()
    first = graph.nodes[0]
    assert isinstance(first, FloatConv)
    broken = replace(first, bias=np.full_like(first.bias, np.nan))
    with pytest.raises(InputError, match="NaN"):
        calibrate_grids(replace(graph, nodes=(broken, *graph.nodes[1:])), prepared(1))


def outputs(graph: FloatGraph, images: np.ndarray) -> torch.Tensor:
    for _node, live in walk(graph, images):
        last = live
    return last[graph.output]


@pytest.mark.parametrize("mode", ["exact", "calibrated"])
def test_equalisation_keeps_the_function_and_evens_the_ranges(mode: str) -> None:
    graph, images = small_graph(), prepared()
    even = equalise(graph, images, mode=mode, strength=1.0)  # type: ignore[arg-type]
    assert any(
        not np.array_equal(a.weight, b.weight)
        for a, b in zip(graph.nodes, even.nodes, strict=True)
        if isinstance(a, FloatConv) and isinstance(b, FloatConv)
    )
    torch.testing.assert_close(outputs(graph, images), outputs(even, images), rtol=1e-3, atol=1e-3)


def test_exact_equalisation_holds_on_images_it_never_saw() -> None:
    graph = small_graph()
    even = equalise(graph, prepared(), mode="exact")
    other = normalise(255 - smooth_images(2, seed=9), graph.preprocess)
    torch.testing.assert_close(outputs(graph, other), outputs(even, other), rtol=1e-3, atol=1e-3)


def test_scaling_a_relu6_layer_freely_would_be_seen() -> None:
    """The planted fault: a factor across relu6 with no regard to its clip changes the function."""
    graph, images = small_graph(), prepared()
    nodes = list(graph.nodes)
    first, second = nodes[0], nodes[1]
    assert isinstance(first, FloatConv) and isinstance(second, FloatConv)
    nodes[0] = replace(first, weight=first.weight * 4, bias=first.bias * 4)
    nodes[1] = replace(second, weight=second.weight / 4)
    changed = outputs(replace(graph, nodes=tuple(nodes)), images)
    assert not torch.allclose(outputs(graph, images), changed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("gain", "told"), [(1e-22, "too small"), (1e-30, "too small")])
def test_activations_that_vanish_are_refused_by_layer(gain: float, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        calibrate_grids(one_layer(gain), np.ones((1, 1, 8, 8), np.float32))
    assert [p.where for p in caught.value.problems] == ["c (c)"]
    assert "trained weights" in caught.value.problems[0].remedy
