"""Quantised ONNX models: scales that are powers of two stay, others are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.onnx_models import model_of, saved, weights
from torch import nn
from torch.nn import functional

from shiftforge.cli.main import cli
from shiftforge.errors import InputError
from shiftforge.quant.calibrate.kept import told
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.onnx import load_proto
from shiftforge.quant.capture.onnx import codes
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.export.qdq import export_onnx
from shiftforge.quant.graph.jsonform import to_json
from shiftforge.quant.graph.types import Grid, Preprocess, QuantizedModel
from shiftforge.quant.quantisation import Quantisation
from shiftforge.quant.quantize import quantize

pytest.importorskip("onnx")
SHAPE = (3, 16, 16)
QUICK = Quantisation(calibration="minmax")


class Net(nn.Module):
    """What every part of an export is written for: all kinds of nodes, and a wide sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.deep, self.down = nn.Conv2d(16, 40, 1), nn.Conv2d(40, 48, 3, padding=1)
        self.classes = nn.Linear(48, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.first(x), self.other(x)
        joined = torch.cat([functional.relu6(a + b), functional.relu6(b[:, :8] * 4)], 1)
        y = functional.silu(self.deep(functional.max_pool2d(joined, 3, 2, 1)))
        y = self.down(functional.avg_pool2d(y, 3, 2, 1, count_include_pad=False))
        return self.classes(functional.channel_shuffle(y.relu(), 4).mean((2, 3))).sigmoid()


def captured() -> FloatGraph:
    torch.manual_seed(3)
    return capture(Net(), SHAPE, Preprocess(*SHAPE, (0.5,) * 3, (0.25,) * 3), "net", list("abcde"))


def integers(graph: FloatGraph, seed: int, how: Quantisation = QUICK) -> QuantizedModel:
    taken = graph.preprocess
    shape = (4, taken.height, taken.width, taken.channels)
    return quantize(graph, np.random.default_rng(seed).integers(0, 256, shape, np.uint8), how)


def differing(one: QuantizedModel, other: QuantizedModel) -> list[str]:
    """What of two integer graphs differs, but for how they came to be."""
    (a, mine), (b, theirs) = to_json(one), to_json(other)
    found = [key for key in a if key not in ("meta", "arrays_sha256") and a[key] != b.get(key)]
    arrays = [name for name in mine if not name.startswith("float/")]
    return found + [n for n in arrays if not np.array_equal(mine[n], theirs.get(n))]


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return integers(captured(), 0)


def test_an_export_read_back_has_the_same_integers(model: QuantizedModel) -> None:
    """Calibrated on other frames, with compensated rounding and equalisation to mislead it."""
    again = integers(load_proto(export_onnx(model), "net"), 1)
    assert differing(model, again) == []
    facts = again.meta["stored_scales"]
    assert len(facts["weights"]) == 6 and facts["requantised"] == {}
    assert set(facts["maps"]) == {*model.tensors} - {model.output}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["int", "shift"])
def test_so_has_a_published_network(scheme: str) -> None:
    how = Quantisation(scheme=scheme)
    model = integers(load_source("mobilenet_v2_random:0.35:32"), 0, how)
    assert differing(model, integers(load_proto(export_onnx(model), model.name), 1, how)) == []


def test_a_scale_that_was_changed_is_seen(model: QuantizedModel) -> None:
    from onnx import numpy_helper

    proto, exponent = export_onnx(model), model.tensors["first"].grid.exponent
    twice = numpy_helper.from_array(np.float32(2.0 ** (exponent + 1)), "twice")
    proto.graph.initializer.append(twice)
    for node in proto.graph.node:
        if node.output[0] in ("first", "first.codes"):
            node.input[1] = "twice"
    again = integers(load_proto(proto, "net"), 0)
    assert again.tensors["first"].grid.exponent == exponent + 1
    assert differing(model, again) != []


