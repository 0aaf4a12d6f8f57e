"""What rounding errors cost in the output, and the orders that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrate_cases import small_graph, smooth_images
from numpy.typing import NDArray
from word_plans import stand_in

from shiftforge.quant.calibrate.channel_orders import channel_orders
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.importance import Gains, importance, sensitivities, two_term_gains
from shiftforge.quant.calibrate.network import one_thread, walk
from shiftforge.quant.capture.types import Activation, FloatConv, FloatGraph, FloatPool
from shiftforge.quant.graph.ties import channel_ties, fixed_ties
from shiftforge.quant.graph.types import Preprocess


def conv(
    name: str, source: str, out: str, weight: NDArray[np.float32], activation: Activation = "none"
) -> FloatConv:
    zeros = np.zeros(len(weight), np.float32)
    return FloatConv(name, name, source, out, weight, zeros, 1, (0, 0, 0, 0), 1, 1, activation)


def two_layers(classes: int, rng: np.random.Generator) -> FloatGraph:
    first = rng.normal(size=(5, 3, 1, 1)).astype(np.float32)
    second = rng.normal(size=(classes, 5, 1, 1)).astype(np.float32)
    preprocess = Preprocess(3, 4, 4, (0.5,) * 3, (0.5,) * 3)
    shapes = {"x": (3, 4, 4), "y": (5, 4, 4), "p": (5, 1, 1), "z": (classes, 1, 1)}
    nodes = (
        conv("a", "x", "y", first, "relu"),
        FloatPool("pool", "pool", "y", "p"),
        conv("b", "p", "z", second),
    )
    return FloatGraph("two", preprocess, "x", "z", shapes, nodes)


def test_sensitivities_match_the_derivatives_by_hand() -> None:
    rng = np.random.default_rng(0)
    graph = two_layers(1, rng)  # one logit: every probe is exact
    images = rng.normal(size=(7, 3, 4, 4)).astype(np.float32)
    found = sensitivities(graph, images, probes=2)
    assert found["b"] == pytest.approx([1.0])
    first, last = graph.nodes[0], graph.nodes[2]
    assert isinstance(first, FloatConv) and isinstance(last, FloatConv)
    alive = np.einsum("oc,nchw->nohw", first.weight[:, :, 0, 0], images) > 0
    slopes = alive * last.weight[0, :, 0, 0][None, :, None, None] / 16
    assert found["a"] == pytest.approx(np.square(slopes).sum((2, 3)).mean(0), rel=1e-4)


def test_probes_stand_for_all_logits() -> None:
    rng = np.random.default_rng(1)
    graph = two_layers(6, rng)
    images = rng.normal(size=(8, 3, 4, 4)).astype(np.float32)
    found = sensitivities(graph, images, probes=400)
    assert found["b"] == pytest.approx(np.ones(6))
    alone = np.zeros(5)
    for logit in range(6):
        last = graph.nodes[2]
        assert isinstance(last, FloatConv)
        single = replace(last, weight=last.weight[logit : logit + 1], bias=last.bias[:1])
        shapes = {**graph.shapes, "z": (1, 1, 1)}
        part = replace(graph, nodes=(*graph.nodes[:2], single), shapes=shapes)
        alone += sensitivities(part, images, probes=1)["a"]
    assert found["a"] == pytest.approx(alone, rel=0.1)


def test_the_last_layers_error_is_the_modelled_one() -> None:
    rng = np.random.default_rng(2)
    graph = two_layers(6, rng)
    images = rng.normal(size=(400, 3, 4, 4)).astype(np.float32)
    found = importance(graph, images)
    last = graph.nodes[2]
    assert isinstance(last, FloatConv)
    error = np.zeros((6, 5))
    error[2, 3] = 0.1
    pooled = [live["p"] for node, live in walk(graph, images) if node.name == "b"]
    change = np.asarray(pooled[0][:, :, 0, 0], np.float64) @ error.T
    measured = np.square(change - change.mean(0)).sum(1).mean()
    modelled = (found.outputs["b"][:, None] * found.inputs["b"] * np.square(error)).sum()
    assert measured == pytest.approx(modelled, rel=1e-4)


@pytest.mark.slow
def test_chunks_and_repeats_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_graph()
    images = normalise(smooth_images(4), graph.preprocess)
    with one_thread():
        once, again = importance(graph, images), importance(graph, images)
    for name in once.outputs:
        assert np.array_equal(once.outputs[name], again.outputs[name])
        assert np.array_equal(once.inputs[name], again.inputs[name])
    assert all((own >= 0).all() for own in once.inputs.values())
    # One image a chunk draws other signs, but measures the same.
    monkeypatch.setattr("shiftforge.quant.calibrate.importance._VALUES", 1)
    first = sensitivities(graph, images, probes=16)
    monkeypatch.undo()
    second = sensitivities(graph, images, probes=16)
    for name, own in first.items():
        assert own.sum() == pytest.approx(second[name].sum(), rel=0.5), name


def small_gains() -> dict[str, Gains]:
    graph = small_graph()
    found = importance(graph, normalise(smooth_images(2), graph.preprocess))
    return two_term_gains(graph, found, 4)


def test_gains_are_those_of_the_second_term() -> None:
    graph = small_graph()
    gains = two_term_gains(
        graph, importance(graph, normalise(smooth_images(2), graph.preprocess)), 4
    )
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            assert gains[node.name].shape == node.weight.shape
            assert (gains[node.name] >= 0).all() and np.isfinite(gains[node.name]).all()
            assert gains[node.name].any() and not gains[node.name][node.weight == 0].any()


def test_orders_are_permutations_shared_by_tied_tensors() -> None:
    graph = small_graph()
    gains = two_term_gains(
        graph, importance(graph, normalise(smooth_images(2), graph.preprocess)), 4
    )
    orders = channel_orders(graph, gains, stand_in()(graph, {}))
    ties, fixed = channel_ties(graph), fixed_ties(graph)
    assert len(orders) > 20
    for name, order in orders.items():
        assert order.dtype == np.int32 and ties[name] not in fixed
        assert np.array_equal(np.sort(order), np.arange(graph.shapes[name][0]))
        for other, first in ties.items():
            if first == ties[name]:
                assert np.array_equal(orders[other], order)
    assert graph.input not in orders and graph.output not in orders


def test_the_channel_of_most_gain_comes_first() -> None:
    rng = np.random.default_rng(3)
    graph = two_layers(6, rng)
    gains = {"a": np.zeros((5, 3, 1, 1)), "b": np.zeros((6, 5, 1, 1))}
    gains["a"][3] = 1.0
    gains["b"][:, 1] = 16.0  # a sixteenth of the positions, so a cycle of it is worth more
    orders = channel_orders(graph, gains, stand_in()(graph, {}))
    assert orders["y"].tolist() == orders["p"].tolist() == [1, 3, 0, 2, 4]
    assert set(orders) == {"y", "p"}
