"""The float ONNX export against the float graph, node kind by node kind, function by function."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.function import OPERATIONS, Function, Operand, X
from shiftforge.quant.capture.types import (
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMaxPool,
    FloatNode,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.export.runtime import run_float_onnx
from shiftforge.quant.graph.types import Preprocess

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SHAPE = (6, 7, 8)


def graph_of(node: FloatNode, shape: tuple[int, int, int]) -> FloatGraph:
    half = (0.5,) * SHAPE[0]
    return FloatGraph(
        "one", Preprocess(*SHAPE, half, half), "x", "y", {"x": SHAPE, "y": shape}, (node,)
    )


def agrees(graph: FloatGraph, low: float = -3.0, high: float = 3.0) -> None:
    frames = np.random.default_rng(1).uniform(low, high, (3, *SHAPE)).astype(np.float32)
    wanted = run_float(graph, torch.from_numpy(frames).double())[graph.output].numpy()
    got = run_float_onnx(graph, frames)[graph.output]
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def conv(activation: str) -> FloatConv:
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(4, 3, 3, 2)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    return FloatConv(
        "n",
        "n",
        "x",
        "y",
        weight,
        bias,
        2,
        (1, 0, 2, 1),
        2,
        2,
        activation,  # type: ignore[arg-type]
    )


NODES: list[tuple[FloatNode, tuple[int, int, int]]] = [
    *((conv(name), (4, 3, 4)) for name in ("none", "relu", "relu6")),
    (FloatAdd("n", "n", "x", "x", "y", "relu6"), SHAPE),
    (FloatPool("n", "n", "x", "y"), (6, 1, 1)),
    (FloatMaxPool("n", "n", "x", "y", (3, 2), (2, 3), (1, 1, 2, 0)), (6, 4, 3)),
    (FloatAveragePool("n", "n", "x", "y", (3, 2), (2, 1), (1, 1, 1, 1), (0, 1, 0, 0)), (6, 4, 9)),
    (FloatConcat("n", "n", ("x", "x"), "y"), (12, 7, 8)),
    (FloatSlice("n", "n", "x", "y", 1, 4), (3, 7, 8)),
    (FloatShuffle("n", "n", "x", "y", (5, 0, 0, 2)), (4, 7, 8)),
    (FloatUpsample("n", "n", "x", "y", (2, 3), "nearest"), (6, 14, 24)),
    (FloatUpsample("n", "n", "x", "y", (2, 3), "zeros", (1, 2)), (6, 14, 24)),
]


@pytest.mark.parametrize(("node", "shape"), NODES, ids=lambda v: type(v).__name__)
def test_every_kind_of_node(node: FloatNode, shape: tuple[int, int, int]) -> None:
    agrees(graph_of(node, shape))


NUMBERS = {"elu": (0.7, 1.1, 1.3), "softplus": (2.0, 20.0), "threshold": (0.3, -0.2), "pow": (3.0,)}
POSITIVE = {"sqrt", "log", "reciprocal"}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_function(operation: str) -> None:
    expressions, numbers = OPERATIONS[operation]
    given: tuple[Operand, ...] = (X,) if expressions == 1 else (X, Function("exp", (X,)))
    function = Function(operation, (*given, *NUMBERS.get(operation, (0.4,) * numbers)))
    low = 0.1 if operation in POSITIVE else -3.0
    agrees(graph_of(FloatTable("n", "n", "x", "y", function), SHAPE), low)


def test_numbers_and_nested_functions() -> None:
    inner = Function("at_most", (Function("relu", (Function("add", (X, 3.0)),)), 6.0))
    function = Function("div", (Function("mul", (X, inner)), 6.0))
    agrees(graph_of(FloatTable("n", "n", "x", "y", function), SHAPE))