def quantised(scale: float, kind: type = np.int8, zero: int = 0, weight: float = 0.01) -> Any:
    """A model whose first convolution has integer weights and whose result is on a grid."""
    return model_of(
        [
            ("DequantizeLinear", ["wq", "ws"], "w", {}),
            ("Conv", ["x", "w"], "a", {}),
            ("QuantizeLinear", ["a", "s", "z"], "q", {}),
            ("DequantizeLinear", ["q", "s", "z"], "b", {}),
            ("Conv", ["b", "v"], "y", {}),
        ],
        {"wq": np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3), "ws": np.float32(weight),
         "s": np.float32(scale), "z": np.array(zero, kind), "v": weights(2, 4, 1, 1)},
        [1, 3, 8, 8], opset=21,
    )  # fmt: skip


def test_integers_stand_for_what_they_mean() -> None:
    first, second = load_proto(quantised(0.25), "int8").nodes
    assert isinstance(first, FloatConv) and isinstance(second, FloatConv)
    wanted = np.arange(-54, 54).reshape(4, 3, 3, 3) * np.float32(0.01)
    assert np.allclose(first.weight, wanted, rtol=1e-6) and first.activation == "none"


def test_a_range_from_zero_is_a_relu() -> None:
    """Exports leave out a ReLU whose work the unsigned range does."""
    first = load_proto(quantised(0.25, np.uint8), "uint8").nodes[0]
    assert isinstance(first, FloatConv) and first.activation == "relu"


@pytest.mark.parametrize(
    ("scale", "kind", "zero", "grid"),
    [
        (0.25, np.int8, 0, Grid(8, True, -2)),
        (8.0, np.uint8, 0, Grid(8, False, 3)),
        (0.5, np.uint8, 128, Grid(8, True, -1)),
        (0.5, np.int8, -128, Grid(8, False, -1)),
        (0.3, np.int8, 0, "its scale 0.3 is no power of two"),
        (0.25, np.uint8, 100, "its codes stand for -100 to 155 steps"),
        (0.25, np.uint16, 0, "its codes stand for 0 to 65535 steps"),
    ],
)
def test_which_scales_of_maps_are_kept(scale: float, kind: type, zero: int, grid: Any) -> None:
    graph = load_proto(quantised(scale, kind, zero), "m")
    model = integers(graph, 0)
    facts = model.meta["stored_scales"]
    if isinstance(grid, Grid):
        (name,) = facts["maps"]
        assert model.tensors[name].grid == grid and "b" not in facts["requantised"]
    else:
        assert facts["maps"] == {} and facts["requantised"]["b"] == grid
        assert any(grid in line for line in told(facts))


@pytest.mark.parametrize(
    ("weight", "scheme", "why"),
    [
        (0.125, "int", None),
        (0.125, "shift", "no levels of the chosen format"),
        (0.01, "int", "the scale 0.01 of its weights is no power of two"),
    ],
)
def test_which_weights_are_kept(weight: float, scheme: str, why: str | None) -> None:
    graph = load_proto(quantised(0.25, weight=weight), "m")
    model = integers(graph, 0, Quantisation(scheme=scheme))
    facts, first = model.meta["stored_scales"], model.nodes[0]
    assert facts["weights"] == ([] if why else [first.name])
    if why:
        assert why in facts["requantised"][first.name]
    else:
        assert (first.weight.ravel() == np.arange(-54, 54)).all() and (first.z == -3).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("overlap", [False, True])
