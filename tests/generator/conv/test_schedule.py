"""Passes of the accelerator: modes, what is fused, and everything that is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from shiftforge.errors import InputError
from shiftforge.generator.conv.schedule import Schedule, schedule
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.types import Add, AveragePool, Conv, Grid, Node, QuantizedModel


def with_nodes(model: QuantizedModel, **changes: dict[str, object]) -> QuantizedModel:
    """The model with fields of nodes changed; "." in a node's name is written "__"."""
    nodes = []
    for node in model.nodes:
        wanted = changes.get(node.name.replace(".", "__"), {})
        nodes.append(replace(node, **wanted) if wanted else node)  # type: ignore[arg-type]
    return replace(model, nodes=tuple(nodes))


@pytest.fixture(scope="module")
def mobilenet() -> QuantizedModel:
    return random_model(4, ModelOptions(height=12, width=12))


@pytest.fixture(scope="module")
def passes(mobilenet: QuantizedModel) -> Schedule:
    return schedule(mobilenet)


def test_every_node_is_in_one_pass(mobilenet: QuantizedModel, passes: Schedule) -> None:
    held: list[Node] = []
    for layer in passes.layers:
        held += [n for n in (layer.conv, layer.add, layer.pool) if n is not None]
    assert sorted(n.name for n in held) == sorted(n.name for n in mobilenet.nodes)
    assert [layer.index for layer in passes.layers] == list(range(11))
    assert [layer.conv.name for layer in passes.layers] == [c.name for c in mobilenet.conv_nodes()]


def test_modes_follow_the_convolutions(passes: Schedule) -> None:
    modes = {layer.conv.name: layer.mode for layer in passes.layers}
    assert modes["stem"] == "pointwise"  # on the image, taps laid out as channels
    assert modes["first.depthwise"] == modes["block2.depthwise"] == "depthwise"
    assert modes["block1.expand"] == modes["classifier"] == "pointwise"
    assert all(layer.source == layer.conv.source for layer in passes.layers)


def test_the_image_is_laid_out_for_the_stem(mobilenet: QuantizedModel, passes: Schedule) -> None:
    image, stem = passes.image, passes.layers[0]
    assert (image.channels, image.rows, image.columns) == (27, 6, 6) == stem.in_shape
    assert (image.kernel, image.stride, image.top, image.left) == (3, 2, 0, 0)
    assert stem.weight.shape == (8, 27) and stem.stride == 1
    weight = mobilenet.conv_nodes()[0].weight
    assert np.array_equal(stem.weight[:, 9 + 3 + 2], weight[:, 1, 1, 2])


def test_additions_and_pools_are_fused(passes: Schedule) -> None:
    by_name = {layer.conv.name: layer for layer in passes.layers}
    project = by_name["block1.project"]
    assert project.add is not None and project.add.name == "block1.add"
    assert project.skip is not None and project.skip.name == "t.pw0"
    assert project.result.name == "t.add1" and project.conv_output.name == "t.pw1"
    head = by_name["head"]
    assert head.pool is not None and head.result.shape == (33, 1, 1)
    assert head.out_shape[1:] != (1, 1)
    assert sum(layer.add is not None for layer in passes.layers) == 1
    assert sum(layer.pool is not None for layer in passes.layers) == 1


def test_only_the_wide_output_is_direct(passes: Schedule) -> None:
    assert [layer.direct for layer in passes.layers] == [False] * 10 + [True]
    assert not any(layer.exported for layer in passes.layers)


