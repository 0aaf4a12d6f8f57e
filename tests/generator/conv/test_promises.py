"""Proofs of the kernels' promises: distances against brute force, and promises that are broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from conv_chains import chain, with_weights
from conv_machines import ConvMachine
from conv_plans import BOARD, CASES, planned
from conv_walk_check import definition_of, touched_distance
from hypothesis import given
from hypothesis import strategies as st
from random_networks import Family

from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.promises import (
    PROMISES,
    Accesses,
    Proof,
    prove_promises,
    smallest_distance,
)
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.quant.graph.example import random_model

Pairs = list[tuple[int, int]]
PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=14)


def accesses(reads: Pairs, writes: Pairs) -> Accesses:
    return Accesses(np.array(reads, np.int64), np.array(writes, np.int64))


def brute(reads: Pairs, writes: Pairs) -> int | None:
    """Every pair of a write and any access of the word in another iteration."""
    gaps = [
        abs(t - at) for (at, word), (t, other) in product(writes, reads + writes)
        if other == word and t != at
    ]  # fmt: skip
    return min(gaps, default=None)


@given(PAIRS, PAIRS)
def test_the_smallest_distance_is_that_of_all_pairs(reads: Pairs, writes: Pairs) -> None:
    assert smallest_distance(accesses(reads, writes)) == brute(reads, writes)


def test_accesses_that_stand_twice_hide_nothing() -> None:
    reads: Pairs = [(0, 5), *[(3, 5)] * 6, (20, 5)]
    assert smallest_distance(accesses(reads, [(3, 5)])) == 3
    assert smallest_distance(accesses([(0, 5), *[(3, 5)] * 6], [(3, 5), (90, 6)])) == 3


def test_what_never_meets_has_no_distance() -> None:
    assert smallest_distance(accesses([(0, 1), (5, 1)], [])) is None
    assert smallest_distance(accesses([(0, 1)], [(4, 2)])) is None
    assert smallest_distance(accesses([(4, 1)], [(4, 1)])) is None  # one iteration: read, write


def prove(layers: tuple[Layer, ...], plan: Plan) -> list[Proof]:
    """What the planner does, for a plan that was changed."""
    reads = []
    for layer in layers:
        maps = [layer.input] if layer.skip is None else [layer.input, layer.skip]
        reads.append([
            (plan.memory.bases[t.name], plan.array.lines(t.shape)) for t in maps
            if t.name in plan.memory.bases
        ])  # fmt: skip
    return list(
        prove_promises(
            [p.controller for p in plan.steps], [p.conv for p in plan.steps],
            [p.post for p in plan.steps], [p.name for p in plan.steps],
            reads,
        )
    )  # fmt: skip


def distances(layers: tuple[Layer, ...], plan: Plan) -> Iterator[tuple[str, int]]:
    """(promise, iterations) of every layer, from the unit that runs step by step."""
    definitions = [definition_of(layer, plan.array) for layer in layers]
    weights = iter([w for _ in range(2) for d in definitions for w in d.weights()])
    machine = ConvMachine(plan.array.units, 1 << (plan.weight_words - 1).bit_length())
    machine.run(plan.fill, [], weights, last=False)
    for definition, own in zip(definitions, plan.steps, strict=True):
        machine.run(own.conv, definition.operands, weights, last=False)
        if (found := touched_distance(machine.touched)) is not None:
            yield "conv-weights", found
        if own.conv.mode == 1 and own.conv.iterations > own.conv.row_length:
            yield "conv-rows", own.conv.row_length
        groups = [g for g, _, _ in definition.tiles()]
        firsts = [groups.index(g) for g in range(own.post.groups)]
        if not own.post.direct:
            yield "post-records", min(own.post.before + f - g for g, f in enumerate(firsts))


@pytest.mark.parametrize(("seed", "family"), CASES)
def test_every_plan_is_proved_with_the_distances_that_it_has(seed: int, family: Family) -> None:
    layers, plan = planned(seed, family)
    assert [proof.promise for proof in plan.proofs] == list(PROMISES.values())
    assert prove(layers, plan) == list(plan.proofs)
    found: dict[str, int] = {}
    for name, distance in distances(layers, plan):
        found[name] = min(distance, found.get(name, distance))
    proved = {p.promise.name: p for p in plan.proofs}
    for name in ("conv-weights", "conv-rows"):
        assert proved[name].distance == found.get(name)
    for proof in plan.proofs:
        assert proof.distance is None or proof.distance >= proof.promise.safelen
        assert proof.distance is None or proof.layer in {p.name for p in plan.steps}
    least = proved["post-records"].distance
    assert least is not None and least <= found.get("post-records", least)


def change(plan: Plan, name: str, part: str, **fields: Any) -> Plan:
    """A plan with other numbers in one layer's record."""
    layers = [
        replace(p, **{part: replace(getattr(p, part), **fields)}) if p.name == name else p
        for p in plan.steps
    ]
    return replace(plan, steps=tuple(layers))


def refused(layers: tuple[Layer, ...], plan: Plan, promise: str, layer: str) -> str:
    with pytest.raises(CheckFailed) as error:
        prove(layers, plan)
    text = str(error.value)
    assert text.startswith(f"promise {promise} (") and f"in layer {layer!r}" in text
    return text


