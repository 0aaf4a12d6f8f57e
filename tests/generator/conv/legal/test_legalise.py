"""The rewriting of networks: every tensor keeps its codes, and what is made in between is legal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conv_chains import chain
from random_networks import Family, random_frames, random_network

from shiftforge.generator.conv.legal import legalise
from shiftforge.quant.graph.order import reordered
from shiftforge.quant.graph.types import Conv, QuantizedModel
from shiftforge.quant.graph.verify import verify
from shiftforge.sim.golden.conv.network import run_golden

FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier", "mixed", "nibble")


def keeps_its_codes(model: QuantizedModel, seed: int) -> set[str]:
    """Fails unless every tensor of the network has the same codes; what was made."""
    legal = legalise(model)
    verify(replace(legal.model, floats={}, variants=()))
    frames = random_frames(model, seed)
    want, found = run_golden(model, frames), run_golden(legal.model, frames)
    for name in model.tensors:
        assert np.array_equal(want[name], found[name]), f"seed {seed}, {name}"
    own = {node.name for node in model.nodes}
    assert {n.name for n in legal.model.nodes} - own == set(legal.made)
    assert set(legal.made.values()) <= own
    return set(legal.made)


def random_case(seed: int) -> set[str]:
    model = random_network(
        seed, layers=6, family=FAMILIES[seed % 5], multiplier_requant=seed % 2 == 1,
        sides=(1, 14), orders=seed % 4 < 2, operators=("kernel",),
    )  # fmt: skip
    return keeps_its_codes(reordered(model), seed)


def test_random_networks_keep_their_codes() -> None:
    made = [random_case(seed) for seed in range(40)]
    assert sum(bool(own) for own in made) > 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40, 1100))
def test_many_random_networks_keep_their_codes(seed: int) -> None:
    random_case(seed)


def test_copies_of_one_tensor_are_shared() -> None:
    model = chain({"out": 8, "kernel": 1}, channels=3, height=9, width=10)
    first = model.conv_nodes()[0]
    x = model.tensors[first.output]
    branches = [
        replace(first, name=name, input=x.name, output=f"t{name}", stride=4,
                weight=np.ones((8, 8, 1, 1), np.int8), acc_bits=np.full(8, 24, np.uint8))
        for name in ("a", "b")
    ]  # fmt: skip
    tensors = {f"t{n}": replace(x, name=f"t{n}", height=3, width=3) for n in ("a", "b")}
    model = replace(
        model, nodes=(first, *branches), tensors={**model.tensors, **tensors}, output="tb"
    )
    legal = legalise(model)
    names = [node.name for node in legal.model.nodes]
    assert names == ["conv0", "a:every2", "a:every2:every2", "a", "b"]
    a, b = (n for n in legal.model.nodes if isinstance(n, Conv) and n.name in ("a", "b"))
    assert a.input == b.input == f"{x.name}:every2:every2" and a.stride == b.stride == 1


def test_what_the_array_has_stays() -> None:
    around = {"kernel": 3, "padding": (1, 1, 1, 1), "stride": 2}
    model = chain({"out": 8, **around}, {"out": 8, **around}, {"out": 8, "groups": 8, **around},
                  {"out": 8, "kernel": 1}, channels=3, height=19, width=18)  # fmt: skip
    assert legalise(model).model is model