def test_an_addition_that_ends_the_network_is_exported(mobilenet: QuantizedModel) -> None:
    names = [node.name for node in mobilenet.nodes]
    short = replace(
        mobilenet, nodes=mobilenet.nodes[: names.index("block1.add") + 1], output="t.add1"
    )
    last = schedule(short).layers[-1]
    assert last.exported and not last.direct and last.result.name == "t.add1"


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "mode"),
    [(1, 1, 1, "pointwise"), (3, 1, 1, "standard"), (3, 2, 1, "standard"), (5, 2, 1, "standard"),
     (3, 1, 6, "depthwise"), (1, 1, 6, "depthwise"), (1, 2, 6, "depthwise")],
)  # fmt: skip
def test_modes_behind_the_image(kernel: int, stride: int, groups: int, mode: str) -> None:
    """A depthwise kernel of 1 is the first tap of a 3x3 one."""
    model = random_conv(
        1,
        ConvOptions(
            in_channels=6,
            out_channels=6,
            kernel=kernel,
            stride=stride,
            groups=groups,
            height=9,
            width=9,
            padding=(0, 0, 0, 0),
        ),
    )
    conv = model.conv_nodes()[0]
    if groups == 1:  # put a layer before it, so that it does not read the image
        first = random_conv(
            2,
            ConvOptions(
                in_channels=2, out_channels=6, kernel=1, height=9, width=9, padding=(0, 0, 0, 0)
            ),
        )
        before = replace(first.conv_nodes()[0], name="before", output="between")
        between = replace(model.tensors["input"], name="between")
        model = replace(
            model, nodes=(before, replace(conv, input="between")),
            tensors={**model.tensors, "input": first.tensors["input"], "between": between},
        )  # fmt: skip
    layer = schedule(model).layers[-1]
    assert layer.mode == mode and layer.stride == stride
    if mode != "pointwise":
        assert layer.weight.shape[-2:] == (3, 3)
    if kernel == 1 and mode != "pointwise":
        assert np.array_equal(layer.weight[..., 0, 0].reshape(-1), conv.weight.reshape(-1))
        assert np.count_nonzero(layer.weight) == np.count_nonzero(conv.weight)