@cache
def small() -> tuple[tuple[Layer, ...], Plan]:
    """Short rows, groups of few words, more groups than one."""
    around = {"kernel": 3, "padding": (1, 1, 1, 1)}
    model = chain(
        {"out": 40, "kernel": 1}, {"out": 40, "groups": 40, **around}, {"out": 70, "kernel": 1},
        {"out": 33, "kernel": 1}, {"out": 33, **around}, {"out": 9, "kernel": 1},
        channels=9, height=3, width=5,
    )  # fmt: skip
    return schedule(model).layers, make_plan(model, BOARD, array_for(model, 16, 7))


def test_a_depthwise_row_without_its_idle_iterations() -> None:
    layers, plan = small()
    own = plan.steps[1].conv
    assert own.row_lines == 3 < own.row_length
    text = refused(layers, change(plan, "conv1", "conv", row_length=3), "conv-rows", "conv1")
    assert text.endswith("a word is touched again after 3 iterations, 16 are promised")


def test_weights_that_are_written_too_early() -> None:
    layers, plan = small()
    own = plan.steps[2].conv
    run = own.run0
    assert run.groups == own.groups > 1
    assert run.take_first == own.last_first == 8 - run.words > 0
    for early in ({"run0": replace(run, take_first=0)}, {"last_first": 0, "last_every": 1}):
        refused(layers, change(plan, "conv2", "conv", **early), "conv-weights", "conv2")


def test_weights_that_are_written_too_late() -> None:
    layers, plan = small()
    run = plan.steps[2].conv.run0
    late = run.iterations - 1 - (run.words - 1) * run.take_every
    assert late > run.take_first
    wrong = change(plan, "conv2", "conv", run0=replace(run, take_first=late))
    refused(layers, wrong, "conv-weights", "conv2")


@cache
def runs() -> tuple[tuple[Layer, ...], Plan]:
    """A layer of two tiles whose groups have 8, 5 (twice) and 6 words, 4 of them first ones."""
    model = chain(
        {"out": 36, "kernel": 1}, {"out": 64, "kernel": 1}, {"out": 9, "kernel": 1},
        channels=9, height=1, width=8,
    )  # fmt: skip
    weight = np.ones_like(model.conv_nodes()[1].weight)
    for group, words in enumerate((4, 1, 1, 2)):
        weight[16 * group, 9 * words - 1] = 5
    model = with_weights(model, {"conv1": weight})
    return schedule(model).layers, make_plan(model, BOARD, array_for(model, 16, 7))


def test_runs_of_groups_are_proved_with_their_own_words() -> None:
    layers, plan = runs()
    own = plan.steps[1].conv
    assert [(run.groups, run.words) for run in own.runs] == [(1, 8), (2, 5), (1, 6)]
    assert min(d for name, d in distances(layers, plan) if name == "conv-weights") >= 8
    early, late = {"take_first": 0}, {"take_every": 4}
    for name, wrong in (("run0", late), ("run1", early), ("run1", late)):
        run = replace(getattr(own, name), **wrong)
        refused(layers, change(plan, "conv1", "conv", **{name: run}), "conv-weights", "conv1")


def test_a_group_without_its_idle_iterations() -> None:
    """Groups that are too short for the distance between a word's uses."""
    model = chain(
        {"out": 20, "kernel": 1}, {"out": 70, "kernel": 1}, {"out": 9, "kernel": 1},
        channels=9, height=1, width=1,
    )  # fmt: skip
    layers, plan = schedule(model).layers, make_plan(model, BOARD, array_for(model, 16, 7))
    own = plan.steps[1].conv
    tail = own.run0.iterations - own.tiles * own.run0.words
    assert tail > 0
    prove(layers, plan)
    short = {
        "run0": replace(own.run0, iterations=own.run0.iterations - tail),
        "iterations": own.iterations - own.groups * tail,
    }  # fmt: skip
    refused(layers, change(plan, "conv1", "conv", **short), "conv-weights", "conv1")


@pytest.mark.parametrize("before", [1, 7])
def test_parameters_that_are_used_too_soon(before: int) -> None:
    layers, plan = small()
    text = refused(layers, change(plan, "conv3", "post", before=before), "post-records", "conv3")
    assert text.endswith(f"after {before} iterations, 8 are promised")


def test_maps_that_overlap() -> None:
    layers, plan = small()
    own = plan.steps[2]
    base = plan.memory.bases[layers[2].input.name]
    for out in (base, base + plan.array.lines(layers[2].input.shape) - 1,
                base - own.controller.stores + 1):  # fmt: skip
        refused(
            layers, change(plan, "conv2", "controller", out_base=out), "controller-maps", "conv2"
        )
    for out in (base + plan.array.lines(layers[2].input.shape), base - own.controller.stores):
        prove(layers, change(plan, "conv2", "controller", out_base=out))


def test_a_result_over_the_other_operand_of_an_addition() -> None:
    model = random_model(4)
    layers, plan = schedule(model).layers, make_plan(model, BOARD, array_for(model, 16, 7))
    layer = next(own for own in layers if own.skip is not None)
    assert layer.skip is not None and layer.skip.name != layer.input.name
    name, base = layer.conv.name, plan.memory.bases[layer.skip.name]
    refused(layers, change(plan, name, "controller", out_base=base), "controller-maps", name)
