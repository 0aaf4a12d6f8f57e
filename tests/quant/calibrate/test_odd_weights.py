"""Weights of any size: quantised as well as usual, or refused with the layer and a remedy."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiers import thinned
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.capture.loaders.factory import load_module
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.quantize import Quantisation, quantize

Change = Callable[[nn.Sequential], None]
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)


def quantised(change: Change, rounding: str = "compensated") -> QuantizedModel:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    with torch.no_grad():
        change(network)
    graph = load_module(network, "users:build", resolution=16)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return quantize(graph, IMAGES, Quantisation(rounding=rounding))  # type: ignore[arg-type]


def times(index: int, factor: float) -> Change:
    def change(network: nn.Sequential) -> None:
        for parameter in network[index].parameters():
            parameter.mul_(factor)

    return change


def fills(value: float) -> Change:
    def change(network: nn.Sequential) -> None:
        for parameter in network.parameters():
            parameter.fill_(value)

    return change


def one(index: int, name: str, value: float) -> Change:
    def change(network: nn.Sequential) -> None:
        getattr(network[index], name).view(-1)[0] = value

    return change


ODD: dict[str, tuple[Change, str]] = {
    **{f"1e20 in {i}": (times(i, 1e20), "") for i in (0, 2, 4, 7)},
    "1e30": (times(0, 1e30), "too large"),
    "1e38": (times(4, 1e38), "NaN or infinity"),
    "1e38 in the last": (times(7, 1e38), "too large"),
    "1e-30": (times(2, 1e-30), "too small"),
    "1e-20 in the last": (times(7, 1e-20), "too small"),
    "denormal": (times(4, 1e-42), "too small"),
    "denormals everywhere": (fills(1e-45), "too small"),
    "zeros": (fills(0), ""),
    "one denormal": (one(4, "weight", 1e-42), ""),
    "one of 1e20": (one(0, "weight", 1e20), ""),
    "a bias of 1e20": (one(0, "bias", 1e20), ""),
    "a bias of 3e38": (one(4, "bias", 3e38), "NaN or infinity"),
    "an infinite bias": (one(4, "bias", float("inf")), "4.bias"),
    "NaN": (one(4, "weight", float("nan")), "4.weight"),
}


@pytest.mark.parametrize("rounding", ["compensated", "nearest"])
@pytest.mark.parametrize("name", thinned(ODD, 2))
def test_weights_of_any_size_end_well(name: str, rounding: str) -> None:
    change, said = ODD[name]
    if not said:
        quantised(change, rounding)
        return
    with pytest.raises(InputError) as caught:
        quantised(change, rounding)
    assert said in str(caught.value)
    assert all(problem.remedy and problem.where for problem in caught.value.problems)


def weights_of_nothing(network: nn.Sequential) -> None:
    network[2].weight.mul_(1e-38)  # beside a bias of the usual size they are zeros


def test_weights_that_are_nothing_beside_their_bias() -> None:
    model = quantised(weights_of_nothing)
    assert not model.nodes[1].weight.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("rounding", ["compensated", "nearest"])
def test_large_weights_are_quantised_as_small_ones(rounding: str) -> None:
    """2**40 in one layer and 2**-40 in the next: the same integers as without both."""

    def both(network: nn.Sequential) -> None:
        times(0, 2.0**40)(network)
        network[2].weight.mul_(2.0**-40)

    plain, scaled = quantised(lambda network: None, rounding), quantised(both, rounding)
    for a, b in zip(plain.nodes, scaled.nodes, strict=True):
        if hasattr(a, "weight"):
            assert np.array_equal(a.weight, b.weight)  # type: ignore[union-attr]
    facts = plain.meta["sqnr_db"], scaled.meta["sqnr_db"]
    assert facts[0] == pytest.approx(facts[1], abs=0.02)