REFUSED: dict[str, tuple[str, Callable[[Conv], dict[str, object]], str]] = {
    "stride": ("block2.depthwise", lambda c: {"stride": 5}, "stride 5"),
    "32 bits": ("classifier", lambda c: {"stride": 3, "weight": c.weight.repeat(2, 3)}, "stride 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_names_the_module(case: str, mobilenet: QuantizedModel) -> None:
    name, change, message = REFUSED[case]
    conv = next(c for c in mobilenet.conv_nodes() if c.name == name)
    bad = with_nodes(mobilenet, **{name.replace(".", "__"): change(conv)})
    with pytest.raises(InputError, match=message) as caught:
        schedule(bad)
    [problem] = caught.value.problems  # nothing that follows from it is reported besides
    assert problem.where == f"{name} (example.{name})" and problem.remedy


def test_all_refusals_come_at_once(mobilenet: QuantizedModel) -> None:
    changes: dict[str, dict[str, object]] = {
        "block1__depthwise": {"stride": 6}, "block2__depthwise": {"stride": 5}
    }  # fmt: skip
    around, constants = (1, 1, 1, 1), tuple((n, 1, 3) for n in (4, 6, 9))
    extra = AveragePool("loose", "example.loose", "t.dw2", "t.loose", (3, 3), (1, 1), around,
                        (0, 0, 0, 0), constants, 0, 255)  # fmt: skip
    bad = with_nodes(mobilenet, **changes)
    tensors = {**bad.tensors, "t.loose": replace(bad.tensors["t.dw2"], name="t.loose")}
    bad = replace(bad, nodes=(*bad.nodes, extra), tensors=tensors)
    with pytest.raises(InputError) as caught:
        schedule(bad)
    where = [p.where for p in caught.value.problems]
    # block2.depthwise's result now has two readers, which is no fault of its own.
    assert [w.split()[0] for w in where] == ["block1.depthwise", "block2.depthwise", "loose"]
    assert all(f"(example.{w.split()[0]})" in w for w in where)


def test_an_addition_without_a_convolution_of_its_own_gets_a_copy(
    mobilenet: QuantizedModel,
) -> None:
    other = Add("second.add", "example.second", "t.add1", "t.pw1", "t.second", -128, 127)
    names = [node.name for node in mobilenet.nodes]
    at = names.index("block1.add") + 1
    nodes = list(mobilenet.nodes)
    nodes.insert(at, other)
    nodes[at + 1] = replace(nodes[at + 1], input="t.second")  # type: ignore[call-arg]
    tensors = {**mobilenet.tensors, "t.second": replace(mobilenet.tensors["t.add1"],
                                                        name="t.second")}  # fmt: skip
    found = schedule(replace(mobilenet, nodes=tuple(nodes), tensors=tensors))
    passes = {own.add.name: own for own in found.layers if own.add is not None}
    # The convolution's result has two readers now, so that both additions are a copy's.
    assert [passes[name].conv.name for name in ("block1.add", "second.add")] == [
        "block1.add:read", "second.add:read"
    ]  # fmt: skip
    assert not passes["second.add"].macs


def test_results_wider_than_the_lanes_are_refused(mobilenet: QuantizedModel) -> None:
    names = [node.name for node in mobilenet.nodes]
    wide = replace(mobilenet.tensors["t.add1"], grid=Grid(12, True, -8))
    bad = replace(
        mobilenet, nodes=mobilenet.nodes[: names.index("block1.add") + 1], output="t.add1",
        tensors={**mobilenet.tensors, "t.add1": wide},
    )  # fmt: skip
    with pytest.raises(InputError, match="has 12 bits"):
        schedule(bad)


def test_output_grids_that_leave_32_bits_are_refused(mobilenet: QuantizedModel) -> None:
    logits = mobilenet.tensors["logits"]
    for grid, message in (
        (Grid(32, True, logits.grid.exponent - 16), r"channel \d+ needs \d+ bits"),
        (Grid(32, False, logits.grid.exponent), "unsigned"),
    ):
        tensors = {**mobilenet.tensors, "logits": replace(logits, grid=grid)}
        with pytest.raises(InputError, match=message):
            schedule(replace(mobilenet, tensors=tensors))


def test_a_network_without_convolutions_is_refused(mobilenet: QuantizedModel) -> None:
    with pytest.raises(InputError, match="no convolution"):
        schedule(replace(mobilenet, nodes=()))


@pytest.mark.parametrize("seed", range(24))
def test_layers_lie_in_the_model_s_orders(seed: int) -> None:
    """Every number of a layer by hand, from the model and the orders of its two tensors."""
    model = random_network(seed, orders=True, multiplier_requant=seed % 2 == 1)
    plain = schedule(replace(model, orders={})).layers
    for own, before in zip(schedule(model).layers, plain, strict=True):
        conv = before.conv
        # Copies lie as what they copy.
        out, x = (name.partition(":")[0] for name in (conv.output, conv.input))
        written = model.orders.get(out, np.arange(len(conv.bias)))
        read = model.orders.get(x, np.arange(conv.weight.shape[1] * conv.groups))
        assert (own.mode, own.in_shape, own.result, own.skip) == (
            before.mode, before.in_shape, before.result, before.skip
        )  # fmt: skip
        for place, channel in enumerate(written):
            assert own.conv.bias[place] == conv.bias[channel]
            assert own.conv.z[place] == conv.z[channel]
            assert own.conv.acc_bits[place] == conv.acc_bits[channel]
            if conv.multiplier is not None and own.conv.multiplier is not None:
                assert own.conv.multiplier[place] == conv.multiplier[channel]
            wanted = before.weight[channel]
            if before.mode != "depthwise" and conv.input != model.input:
                wanted = wanted[read]
            assert np.array_equal(own.weight[place], wanted)
        if own.skip is not None:
            assert np.array_equal(model.orders.get(own.skip.name, written), written)


def test_the_image_and_the_output_keep_the_network_s_order() -> None:
    model = random_network(3, orders=True)
    laid_out, plain = schedule(model), schedule(replace(model, orders={}))
    assert laid_out.image == plain.image and laid_out.streamed == plain.streamed
    first, last = laid_out.layers[0], laid_out.layers[-1]
    order = model.orders[first.conv.output]
    assert np.array_equal(first.weight, plain.layers[0].weight[order])
    assert np.array_equal(last.conv.bias, plain.layers[-1].conv.bias)
