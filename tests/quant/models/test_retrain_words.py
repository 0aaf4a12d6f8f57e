"""DTSSQ by weight word from post-training codes: prefixes, the budget, the record and its check."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scheme_cases import PREPROCESS, images, network
from word_plans import stand_in

from shiftforge.errors import InputError
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Stage
from shiftforge.quant.models.recipe import Recipe
from shiftforge.quant.models.retrain import Retrained, folded_from_codes, retrain
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.models.words import begin_words, check_words, selected_counts
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.folded import Schemed
from shiftforge.quant.schemes.shift import Shift, two_terms
from shiftforge.quant.second_terms import second_counts
from shiftforge.quant.second_words import Orders, WordPlan

PLANNER = stand_in(units=4, pixels=7)
TARGET = 0.3
SCHEME = DTSSQ(target=TARGET, rescale=False, every=3)
RECIPE = Recipe(2, 0.01, batch=8, optimiser="adam", weight_decay=0.0, warmup=0.0, shift=0, distil=1)


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    return capture(network().eval(), (1, 12, 12), PREPROCESS, "small", tuple("abcd"))


def names(graph: FloatGraph) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node, FloatConv)]


def trained(graph: FloatGraph, folder: Path | None = None, scheme: Shift = SCHEME) -> Retrained:
    examples = Examples.of(
        images(), (np.arange(32) % 4).astype(np.int64), PREPROCESS, torch.device("cpu")
    )
    return retrain(
        graph, Schemed(scheme), TrainingSet(examples, examples), RECIPE,
        PostTraining(dict.fromkeys(names(graph), ShiftFormat(4, 2, "S2")), images()),
        stage=Stage(scheme.name, folder), teacher=network().eval(), planner=PLANNER,
    )  # fmt: skip


def plan_of(graph: FloatGraph, model: QuantizedModel) -> WordPlan:
    return PLANNER(graph, model.orders)


def two(weight: np.ndarray) -> np.ndarray:
    size = np.abs(weight.astype(np.int64))
    return (size & (size - 1)) != 0


def test_second_words_are_prefixes_that_give_the_recorded_share(
    graph: FloatGraph, tmp_path: Path
) -> None:
    found = trained(graph)
    model, plan = found.model, plan_of(graph, found.model)
    selected = selected_counts(found.network)
    assert set(selected) == set(names(graph))
    for node in model.conv_nodes():
        assert not (two(node.weight) & ~plan.words[node.name].allowed(selected[node.name])).any()
    record = model.meta["second_terms"]
    counts = {n.name: plan.words[n.name].counts(two(n.weight)) for n in model.conv_nodes()}
    assert counts == second_counts(model, plan)
    added = sum(plan.words[n].added_cycles(c) for n, c in counts.items())
    assert record["second_term_cycles"] == added > 0
    assert record["one_term_cycles"] == plan.one_term_cycles
    assert record["f"] == added / plan.one_term_cycles == plan.share(counts) <= TARGET
    assert record["array"] == {"board": "a10gx1150", "units": 4, "pixels": 7}
    assert record["asked"] == [TARGET]
    assert record["measured_on"] == {"images": 32, "held_out": False}
    (choice,) = record["choices"]
    assert choice["asked"] == TARGET and record.items() >= choice.items() - {("asked", TARGET)}
    assert math.isfinite(record["sqnr_db"]) and model.orders
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    again = load_model(path)
    assert again.meta["second_terms"] == record
    for name, order in model.orders.items():
        np.testing.assert_array_equal(again.orders[name], order)


def test_a_mask_that_is_no_prefix_is_named(graph: FloatGraph) -> None:
    found = trained(graph)
    plan, selected = plan_of(graph, found.model), selected_counts(found.network)
    check_words(found.model, plan, selected)
    node = next(
        n for n in found.model.conv_nodes()
        if plan.words[n.name].cycles and selected[n.name][-1] < plan.words[n.name].blocks
    )  # fmt: skip
    words = plan.words[node.name]
    place = tuple(
        int(i)
        for i in np.argwhere(
            (words.group[:, None, None, None] == words.groups - 1)
            & (words.block == words.blocks - 1)
        )[0]
    )
    weight = node.weight.copy()
    weight[place] = 3
    nodes = tuple(replace(n, weight=weight) if n is node else n for n in found.model.nodes)
    with pytest.raises(InputError) as error:
        check_words(replace(found.model, nodes=nodes), plan, selected)
    (problem,) = error.value.problems
    assert problem.where == node.name
    told = f"block {words.blocks - 1} of group {words.groups - 1}"
    assert str(place) in problem.what and told in problem.what


def test_a_broken_run_ends_at_the_same_codes_and_orders(graph: FloatGraph, tmp_path: Path) -> None:
    whole = trained(graph, tmp_path)
    (tmp_path / "dtssq4-002.safetensors").unlink()
    again = trained(graph, tmp_path)
    assert list(again.accuracies) == ["start", "epoch 2"]
    assert again.model.meta["second_terms"] == whole.model.meta["second_terms"]
    for one, other in zip(whole.model.conv_nodes(), again.model.conv_nodes(), strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
    held, found = whole.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(held[name], found[name]) for name in held)


def test_one_and_two_terms_are_recorded_too(graph: FloatGraph) -> None:
    one = trained(graph, scheme=Shift(4, 1, gradient="ewgs", rescale=False)).model
    assert one.meta["second_terms"]["f"] == 0 and not one.orders
    both = trained(graph, scheme=Shift(4, 2, gradient="ewgs", rescale=False)).model
    plan = plan_of(graph, both)
    full = {name: (own.blocks,) * own.groups for name, own in plan.words.items()}
    assert both.meta["second_terms"]["f"] == pytest.approx(plan.share(full), abs=0.05)


def test_no_second_word_without_a_budget(graph: FloatGraph) -> None:
    once = replace(SCHEME, target=0.0)

    def planner(graph: FloatGraph, orders: Orders) -> WordPlan:
        made = PLANNER(graph, orders)
        words = {n: replace(own, cycles=0, once=1) if i == 1 else own
                 for i, (n, own) in enumerate(made.words.items())}  # fmt: skip
        return replace(made, words=words)

    examples = Examples.of(
        images(), (np.arange(32) % 4).astype(np.int64), PREPROCESS, torch.device("cpu")
    )
    start = PostTraining(dict.fromkeys(names(graph), ShiftFormat(4, 2, "S2")), images())
    found = retrain(
        graph, Schemed(once), TrainingSet(examples, examples), replace(RECIPE, distil=0),
        start, planner=planner,
    )  # fmt: skip
    assert found.model.meta["second_terms"]["f"] == 0


def test_training_begins_with_every_block_and_loses_the_least_useful_first(
    graph: FloatGraph,
) -> None:
    start = PostTraining(dict.fromkeys(names(graph), ShiftFormat(4, 2, "S2")), images())
    built = folded_from_codes(graph, Schemed(SCHEME), start)
    words = begin_words(built, PLANNER, normalise(images(), PREPROCESS))
    full = {n: (own.blocks,) * own.groups for n, own in words.plan.words.items()}
    assert selected_counts(built) == full


def test_what_other_layers_spend_is_part_of_the_budget(graph: FloatGraph) -> None:
    start = PostTraining(dict.fromkeys(names(graph), ShiftFormat(4, 2, "S2")), images())
    every = names(graph)
    tight = replace(SCHEME, target=0.01)
    mixed = Schemed(tight, {every[0]: two_terms(tight)})
    frames = normalise(images(), PREPROCESS)
    with pytest.raises(InputError, match="other schemes alone add"):
        begin_words(folded_from_codes(graph, mixed, start), PLANNER, frames)
    apart = Schemed(tight, {every[0]: replace(tight, tau=0.1)})
    with pytest.raises(InputError, match="different settings"):
        begin_words(folded_from_codes(graph, apart, start), PLANNER, frames)
