"""Training under a scheme from post-training codes: budget, resumption, exact integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scheme_cases import PREPROCESS, images, network
from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Stage
from shiftforge.quant.models.recipe import Recipe
from shiftforge.quant.models.retrain import (
    Retrained,
    folded_from_codes,
    integer_accuracy,
    retrain,
    unit_groups,
)
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.folded import ParametrisedWeight, Schemed
from shiftforge.quant.schemes.shift import two_terms
from shiftforge.sim.golden.conv.network import run_golden

TARGET = 0.2
# Few steps: the limit is checked after each.
SCHEME = DTSSQ(target=TARGET, rescale=False, every=1)
RECIPE = Recipe(2, 0.01, batch=8, optimiser="adam", weight_decay=0.0, warmup=0.0, shift=0, distil=1)


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    return capture(network().eval(), (1, 12, 12), PREPROCESS, "small", tuple("abcd"))


def examples() -> Examples:
    labels = (np.arange(32) % 4).astype(np.int64)
    return Examples.of(images(), labels, PREPROCESS, torch.device("cpu"))


def convs(graph: FloatGraph) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node, FloatConv)]


def trained(graph: FloatGraph, folder: Path | None = None) -> Retrained:
    names = convs(graph)
    return retrain(
        graph, Schemed(SCHEME, {name: two_terms(SCHEME) for name in (names[0], names[-1])}),
        TrainingSet(examples(), examples()), RECIPE,
        PostTraining(dict.fromkeys(names, ShiftFormat(4, 2, "S2")), images()),
        stage=Stage(SCHEME.name, folder), teacher=network().eval(),
    )  # fmt: skip


def golden(model: QuantizedModel) -> NDArray[np.float64]:
    codes = to_codes(images(), PREPROCESS, model.tensors[model.input].grid)
    y = run_golden(model, codes)[model.output]
    return np.ldexp(y.astype(np.float64), model.tensors[model.output].grid.exponent)


def test_what_was_trained_is_the_integer_graph_and_a_changed_code_is_seen(
    graph: FloatGraph,
) -> None:
    found = trained(graph)
    real = torch.from_numpy(normalise(images(), PREPROCESS)).double()
    with torch.no_grad():
        wanted = found.network.double().eval()(real).numpy()
    np.testing.assert_array_equal(golden(found.model), wanted)
    assert list(found.accuracies) == ["start", "epoch 1", "epoch 2"]
    node = next(n for n in found.model.nodes if isinstance(n, Conv))
    weight = node.weight.copy()
    weight[0, 0, 1, 1] = 0 if weight[0, 0, 1, 1] else 64
    nodes = tuple(replace(node, weight=weight) if n is node else n for n in found.model.nodes)
    assert (golden(replace(found.model, nodes=nodes)) != wanted).any()
    scores = golden(found.model).reshape(32, -1).argmax(1)
    assert integer_accuracy(found.model, examples()) == np.mean(scores == np.arange(32) % 4)


def test_second_terms_stay_within_the_target(graph: FloatGraph) -> None:
    names = convs(graph)
    inner = [row for row in trained(graph).layers if row.scheme == SCHEME.name]
    assert len(inner) == len(names) - 2
    second = sum(row.term_histogram[2] * row.weights for row in inner)
    assert second <= TARGET * sum(row.weights for row in inner) + 1e-9


@pytest.mark.slow
def test_a_broken_run_ends_at_the_same_codes(graph: FloatGraph, tmp_path: Path) -> None:
    whole = trained(graph, tmp_path)
    (tmp_path / "dtssq4-002.safetensors").unlink()
    again = trained(graph, tmp_path)
    assert list(again.accuracies) == ["start", "epoch 2"]
    for one, other in zip(whole.model.conv_nodes(), again.model.conv_nodes(), strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)


def test_it_starts_at_the_codes_and_rates_follow_the_scales(graph: FloatGraph) -> None:
    formats = dict.fromkeys(convs(graph), ShiftFormat(4, 2, "S2"))
    free = DTSSQ(target=None, rescale=False)
    built = folded_from_codes(graph, Schemed(free), PostTraining(formats, images()))
    groups = unit_groups(built, RECIPE)
    held = [parameter for group in groups for parameter in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in built.parameters() if p.requires_grad}
    assert len(held) == len({id(p) for p in held})
    for group, quantiser in zip(groups, built.quantisers().values(), strict=False):
        assert isinstance(quantiser, ParametrisedWeight)
        z = quantiser.codes()[1].astype(np.float64)
        assert group["factor"] == pytest.approx(2.0 ** z.mean())
    with pytest.raises(TypeError, match="folded"):
        unit_groups(nn.Linear(2, 2), RECIPE)