def test_parts_of_a_sum_are_one_convolution(overlap: bool) -> None:
    """As exports write what float32 does not hold, where no weight stands in two parts."""
    codes = np.random.default_rng(0).integers(1, 9, (4, 3, 3, 3)).astype(np.int8)
    first = codes[:, :2].copy()
    first[:, 1, 1:] = 0
    rest = codes[:, 1:].copy()
    rest[:, 0, : 0 if overlap else 1] = 0
    ends = {f"n{n}": np.array([n], np.int64) for n in range(4)}
    model = model_of(
        [
            ("QuantizeLinear", ["x", "s", "z"], "xq", {}),
            ("DequantizeLinear", ["xq", "s", "z"], "b", {}),
            ("Slice", ["b", "n0", "n2", "n1"], "b0", {}),
            ("DequantizeLinear", ["first", "s", "z"], "w0", {}),
            ("Conv", ["b0", "w0"], "y0", {}),
            ("Cast", ["y0"], "d0", {"to": 11}),
            ("Slice", ["b", "n1", "n3", "n1"], "b1", {}),
            ("DequantizeLinear", ["rest", "s", "z"], "w1", {}),
            ("Conv", ["b1", "w1"], "y1", {}),
            ("Cast", ["y1"], "d1", {"to": 11}),
            ("Add", ["d0", "d1"], "t", {}),
            ("Cast", ["t"], "y", {"to": 1}),
        ],
        {"first": first, "rest": rest, "s": np.float32(0.25), "z": np.array(0, np.int8), **ends},
        [1, 3, 8, 8],
    )  # fmt: skip
    graph = load_proto(model, "m")
    convolutions = [node for node in graph.nodes if isinstance(node, FloatConv)]
    assert len(convolutions) == (2 if overlap else 1)
    if not overlap:
        assert (convolutions[0].weight == codes * 0.25).all()
        assert (graph.stored.exponents[convolutions[0].name] == -2).all()


def bounded(low: float, high: float, kind: type, scale: float) -> Any:
    return model_of(
        [
            ("Conv", ["x", "w"], "a", {}),
            ("Clip", ["a", "low", "high"], "c", {}),
            ("QuantizeLinear", ["c", "s", "z"], "q", {}),
            ("DequantizeLinear", ["q", "s", "z"], "b", {}),
            ("Conv", ["b", "v"], "y", {}),
        ],
        {"w": weights(4, 3, 3, 3), "low": np.float32(low), "high": np.float32(high),
         "s": np.float32(scale), "z": np.array(0, kind), "v": weights(2, 4, 1, 1)},
        [1, 3, 8, 8],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "grid", "activation"),
    [
        (bounded(0, 3.75, np.uint8, 0.25), Grid(4, False, -2), "relu"),
        (bounded(-2, 1.75, np.int8, 0.25), Grid(4, True, -2), "none"),
        (bounded(0, 6, np.uint8, 0.03125), Grid(8, False, -5), "relu6"),
        (bounded(0, 8, np.uint8, 4.0), Grid(8, False, 2), "relu6"),
        (bounded(0, 31.75, np.int8, 0.25), Grid(8, True, -2), "relu"),
    ],
)
def test_bounds_before_a_grid_are_its_range_or_an_activation(
    model: Any, grid: Grid, activation: str
) -> None:
    graph = load_proto(model, "m")
    first = graph.nodes[0]
    assert isinstance(first, FloatConv) and first.activation == activation
    assert graph.stored.grids == {first.output: grid} and len(graph.nodes) == 2


