"""Planted faults: each changes the reference's output and is located where it was planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden_cases import random_codes
from numpy.typing import NDArray

from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import Conv, Pool, QuantizedModel
from shiftforge.sim.conv.layers import Divergence, first_divergence, tensor_order
from shiftforge.sim.golden import run_golden
from shiftforge.sim.golden.conv import network
from shiftforge.sim.golden.conv.shift_terms import canonical_codes, shift_product

LAYER = "t.ex1"


def reference(seed: int = 11) -> tuple[QuantizedModel, NDArray[Any], dict[str, NDArray[Any]]]:
    """A network, three frames and every tensor."""
    model = random_model(seed, ModelOptions(height=16, width=16))
    codes = random_codes(np.random.default_rng(seed), model.tensors[model.input], 3)
    return model, codes, run_golden(model, codes)


def with_node(model: QuantizedModel, output: str, change: Callable[[Conv], Conv]) -> QuantizedModel:
    """The model with the convolution that writes ``output`` replaced."""
    nodes = tuple(
        change(node) if isinstance(node, Conv) and node.output == output else node
        for node in model.nodes
    )
    assert nodes != model.nodes
    return replace(model, nodes=nodes)


def locate(
    model: QuantizedModel, good: dict[str, NDArray[Any]], bad: dict[str, NDArray[Any]]
) -> Divergence:
    """The first divergence, checked against a search of its own."""
    found = first_divergence(good, bad, tensor_order(model), model=model)
    assert found is not None
    different = [name for name in tensor_order(model) if not np.array_equal(good[name], bad[name])]
    places = np.argwhere(good[found.stage] != bad[found.stage])
    assert found.stage == different[0]
    position = (
        found.index("frame"),
        found.index("channel"),
        found.index("row"),
        found.index("column"),
    )
    assert position == tuple(places[0])
    assert found.want == good[found.stage][position]
    assert found.got == bad[found.stage][position]
    assert (found.differing, found.total) == (len(places), good[found.stage].size)
    node = next(node for node in model.nodes if node.output == found.stage)
    assert (found.node, found.source) == (node.name, node.source)
    return found


def live_channel(good: dict[str, NDArray[Any]], tensor: str) -> int:
    """The channel with the most distinct codes: a fault in it cannot hide behind a clamp."""
    channels = np.moveaxis(good[tensor], 1, 0)
    return int(np.argmax([len(np.unique(channel)) for channel in channels]))


def test_a_flipped_code_bit() -> None:
    model, codes, good = reference()
    channel = live_channel(good, LAYER)
    table = canonical_codes(4, 2)
    for bit in range(4):

        def flip(node: Conv, bit: int = bit) -> Conv:
            weight = node.weight.copy()
            largest = int(np.abs(weight[channel].astype(int)).argmax())
            at = (channel, *(int(i) for i in np.unravel_index(largest, weight.shape[1:])))
            first, second = table[int(weight[at])]
            flipped = first ^ (1 << bit)
            flipped = flipped if flipped & 7 else 0  # the reserved code decodes as zero
            weight[at] = np.clip(shift_product(1, (flipped, second), 4), -127, 127)
            bits = np.full_like(node.acc_bits, 40)
            return replace(node, weight=weight, acc_bits=bits)

        found = locate(model, good, run_golden(with_node(model, LAYER, flip), codes))
        assert (found.stage, found.index("channel")) == (LAYER, channel)


def test_a_swapped_tap() -> None:
    model, codes, good = reference()
    tensor = "t.dw1"
    channel = live_channel(good, tensor)

    def swap(node: Conv) -> Conv:
        weight = node.weight.copy()
        flat = weight[channel, 0].reshape(-1)
        low, high = int(flat.argmin()), int(flat.argmax())
        flat[[low, high]] = flat[[high, low]]
        return replace(node, weight=weight, acc_bits=np.full_like(node.acc_bits, 40))

    found = locate(model, good, run_golden(with_node(model, tensor, swap), codes))
    assert (found.stage, found.index("channel")) == (tensor, channel)


def test_a_transposed_kernel() -> None:
    model, codes, good = reference()
    for tensor in ("t.stem", "t.dw2"):

        def transpose(node: Conv) -> Conv:
            return replace(node, weight=np.ascontiguousarray(node.weight.swapaxes(2, 3)))

        found = locate(model, good, run_golden(with_node(model, tensor, transpose), codes))
        assert found.stage == tensor


@pytest.mark.parametrize("step", [-1, 1])
def test_a_wrong_exponent(step: int) -> None:
    model, codes, good = reference()
    channel = live_channel(good, LAYER)

    def shift(node: Conv) -> Conv:
        z = node.z.copy()
        z[channel] += step
        return replace(node, z=z)

    found = locate(model, good, run_golden(with_node(model, LAYER, shift), codes))
    assert (found.stage, found.index("channel")) == (LAYER, channel)


def test_a_bias_off_by_one_rounding_step() -> None:
    model, codes, good = reference()
    channel = live_channel(good, LAYER)
    node = next(node for node in model.conv_nodes() if node.output == LAYER)
    exponents = [model.tensors[name].grid.exponent for name in (node.output, node.input)]
    half = 1 << (exponents[0] - exponents[1] - int(node.z[channel]) - 1)

    def nudge(node: Conv) -> Conv:
        bias = node.bias.copy()
        bias[channel] += half
        return replace(node, bias=bias, acc_bits=np.full_like(node.acc_bits, 40))

    found = locate(model, good, run_golden(with_node(model, LAYER, nudge), codes))
    assert (found.stage, found.index("channel")) == (LAYER, channel)
    assert found.got - found.want == 1


@pytest.mark.parametrize("mode", ["half up", "truncate"])
def test_another_rounding_is_seen_at_its_first_tie(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, codes, good = reference()
    exact = run_golden(model, codes, accumulators=True)

    def other(acc: Any, right: Any, lo: int, hi: int) -> Any:
        down = np.maximum(right, 0)[:, None, None]
        offset = (1 << down) >> 1 if mode == "half up" else 0
        up = np.maximum(-right, 0)[:, None, None]
        return np.clip(((acc << up) + offset) >> down, lo, hi)

    monkeypatch.setattr(network, "requantise_shift", other)
    found = locate(model, good, run_golden(model, codes))
    node = next(node for node in model.conv_nodes() if node.output == found.stage)
    right = (
        model.tensors[node.output].grid.exponent
        - model.tensors[node.input].grid.exponent
        - int(node.z[found.index("channel")])
    )
    at = (found.index("frame"), found.index("channel"), found.index("row"), found.index("column"))
    rest = int(exact[f"{node.name}.acc"][at]) % (1 << right)
    if mode == "half up":
        assert rest == 1 << (right - 1), "half up differs from half even only at ties"
        assert found.got == found.want + 1
    else:
        assert rest >= 1 << (right - 1)
        assert found.got == found.want - 1


def test_a_wrong_pool_constant_and_a_wrong_input() -> None:
    model, codes, good = reference()
    nodes = tuple(
        replace(node, multiplier=node.multiplier * 2) if isinstance(node, Pool) else node
        for node in model.nodes
    )
    found = locate(model, good, run_golden(replace(model, nodes=nodes), codes))
    assert found.stage == "t.pool"

    wrong = codes.copy()
    wrong[2, 1, 3, 5] ^= 1
    bad = run_golden(model, wrong)
    first = first_divergence(good, bad, tensor_order(model), model=model)
    assert first is not None
    assert (first.stage, first.node, first.source) == (model.input, "", "")
    assert tuple(index for _, index in first.at) == (2, 1, 3, 5)
