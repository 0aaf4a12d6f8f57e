"""What second words cost: f of a plan against cycles counted one by one, and against the planner
that quantisation asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from conv_machines import ConvMachine
from conv_plans import BOARD, CASES, network, planned
from conv_walk_check import definition_of
from geometry_cases import SAME, Chain, integer_model
from numpy.typing import NDArray
from random_networks import Family, random_orders

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.plan import Plan, StepPlan, make_plan
from shiftforge.generator.conv.plan_document import plan_totals
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.generator.conv.second_words import word_planner
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat


def array_cycles(plan: Plan, layers: Sequence[Layer]) -> list[int]:
    """Of every layer, from the unit that runs step by step: no idle iteration is among them."""
    definitions = [definition_of(layer, plan.array) for layer in layers]
    weights = iter([w for _ in range(2) for d in definitions for w in d.weights()])
    machine = ConvMachine(plan.array.units, 1 << (plan.weight_words - 1).bit_length())
    machine.run(plan.fill, [], weights, last=False)
    found = []
    for definition, own in zip(definitions, plan.steps, strict=True):
        machine.run(own.conv, definition.operands, weights, last=False)
        found.append(machine.busy)
    return found


def of_one_term(model: QuantizedModel) -> QuantizedModel:
    """The network with weights of one term, zero where the others are."""
    nodes = tuple(
        replace(n, weight=np.sign(n.weight)) if isinstance(n, Conv) else n for n in model.nodes
    )
    return replace(model, nodes=nodes)


def slack(own: StepPlan) -> int:
    """Cycles that a plan counts and the unit may not need: a standard layer's last channels take
    the nine cycles of a window's lines, of which none comes after the layer's last window."""
    return 9 if own.mode == "standard" else 0


@pytest.mark.parametrize(("seed", "family"), CASES[::2])
def test_array_cycles_are_those_of_the_unit(seed: int, family: Family) -> None:
    """With second words, and of the same network without: its words lie in the same runs but for
    those that differ in second words alone."""
    layers, plan = planned(seed, family)
    model, array = network(seed, family)
    plain_model = of_one_term(model)
    plain = make_plan(plain_model, BOARD, array)
    both = array_cycles(plan, layers)
    without = array_cycles(plain, schedule(plain_model).layers)
    every = zip(plan.layers, plan.steps, plain.layers, both, without, strict=True)
    for own, step, other, cycles, least in every:
        counted = own.one_term_cycles + own.second_term_cycles
        assert cycles <= counted <= cycles + slack(step)
        same = [first for first, _ in own.words] == [first for first, _ in other.words]
        assert least <= own.one_term_cycles
        assert not same or own.one_term_cycles <= least + slack(step)
        assert own.second_term_cycles == 0 or any(second for _, second in own.words)
        assert other.second_term_cycles == 0
    told = plan_totals(plan)
    assert told["one_term_cycles"] == sum(own.one_term_cycles for own in plan.layers)
    assert told["second_term_cycles"] == sum(own.second_term_cycles for own in plan.layers)
    assert told["f"] == round(told["second_term_cycles"] / told["one_term_cycles"], 4)
    assert plan_totals(plain)["f"] == 0 and plan_totals(plain)["terms"] == 1
    assert told["terms"] == (2 if any(k for own in plan.layers for _, k in own.words) else 1)


def test_most_of_these_networks_have_second_words() -> None:
    found = [planned(seed, family)[1].second_terms for seed, family in CASES[::2]]
    assert sum(f > 0 for f in found) > 50 and sum(0 < f < 0.5 for f in found) > 10
    assert max(found) <= 1


def random_chain(rng: np.random.Generator) -> FloatGraph:
    """Layers of every kind, many of several groups of channels."""
    size = rng.integers(4, 20, 2)
    chain = Chain((int(rng.integers(1, 5)), int(size[0]), int(size[1])))
    chain.conv(int(rng.integers(1, 60)), 3, stride=int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(2, 7))):
        channels = chain.shapes[chain.last][0]
        kind = rng.integers(4)
        if kind == 0:
            chain.conv(int(rng.integers(1, 130)), 1)
        elif kind == 1:
            small = min(chain.shapes[chain.last][1:]) < 4
            stride = 1 if small else int(rng.integers(1, 3))
            chain.conv(channels, 3, groups=channels, stride=stride,
                       padding=SAME if stride == 1 else (0, 0, 1, 1))  # fmt: skip
        elif kind == 2:
            chain.conv(int(rng.integers(1, 130)), 3)
        else:
            first = chain.last
            chain.conv(int(rng.integers(1, 60)), 1)
            chain.conv(channels, 1)
            chain.add(first, chain.last)
    if rng.integers(2):
        chain.pool()
    chain.conv(int(rng.integers(1, 40)), 1)
    return chain.graph()


def random_mask(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Weights of two terms: none, few anywhere, or a rectangle of channels."""
    share = float(rng.choice((0.0, 0.002, 0.05, 1.0)))
    found = rng.random(shape) < share
    outputs, inputs = (int(rng.integers(1, n + 1)) for n in shape[:2])
    if rng.integers(2):
        found[:outputs, :inputs] |= rng.random((outputs, inputs, *shape[2:])) < 0.1
    return np.asarray(found)


@pytest.mark.parametrize("seed", range(60))
def test_f_is_the_share_that_the_planner_told_quantisation(seed: int) -> None:
    """But for standard layers, in whose last channel group, of fewer than nine channels, second
    words take the place of cycles that its window takes anyway: the planner counts them."""
    rng = np.random.default_rng(seed)
    graph = random_chain(rng)
    convs = [node for node in graph.nodes if isinstance(node, FloatConv)]
    array = ArrayShape(int(rng.choice((16, 32))), int(rng.integers(1, 17)))
    masks = {conv.name: random_mask(rng, conv.weight.shape) for conv in convs}
    model = integer_model(graph, {conv.name: ShiftFormat(4, 2, "SEL") for conv in convs}, seed)
    # No weight is zero: the planner, which knows none, counts all first words.
    nodes = tuple(
        replace(n, weight=np.where(masks[n.name], 5, -2).astype(np.int8))
        if isinstance(n, Conv) else n for n in model.nodes
    )  # fmt: skip
    orders = random_orders(model, seed)
    model = replace(model, nodes=nodes, orders=orders)
    plan = make_plan(model, BOARD, array, must_fit=False)
    told = word_planner(BOARD, array.units, array.pixels)(graph, orders)
    assert told.one_term_cycles == plan.one_term_cycles
    assert told.array == {"board": BOARD.name, "units": array.units, "pixels": array.pixels}
    counts = {name: told.words[name].counts(mask) for name, mask in masks.items()}
    free = 0
    for own, step in zip(plan.layers, plan.steps, strict=True):
        words = told.words[own.name]
        added = words.added_cycles(counts[own.name])
        lanes = step.conv.last_lanes if own.mode == "standard" else 9
        most = max(0, 9 - lanes) * own.tiling.tiles * own.tiling.out_groups
        assert own.second_term_cycles <= added <= own.second_term_cycles + most
        assert bool(added) == any(second for _, second in own.words)
        # All weights that need a second word are allowed two terms with these counts, and with
        # none fewer.
        assert not (masks[own.name] & ~words.allowed(counts[own.name])).any()
        free += most
    f, share = plan.second_terms, told.share(counts)
    assert f <= share <= f + free / plan.one_term_cycles + 1e-12
    if not any(own.mode == "standard" and own.conv.last_lanes < 9 for own in plan.steps):
        assert share == f
