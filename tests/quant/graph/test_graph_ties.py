"""Ties of channel orders: by hand on a MobileNet's blocks, and against what a network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatNode, FloatPool
from shiftforge.quant.graph.example import ConvOptions, random_conv, random_model
from shiftforge.quant.graph.ties import channel_ties, fixed_ties, tied_tensors
from shiftforge.quant.graph.types import Add, Conv, QuantizedModel

MODEL = random_model(1)


def float_graph(model: QuantizedModel) -> FloatGraph:
    """A float network of the same wiring."""
    nodes: list[FloatNode] = []
    for n in model.nodes:
        if isinstance(n, Conv):
            nodes.append(
                FloatConv(
                    n.name, n.source, n.input, n.output, n.weight.astype(np.float32),
                    n.bias.astype(np.float32), n.stride, n.padding, n.dilation, n.groups, "none",
                )
            )  # fmt: skip
        elif isinstance(n, Add):
            nodes.append(FloatAdd(n.name, n.source, n.a, n.b, n.output, "none"))
        else:
            nodes.append(FloatPool(n.name, n.source, n.input, n.output))
    shapes = {name: t.shape for name, t in model.tensors.items()}
    return FloatGraph(model.name, model.preprocess, model.input, model.output, shapes, tuple(nodes))


def test_the_ties_of_a_mobilenet_by_hand() -> None:
    assert tied_tensors(MODEL) == {
        "input": ("input",),
        "t.stem": ("t.stem", "t.dw0"),
        "t.pw0": ("t.pw0", "t.pw1", "t.add1"),
        "t.ex1": ("t.ex1", "t.dw1"),
        "t.ex2": ("t.ex2", "t.dw2"),
        "t.pw2": ("t.pw2",),
        "t.head": ("t.head", "t.pool"),
        "logits": ("logits",),
    }
    assert fixed_ties(MODEL) == {"input", "logits"}
    assert channel_ties(MODEL)["t.add1"] == "t.pw0"


def test_what_is_tied_to_the_output_is_fixed() -> None:
    assert fixed_ties(replace(MODEL, output="t.pool")) == {"input", "t.head"}
    assert fixed_ties(replace(MODEL, input="t.stem")) == {"t.stem", "logits"}


@pytest.mark.parametrize(("groups", "fixed"), [(1, 2), (2, 2), (4, 1)])
def test_grouped_convolutions_tie_nothing_and_fix_both_sides(groups: int, fixed: int) -> None:
    options = ConvOptions(groups=groups, in_channels=4, out_channels=4)
    model = random_conv(0, options)
    assert len(fixed_ties(model)) == fixed  # the depthwise one's sides are one
    assert len(tied_tensors(model)) == fixed
    # Two outputs a channel are no depthwise convolution: a group's run is not one channel.
    wide = random_conv(0, replace(options, groups=4, out_channels=8))
    assert tied_tensors(wide) == {"input": ("input",), "output": ("output",)}


def test_a_grouped_convolution_in_the_middle_is_fixed() -> None:
    nodes = tuple(
        replace(n, groups=2, weight=n.weight[:, :10])
        if isinstance(n, Conv) and n.name == "block1.project"
        else n
        for n in MODEL.nodes
    )
    assert fixed_ties(replace(MODEL, nodes=nodes)) == {"input", "t.ex1", "t.pw0", "logits"}


@pytest.mark.parametrize("seed", range(30))
def test_random_networks_and_their_float_forms_agree(seed: int) -> None:
    model = random_network(seed)
    ties = channel_ties(model)
    assert ties == channel_ties(float_graph(model))
    assert fixed_ties(model) == fixed_ties(float_graph(model))
    assert set(ties) == set(model.tensors)
    assert all(ties[first] == first for first in ties.values())
    order = [model.input, *(n.output for n in model.nodes)]
    for node in model.nodes:
        if not isinstance(node, Conv) or node.groups > 1:
            assert {ties[name] for name in node.inputs} == {ties[node.output]}
    for first, names in tied_tensors(model).items():
        assert list(names) == sorted(names, key=order.index)
        assert names[0] == first
        assert len({model.tensors[name].channels for name in names}) == 1
