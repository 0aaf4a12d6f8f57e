"""The fake-quantised network (torch, float64) gives the reference's integers, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden_cases import random_codes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_maps import random_maps

from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat
from shiftforge.quant.simulate import run_fake_quantised
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden import run_golden
from shiftforge.sim.trace import divergence_text

FORMATS = [
    ShiftFormat(4, 2, "S2"),
    ShiftFormat(4, 1, "S1"),
    ShiftFormat(3, 2, "SEL"),
    IntFormat(8),
    IntFormat(4),
]


def assert_equal_everywhere(model: QuantizedModel, codes: NDArray[Any]) -> None:
    """Every tensor of the network, every element."""
    golden, fake = run_golden(model, codes), run_fake_quantised(model, codes)
    order = tensor_order(model)
    assert set(order) <= set(fake), "a tensor was not computed"
    found = first_divergence(golden, fake, order, model=model)
    assert found is None, divergence_text(found, "golden", "fake-quantised")


@pytest.mark.parametrize("requant", ["shift", "multiplier"])
@pytest.mark.parametrize("weight_format", FORMATS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_networks(seed: int, weight_format: Any, requant: Any) -> None:
    model = random_model(
        seed, ModelOptions(weight_format=weight_format, requant=requant, signed_input=bool(seed))
    )
    rng = np.random.default_rng(seed)
    assert_equal_everywhere(model, random_codes(rng, model.tensors[model.input], 4))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    layer=st.fixed_dictionaries(
        {
            "kernel": st.sampled_from([1, 3, 5, 7]),
            "stride": st.sampled_from([1, 2]),
            "dilation": st.sampled_from([1, 2]),
            "groups": st.sampled_from([1, 2, "depthwise"]),
            "weight_format": st.sampled_from(FORMATS),
            "signed_input": st.booleans(),
            "requant": st.sampled_from(["shift", "multiplier"]),
            "input_bits": st.integers(2, 8),
            "output_bits": st.integers(2, 8),
        }
    ),
    frames=st.integers(1, 3),
)
def test_single_layers(seed: int, layer: dict[str, Any], frames: int) -> None:
    model = random_conv(seed, ConvOptions(**layer))
    rng = np.random.default_rng(seed)
    assert_equal_everywhere(model, random_codes(rng, model.tensors[model.input], frames))


@pytest.mark.parametrize("seed", range(40))
def test_networks_of_every_operator(seed: int) -> None:
    model = random_maps(seed)
    rng = np.random.default_rng(seed)
    assert_equal_everywhere(model, random_codes(rng, model.tensors[model.input], 2))


@pytest.mark.slow
def test_a_thousand_networks_of_every_operator() -> None:
    for seed in range(1000, 2000):
        model = random_maps(seed)
        rng = np.random.default_rng(seed)
        assert_equal_everywhere(model, random_codes(rng, model.tensors[model.input], 2))


def test_the_widest_sums_of_a_mobilenet() -> None:
    model = random_conv(
        8, ConvOptions(kernel=1, in_channels=1280, out_channels=40, height=3, width=3)
    )
    shape = model.tensors[model.input]
    codes = random_codes(np.random.default_rng(8), shape, 2)
    codes[1] = shape.grid.qmax
    assert_equal_everywhere(model, codes)


def test_a_planted_difference_is_seen() -> None:
    model = random_model(9)
    node = model.conv_nodes()[2]
    bias = node.bias.copy()
    bias[1] += 1 << 8
    nodes = tuple(replace(node, bias=bias) if n is node else n for n in model.nodes)
    codes = random_codes(np.random.default_rng(9), model.tensors[model.input], 2)
    fake = run_fake_quantised(replace(model, nodes=nodes), codes)
    found = first_divergence(run_golden(model, codes), fake, tensor_order(model), model=model)
    assert found is not None
    assert (found.stage, found.index("channel")) == (node.output, 1)
