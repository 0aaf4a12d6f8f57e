"""Channel orders: they change no value, and every impossible one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from random_networks import Family, random_frames, random_network, random_orders

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.order import in_network_order, reordered
from shiftforge.quant.graph.types import Add, Conv, Pool, QuantizedModel
from shiftforge.quant.graph.verify import verify
from shiftforge.sim.golden.conv.network import accumulator_key, run_golden

FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier")
BARE = random_model(3, ModelOptions(height=9, width=8))
# Of the network's tensors, t.stem and t.dw0 are tied, t.pw0, t.pw1 and t.add1, t.head and t.pool.
MODEL = replace(BARE, orders=random_orders(BARE, 0))


def compare(model: QuantizedModel, frames: NDArray[Any]) -> None:
    """The network that is laid out holds every tensor's codes in the tensor's order."""
    want, got = (run_golden(m, frames, accumulators=True) for m in (model, reordered(model)))
    assert want.keys() == got.keys()
    made = {accumulator_key(n): n.output for n in model.nodes if isinstance(n, Conv)}
    for name, codes in want.items():
        order = model.orders.get(made.get(name, name))
        laid_out = codes if order is None else codes[:, order]
        assert np.array_equal(got[name], laid_out), name
        assert np.array_equal(in_network_order(got[name], order, axis=1), codes), name


@pytest.mark.parametrize("seed", range(60))
def test_every_tensor_of_a_random_network_is_permuted_exactly(seed: int) -> None:
    model = random_network(
        seed, family=FAMILIES[seed % 3], multiplier_requant=seed % 2 == 1, orders=True, sides=(1, 9)
    )
    compare(model, random_frames(model, seed, 2))
    verify(reordered(model))


def test_orders_of_every_kind_of_node_are_among_the_random_ones() -> None:
    seen: set[str] = set()
    for seed in range(60):
        model = random_network(seed, family=FAMILIES[seed % 3], orders=True, sides=(1, 9))
        for n in model.nodes:
            if n.output in model.orders and model.tensors[n.output].channels > 2:
                seen.add(type(n).__name__)
                if isinstance(n, Conv):
                    seen.add("depthwise" if n.groups > 1 else "ordinary")
            elif n.inputs[0] in model.orders:
                seen.add("read alone")
    assert seen == {"Conv", "Add", "Pool", "depthwise", "ordinary", "read alone"}


def test_a_mobilenet_in_another_order_is_valid_and_equal() -> None:
    verify(MODEL)
    assert len(MODEL.orders) > 6
    compare(MODEL, random_frames(MODEL, 0))
    laid_out = reordered(MODEL)
    verify(laid_out)
    assert (laid_out.orders, laid_out.floats, laid_out.variants) == ({}, {}, ())
    assert (laid_out.labels, laid_out.meta) == (MODEL.labels, MODEL.meta)


def test_a_model_without_orders_is_returned_as_it_is() -> None:
    assert reordered(BARE) is BARE
    assert in_network_order(np.arange(3), None, 0).tolist() == [0, 1, 2]


def test_by_hand() -> None:
    """Place i holds channel order[i]."""
    order = np.array([2, 0, 1], np.int32)
    assert np.array(["a", "b", "c"])[order].tolist() == ["c", "a", "b"]
    assert in_network_order(np.array(["c", "a", "b"]), order, 0).tolist() == ["a", "b", "c"]


def test_random_networks_are_the_same_but_for_their_orders() -> None:
    plain, ordered = random_network(4), random_network(4, orders=True)
    assert plain.orders == {} and ordered.orders
    for a, b in zip(plain.conv_nodes(), ordered.conv_nodes(), strict=True):
        assert np.array_equal(a.weight, b.weight)


def orders(change: Mapping[str, Any]) -> QuantizedModel:
    return replace(MODEL, orders={k: v for k, v in {**MODEL.orders, **change}.items() if len(v)})


def swapped(name: str) -> NDArray[np.int32]:
    order = MODEL.orders[name].copy()
    order[[1, 4]] = order[[4, 1]]
    return order


def permutation(size: int) -> NDArray[np.int32]:
    return np.arange(size, dtype=np.int32)[::-1].copy()


def grouped() -> QuantizedModel:
    """block1.project in two groups, with an order on what it reads."""
    nodes = tuple(
        replace(n, groups=2, weight=n.weight[:, :10]) if n.name == "block1.project" else n
        for n in MODEL.nodes
        if isinstance(n, Conv | Add | Pool)
    )
    return replace(MODEL, nodes=nodes)


def of(name: str, place: int, value: int) -> NDArray[np.int32]:
    order = MODEL.orders[name].copy()
    order[place] = value
    return order


FAULTS: dict[str, tuple[Callable[[], QuantizedModel], str]] = {
    "unknown": (lambda: orders({"none": permutation(4)}), "order of 'none': belongs to no tensor"),
    "input": (lambda: orders({"input": permutation(3)}), "order of 'input': the network's input"),
    "output": (lambda: orders({"logits": permutation(10)}), "'logits': the network's output lies"),
    "short": (
        lambda: orders({"t.ex1": permutation(19)}),
        r"order of 't.ex1': is int32 \(19,\), not int32 \(20,\)"),
    "type": (
        lambda: orders({"t.ex1": permutation(20).astype(np.int64)}),
        r"order of 't.ex1': is int64 \(20,\)"),
    "matrix": (lambda: orders({"t.ex1": permutation(20)[None]}), r"is int32 \(1, 20\)"),
    "twice": (
        lambda: orders({"t.stem": of("t.stem", 3, int(MODEL.orders["t.stem"][0]))}),
        rf"'t.stem': names channel {int(MODEL.orders['t.stem'][0])} 2 times"),
    "beyond": (lambda: orders({"t.stem": of("t.stem", 3, 8)}), "names channel 8 of 8"),
    "negative": (lambda: orders({"t.stem": of("t.stem", 3, -1)}), "names channel -1 of 8"),
    "depthwise": (
        lambda: orders({"t.dw0": swapped("t.dw0")}),
        r"first.depthwise \(example.*\): reads 't.stem' in another channel order than it writes "
        "'t.dw0', from place 1 on"),
    "depthwise without": (
        lambda: orders({"t.dw0": ()}), "first.depthwise .*: reads 't.stem' in another"),
    "skip": (
        lambda: orders({"t.pw0": swapped("t.pw0")}),
        "block1.add .*: reads 't.pw0' in another channel order than it writes 't.add1'"),
    "pool": (lambda: orders({"t.pool": swapped("t.pool")}), "pool .*: reads 't.head' in another"),
    "tied to the output": (
        lambda: replace(
            MODEL, output="t.pool", nodes=MODEL.nodes[:-1], labels=(),
            tensors={k: v for k, v in MODEL.tensors.items() if k != "logits"},
            floats={}),
        "order of 't.pool': the network's output"),
    "grouped": (grouped, "block1.project .*: a grouped convolution takes no channel order"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_impossible_order_is_named(fault: str) -> None:
    plant, message = FAULTS[fault]
    with pytest.raises(InputError, match=message):
        verify(plant())


def test_every_faulty_order_is_reported_at_once() -> None:
    broken = orders({"none": permutation(4), "input": permutation(3), "t.ex1": permutation(3)})
    with pytest.raises(InputError) as caught:
        verify(broken)
    places = [p.where.split(" (")[0] for p in caught.value.problems]
    # What depends on the faulty one is told besides.
    assert sorted(places) == [
        "block1.depthwise", "order of 'input'", "order of 'none'", "order of 't.ex1'"
    ]  # fmt: skip
