"""Every fault that a model can have is planted and must be named with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.summary import summarise
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    IntFormat,
    Node,
    Pool,
    QuantizedModel,
    ShiftFormat,
    WeightFormat,
)
from shiftforge.quant.graph.verify import verify

MODEL = random_model(1)
MULTIPLIED = random_model(1, ModelOptions(requant="multiplier"))


def node(model: QuantizedModel, target: str, /, **changes: Any) -> QuantizedModel:
    """The model with fields of one node changed."""
    nodes = tuple(replace(n, **changes) if n.name == target else n for n in model.nodes)
    assert nodes != model.nodes
    return replace(model, nodes=nodes)


def tensor(model: QuantizedModel, key: str, /, **changes: Any) -> QuantizedModel:
    """The model with fields of one tensor changed."""
    tensors = dict(model.tensors)
    tensors[key] = replace(tensors[key], **changes)
    return replace(model, tensors=tensors)


def array(model: QuantizedModel, name: str, part: str, index: Any, value: Any) -> QuantizedModel:
    """The model with one element of one array of a convolution changed."""
    conv = next(n for n in model.conv_nodes() if n.name == name)
    changed = getattr(conv, part).copy()
    changed[index] = value
    return node(model, name, **{part: changed})


def find(name: str, model: QuantizedModel = MODEL) -> Any:
    return next(n for n in model.nodes if n.name == name)


def grid(model: QuantizedModel, name: str, **changes: Any) -> QuantizedModel:
    """The model with fields of one tensor's grid changed."""
    return tensor(model, name, grid=replace(model.tensors[name].grid, **changes))


def moved(model: QuantizedModel, index: int, to: int) -> QuantizedModel:
    nodes: list[Node] = list(model.nodes)
    nodes.insert(to, nodes.pop(index))
    return replace(model, nodes=tuple(nodes))


def floats(changes: Mapping[str, Any]) -> QuantizedModel:
    kept = {k: v for k, v in {**MODEL.floats, **changes}.items() if v is not None}
    return replace(MODEL, floats=kept)


def preprocess(**changes: Any) -> QuantizedModel:
    return replace(MODEL, preprocess=replace(MODEL.preprocess, **changes))


def without_tensor(name: str) -> QuantizedModel:
    return replace(MODEL, tensors={k: v for k, v in MODEL.tensors.items() if k != name})