def test_maps_that_share_a_grid_keep_it_where_they_agree() -> None:
    def pooled(after: float) -> Any:
        return model_of(
            [
                ("Conv", ["x", "w"], "a", {}),
                ("QuantizeLinear", ["a", "s", "z"], "q", {}),
                ("DequantizeLinear", ["q", "s", "z"], "b", {}),
                ("MaxPool", ["b"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
                ("QuantizeLinear", ["p", "t", "z"], "r", {}),
                ("DequantizeLinear", ["r", "t", "z"], "c", {}),
                ("Conv", ["c", "v"], "y", {}),
            ],
            {"w": weights(4, 3, 3, 3), "s": np.float32(0.25), "t": np.float32(after),
             "z": np.array(0, np.int8), "v": weights(2, 4, 1, 1)},
            [1, 3, 8, 8],
        )  # fmt: skip

    assert len(integers(load_proto(pooled(0.25), "m"), 0).meta["stored_scales"]["maps"]) == 2
    facts = integers(load_proto(pooled(0.5), "m"), 0).meta["stored_scales"]
    assert facts["maps"] == {} and sum("on others" in v for v in facts["requantised"].values()) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: quantised(0.0), "its scale is 0"),
        (lambda model: quantised(-0.5), "its scale is -0.5"),
        (lambda model: quantised(float("nan")), "its scale is nan"),
    ],
)
def test_scales_that_are_none(change: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_proto(change(None), "m")


def test_the_command_says_what_was_kept(tmp_path: Path) -> None:
    path = saved(quantised(0.25, weight=0.125), tmp_path)
    arguments = ["quantize", str(path), "-o", str(tmp_path / "m.safetensors"), "--calib"]
    done = CliRunner().invoke(cli, [*arguments, "random:0", "--calib-limit", "2", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)["meta"]["stored_scales"]
    assert len(facts["maps"]) == 1 and len(facts["requantised"]) == 2
    assert "those of 1 maps and the integer weights of 0 layers are kept" in done.stderr
    assert "no levels of the chosen format" in done.stderr


def test_weights_that_are_none_are_refused() -> None:
    nodes = [("Conv", ["x", "w"], "y", {"kernel_shape": [3, 3]})]
    with pytest.raises(InputError, match="Conv: its attributes or constants do not fit") as caught:
        load_proto(model_of(nodes, {"w": weights(4)}, [1, 3, 8, 8]), "m")
    assert caught.value.problems[0].where == "conv_0"


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(-np.inf, 6.0, 0.25), (0.0, np.inf, 0.25), (np.nan, 1.0, 0.25), (0.0, 3.0, 1e-42)],
)
def test_odd_bounds_before_a_grid_end_in_a_graph_or_a_refusal(
    low: float, high: float, scale: float
) -> None:
    try:
        load_proto(bounded(low, high, np.uint8, scale), "m")
    except InputError as error:
        assert all(problem.remedy for problem in error.problems)


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_damaged_models_end_in_a_graph_or_a_refusal(model: QuantizedModel, count: int) -> None:
    """Numbers, attributes, metadata and wiring of an export, changed at random."""
    from onnx import ModelProto, numpy_helper

    data, random = export_onnx(model).SerializeToString(), np.random.default_rng(count)
    for _ in range(count):
        proto = ModelProto()
        proto.ParseFromString(data)
        tensor = proto.graph.initializer[random.integers(len(proto.graph.initializer))]
        value = numpy_helper.to_array(tensor).copy()
        node = proto.graph.node[random.integers(len(proto.graph.node))]
        match random.integers(5):
            case 0:
                wild = random.choice([0, 1, -1, 3, 100, 1e30, np.inf, np.nan])
                if value.dtype.kind == "f":
                    value.flat[0] = wild
                else:
                    value.flat[0] = random.integers(-2, 100)
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
            case 1:
                tensor.CopyFrom(numpy_helper.from_array(value.reshape(-1)[:1], tensor.name))
            case 2:
                for attribute in node.attribute:
                    if attribute.ints:
                        attribute.ints[0] = int(random.integers(-3, 5))
                    attribute.i = int(random.integers(-3, 5))
            case 3:
                entry = proto.metadata_props[random.integers(len(proto.metadata_props))]
                entry.value = str(random.choice(["{}", "[]", "3", '{"table": ["x"]}', "{"]))
            case _:
                other = proto.graph.node[random.integers(len(proto.graph.node))]
                node.input[0] = other.input[0]
        try:
            load_proto(proto, "m")
        except InputError as error:
            assert error.problems and all(problem.remedy for problem in error.problems)


def test_a_damaged_quantised_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: object) -> None:
        raise IndexError("beyond the axes")

    monkeypatch.setattr(codes, "bounded", damaged)
    with pytest.raises(InputError, match="quantised form is damaged: IndexError: beyond"):
        load_proto(quantised(0.25), "m")
