"""ONNX Runtime against golden: the same integers in every tensor, and a planted fault is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.quant.capture.export import capture
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.export.qdq import export_onnx
from shiftforge.quant.export.runtime import run_onnx
from shiftforge.quant.graph.types import Preprocess, QuantizedModel
from shiftforge.quant.models.networks import build
from shiftforge.quant.models.random import float_graph
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.sim.golden.conv.network import run_golden

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def codes_of(model: QuantizedModel, seed: str, count: int) -> NDArray[np.integer]:
    frames = load_frames(f"random:{seed}", model.preprocess, limit=count)
    return to_codes(frames.images, model.preprocess, model.tensors[model.input].grid)


def differences(model: QuantizedModel, codes: NDArray[np.integer]) -> dict[str, int]:
    """Codes that ONNX Runtime has otherwise than golden, by tensor; none: {}."""
    wanted, given = run_golden(model, codes), run_onnx(model, codes)
    assert wanted.keys() == given.keys()
    found = {n: int((wanted[n].astype(np.int64) != given[n]).sum()) for n in wanted}
    return {name: count for name, count in found.items() if count}


@pytest.fixture(scope="module")
def resnet() -> QuantizedModel:
    preprocess = Preprocess(3, 32, 32, (0.5,) * 3, (0.5,) * 3)
    graph = capture(build("resnet20", preprocess, 10).eval(), (3, 32, 32), preprocess, "resnet20")
    images = load_frames("random:1", preprocess, limit=4).images
    return quantize(graph, images, Quantisation(scheme="shift", terms=2, rounding="nearest"))


@pytest.fixture(scope="module")
def mobilenet() -> QuantizedModel:
    graph = float_graph("mobilenet_v2_random:0.35:32", None)
    images = load_frames("random:1", graph.preprocess, limit=4).images
    return quantize(graph, images, Quantisation(scheme="shift", terms=1, rounding="nearest"))


@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
def test_the_runtime_has_goldens_integers(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    assert differences(model, codes_of(model, "7", 6)) == {}


def test_real_images_and_narrow_activations() -> None:
    from shiftforge.quant.models.fashion import float_graph as fashion_graph

    graph = fashion_graph()
    frames = load_frames("fashion-mnist:test", graph.preprocess, limit=8)
    calibration = load_frames("fashion-mnist:train", graph.preprocess, limit=16).images
    model = quantize(graph, calibration, Quantisation(scheme="int", bits=8, activation_bits=5))
    codes = to_codes(frames.images, model.preprocess, model.tensors[model.input].grid)
    assert differences(model, codes) == {}


def test_a_planted_fault_is_seen(resnet: QuantizedModel) -> None:
    codes = codes_of(resnet, "7", 2)
    wanted = run_golden(resnet, codes)
    conv = resnet.conv_nodes()[3]
    bias = conv.bias.copy()
    bias[0] += 1 << 12
    spoilt = replace(
        resnet, nodes=tuple(replace(n, bias=bias) if n is conv else n for n in resnet.nodes)
    )
    found = run_onnx(spoilt, codes)
    wrong = wanted[conv.output].astype(np.int64) != found[conv.output]
    assert wrong[:, 0].any() and not wrong[:, 1:].any()


def test_what_float32_cannot_hold_is_refused(resnet: QuantizedModel) -> None:
    conv, other = resnet.conv_nodes()[2:4]
    odd = np.full(conv.z.shape, 3 << 20, dtype=np.int64)
    odds = {c.name: replace(c, multiplier=odd, shift=odd * 0 + 22) for c in (conv, other)}
    nodes = tuple(odds.get(node.name, node) for node in resnet.nodes)
    with pytest.raises(InputError) as error:
        export_onnx(replace(resnet, nodes=nodes))
    assert len(error.value.problems) == 2