STEM = find("stem")
FAULTS: dict[str, tuple[Callable[[], QuantizedModel], str]] = {
    "unknown tensor": (
        lambda: node(MODEL, "head", input="nowhere"), r"head \(example.head\): reads unknown"),
    "undeclared output": (
        lambda: without_tensor("t.ex1"), r"block1.expand .*: writes unknown tensor 't.ex1'"),
    "order": (lambda: moved(MODEL, 2, 5), r"block1.expand .*: reads 't.pw0' before"),
    "two producers": (
        lambda: node(MODEL, "block1.project", output="t.dw1"),
        r"block1.project .*: writes 't.dw1', which has a producer already"),
    "overwritten input": (
        lambda: node(MODEL, "block1.project", output="input"), "'input', which has a producer"),
    "orphan": (
        lambda: replace(MODEL, tensors={
            **MODEL.tensors, "left": replace(MODEL.tensors["input"], name="left")}),
        "tensor 'left': is produced by no node"),
    "dead end": (
        lambda: replace(MODEL, output="t.pool"), "tensor 'logits': is read by no node"),
    "no output": (lambda: replace(MODEL, output="none"), "no node produces the output"),
    "unknown input": (lambda: replace(MODEL, input="none"), "unknown input tensor"),
    "no nodes": (lambda: replace(MODEL, nodes=()), "no nodes"),
    "double name": (lambda: node(MODEL, "head", name="stem"), "stem: 2 nodes carry this name"),
    "name": (lambda: node(MODEL, "head", name="a b"), "name outside the pattern"),
    "source": (lambda: node(MODEL, "head", source="x */ y"), "not plain text"),
    "tensor key": (
        lambda: replace(MODEL, tensors={**MODEL.tensors, "other": MODEL.tensors["input"]}),
        "listed under the name 'other'"),
    "tensor name": (lambda: tensor(MODEL, "t.head", name="t\n"), "name outside the pattern"),
    "tensor size": (lambda: tensor(MODEL, "t.head", height=0), "sides are 1"),
    "grid bits": (lambda: grid(MODEL, "t.head", bits=40), "grid of 40 bits"),
    "grid exponent": (lambda: grid(MODEL, "t.head", exponent=99), "exponent 99 beyond"),
    "wide input": (
        lambda: grid(MODEL, "t.ex1", bits=9), r"block1.depthwise .*: reads 't.ex1', a grid of 9"),
    "conv height": (
        lambda: tensor(MODEL, "t.stem", height=MODEL.tensors["t.stem"].height + 1),
        r"stem .*: output has the shape"),
    "conv padding": (lambda: node(MODEL, "stem", padding=(1, 1, 1, -1)), "four sizes >= 0"),
    "conv stride": (lambda: node(MODEL, "stem", stride=0), "stride 0, dilation 1"),
    "stride shape": (lambda: node(MODEL, "stem", stride=1), r"stem .*: output has the shape"),
    "dilation": (lambda: node(MODEL, "first.depthwise", dilation=2), "output has the shape"),
    "groups": (lambda: node(MODEL, "first.depthwise", groups=3), "do not divide by 3 groups"),
    "channels": (lambda: node(MODEL, "first.depthwise", groups=4), "weight reads 4 channels"),
    "weight dtype": (
        lambda: node(MODEL, "stem", weight=STEM.weight.astype(np.int16)), "weight is int16"),
    "weight shape": (lambda: node(MODEL, "stem", weight=STEM.weight[0]), r"not int8 \(O, I/g"),
    "z dtype": (lambda: node(MODEL, "stem", z=STEM.z.astype(np.int32)), r"stem .*: z is int32"),
    "bias shape": (lambda: node(MODEL, "stem", bias=STEM.bias[:-1]), "bias is int32"),
    "acc_bits dtype": (
        lambda: node(MODEL, "stem", acc_bits=STEM.acc_bits.astype(np.int8)), "acc_bits is int8"),
    "weight value": (
        lambda: array(MODEL, "head", "weight", (2, 3, 0, 0), 11),
        r"head .*: 1 weights are no values .* 11 at \(2, 3, 0, 0\)"),
    "weight -128": (lambda: array(MODEL, "head", "weight", (0, 0, 0, 0), -128), "-128 at"),
    "one term": (
        lambda: node(MODEL, "head", format=ShiftFormat(4, 1)), r"head .*weights are no values"),
    "format": (lambda: node(MODEL, "head", format=ShiftFormat(5)), "shift format of 5 bits"),
    "mode": (lambda: node(MODEL, "head", format=ShiftFormat(mode="S1")), "mode S1 holds one"),
    "int format": (lambda: node(MODEL, "head", format=IntFormat(9)), "integer weights of 9"),
    "z range": (lambda: array(MODEL, "stem", "z", 1, -90), "weight exponent -90 is beyond"),
    "shift range": (
        lambda: array(MODEL, "stem", "z", 1, -60), r"channel 1 is requantised by a shift of"),
    "acc too small": (
        lambda: array(MODEL, "stem", "acc_bits", 3, 9), "acc_bits 9 of channel 3 is too small"),
    "acc too wide": (
        lambda: array(MODEL, "stem", "acc_bits", 3, 33), "needs an accumulator of 33 bits"),
    "acc overflow": (
        lambda: array(array(MODEL, "stem", "bias", 0, 2**31 - 1), "stem", "acc_bits", 0, 40),
        "needs an accumulator of 40 bits"),
    "bias grows": (lambda: array(MODEL, "stem", "bias", 0, 2**29), "of channel 0 is too small"),
    "half multiplier": (
        lambda: node(MULTIPLIED, "stem", shift=None), "one of multiplier and shift"),
    "multiplier 0": (
        lambda: array(MULTIPLIED, "stem", "multiplier", 2, 0), "multiplier 0 of channel 2"),
    "multiplier wide": (
        lambda: array(MULTIPLIED, "stem", "multiplier", 2, 2**31), "of channel 2 is out of"),
    "multiplier shift": (
        lambda: array(MULTIPLIED, "stem", "shift", 2, 63), "shift 63 of channel 2"),
    "clamp order": (lambda: node(MODEL, "stem", lo=9, hi=3), r"stem .*: clamp bounds are swapped"),
    "clamp range": (lambda: node(MODEL, "block1.add", hi=128), r"block1.add .*: clamp .* leaves"),
    "add shape": (
        lambda: node(MODEL, "block1.add", b="t.ex1"), r"block1.add .*: b has the shape"),
    "add exponents": (
        lambda: grid(MODEL, "t.pw1", exponent=20), r"block1.add .*: exponents of the inputs"),
    "add output": (lambda: grid(MODEL, "t.add1", exponent=20), "exponents of output and finer"),
    "pool shape": (lambda: tensor(MODEL, "t.pool", height=2), r"pool .*: output has the shape"),
    "pool constant": (
        lambda: node(MODEL, "pool", multiplier=int(find("pool").multiplier * 1.01)),
        r"pool .*: pool constant .* away from"),
    "pool zero": (lambda: node(MODEL, "pool", multiplier=0), "pool constant 0 / .* out of range"),
    "pool shift": (lambda: node(MODEL, "pool", shift=32), "out of range"),
    "pool width": (
        lambda: node(MODEL, "pool", multiplier=find("pool").multiplier << 9, shift=31),
        "pool sum times constant needs"),
    "preprocess size": (lambda: preprocess(height=3), "preprocess: makes"),
    "mean count": (lambda: preprocess(mean=(0.0,)), "1 values of mean for 3 channels"),
    "mean NaN": (lambda: preprocess(mean=(0.0, float("nan"), 0.0)), "mean is not finite"),
    "std zero": (lambda: preprocess(std=(1.0, 0.0, 1.0)), "std is not positive"),
    "labels": (lambda: replace(MODEL, labels=("cat",)), "1 labels for 10 output channels"),
    "meta": (lambda: replace(MODEL, meta={"x": {1, 2}}), "cannot be written as JSON"),
    "meta NaN": (lambda: replace(MODEL, meta={"x": float("nan")}), "cannot be written as JSON"),
    "float NaN": (
        lambda: floats({"stem.weight": MODEL.floats["stem.weight"] * np.float32("nan")}),
        "'stem.weight': holds NaN"),
    "float shape": (
        lambda: floats({"stem.bias": MODEL.floats["stem.bias"][1:]}), "'stem.bias': is float32"),
    "float dtype": (
        lambda: floats({"stem.bias": MODEL.floats["stem.bias"].astype(np.float64)}), "float64"),
    "float extra": (lambda: floats({"x.bias": np.zeros(1, np.float32)}), "no convolution"),
    "float missing": (lambda: floats({"stem.bias": None}), "'stem.bias': is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_named(fault: str) -> None:
    plant, message = FAULTS[fault]
    with pytest.raises(InputError, match=message):
        verify(plant())


def test_every_fault_is_reported_at_once() -> None:
    broken = array(node(node(MODEL, "stem", lo=9, hi=3), "pool", multiplier=0),
                   "head", "weight", (0, 0, 0, 0), 11)  # fmt: skip
    with pytest.raises(InputError) as caught:
        verify(replace(broken, labels=("cat",)))
    assert len(caught.value.problems) == 4
    assert {p.where.split(" ")[0] for p in caught.value.problems} == {
        "stem", "pool", "head", "labels",
    }  # fmt: skip


FORMATS: list[WeightFormat] = [
    ShiftFormat(), ShiftFormat(3, 2), ShiftFormat(4, 1, "S1"), IntFormat(4), IntFormat(8),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_models_are_valid(seed: int) -> None:
    common: dict[str, Any] = {
        "weight_format": FORMATS[seed % 5], "signed_input": bool(seed % 2),
        "requant": ("shift", "multiplier")[seed // 2 % 2], "input_bits": 2 + seed % 7,
    }  # fmt: skip
    verify(random_model(seed, ModelOptions(**common)))
    groupings: tuple[int | Literal["depthwise"], ...] = (1, 2, "depthwise")
    for groups in groupings:
        for kernel, stride in ((1, 1), (3, 1), (3, 2), (5, 3)):
            model = random_conv(
                seed, ConvOptions(kernel=kernel, stride=stride, groups=groups, **common)
            )
            verify(model)
            assert [n.name for n in model.nodes] == ["conv"]
            assert model.conv_nodes()[0].kernel == (kernel, kernel)


def test_random_model_follows_from_its_arguments() -> None:
    a, b = random_conv(5), random_conv(5)
    np.testing.assert_array_equal(a.conv_nodes()[0].weight, b.conv_nodes()[0].weight)
    assert a.tensors == b.tensors
    kinds = {type(n) for n in MODEL.nodes}
    assert kinds == {Conv, Add, Pool}
    assert MODEL.tensors["logits"].grid.bits == 32
    classifier = find("classifier")
    assert MODEL.tensors["logits"].grid.exponent == MODEL.tensors["t.pool"].grid.exponent + int(
        classifier.z.min()
    )
    with pytest.raises(InputError, match="do not divide"):
        random_conv(0, ConvOptions(groups=3, in_channels=4, out_channels=3))
    with pytest.raises(InputError, match="does not fit"):
        random_conv(0, ConvOptions(height=1, padding=(0, 0, 0, 0)))


def test_grids_have_the_ranges_the_verifier_uses() -> None:
    assert (Grid(8, True, 0).qmin, Grid(8, False, 0).qmax) == (-128, 255)


def test_summary_by_hand() -> None:
    model = random_conv(
        2,
        ConvOptions(
            kernel=3,
            stride=2,
            in_channels=2,
            out_channels=3,
            height=7,
            width=5,
            padding=(1, 1, 1, 1),
        ),
    )
    weight = np.zeros((3, 2, 3, 3), np.int8)
    weight[0, 0, 0] = [1, 3, -96]
    (layer,) = summarise(node(model, "conv", weight=weight))
    assert (layer.name, layer.kind) == ("conv", "standard")
    assert (layer.weights, layer.macs) == (54, 54 * 4 * 3)
    shares = [layer.zero_fraction, layer.one_term_fraction, layer.two_term_fraction]
    assert shares == pytest.approx([51 / 54, 1 / 54, 2 / 54])
    assert layer.storage_bytes == 3 * 20  # 18 bytes a row, padded to words
    assert layer.acc_bits == int(model.conv_nodes()[0].acc_bits.max())


def test_summary_kinds() -> None:
    kinds = {layer.name: layer.kind for layer in summarise(MODEL)}
    assert kinds["stem"] == "standard"
    assert kinds["block1.depthwise"] == "depthwise"
    assert kinds["head"] == "pointwise"
    assert kinds["classifier"] == "classifier"
    grouped = random_conv(0, ConvOptions(kernel=1, groups=2, in_channels=4, out_channels=4))
    assert summarise(grouped)[0].kind == "standard"
    uniform = summarise(random_conv(0, ConvOptions(weight_format=IntFormat(4))))[0]
    assert (uniform.one_term_fraction, uniform.two_term_fraction) == (None, None)
