"""Networks of several outputs, and heads that end in a function of the host's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from geometry_cases import Chain
from torch import nn
from torch.nn import functional as F

from bench.conv.proof_networks.detector import detector
from bench.conv.proof_networks.settle import frames
from shiftforge.errors import InputError
from shiftforge.generator.conv.check import check_network
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.evaluate import evaluate
from shiftforge.quant.export.runtime import run_float_onnx, run_onnx
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.quant.graph.types import Preprocess, QuantizedModel
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.quant.simulate import run_fake_quantised
from shiftforge.sim.golden.conv.network import run_golden

SHAPE = (3, 32, 32)
HALF = Preprocess(*SHAPE, (0.5,) * 3, (0.5,) * 3)


class Net(nn.Module):
    def __init__(self, body: Callable[[Net, torch.Tensor], object]) -> None:
        super().__init__()
        self.body = body
        self.conv, self.other = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 4, 3)
        self.after = nn.Conv2d(6, 5, 1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> object:
        return self.body(self, x)


def made(body: Callable[[Net, torch.Tensor], object]) -> tuple[nn.Module, FloatGraph]:
    torch.manual_seed(3)
    network = Net(body).eval()
    return network, capture(network, SHAPE, HALF, "net")


@pytest.mark.parametrize(
    ("body", "outputs", "host"),
    [
        (lambda s, x: (s.conv(x), s.other(x)), 2, ["", ""]),
        (
            lambda s, x: [s.conv(x), s.after(s.conv(x)).sigmoid(), s.other(x)],
            3,
            ["", "sigmoid", ""],
        ),
        (lambda s, x: {"a": s.conv(x), "b": s.other(x)}, 2, ["", ""]),
        (lambda s, x: s.head(s.conv(x).mean((2, 3))).softmax(1), 1, ["softmax"]),
        (lambda s, x: F.log_softmax(s.head(s.conv(x).mean((2, 3))), -1), 1, ["log_softmax"]),
        (lambda s, x: s.conv(x).softmax(1), 1, ["softmax"]),
        (lambda s, x: s.conv(x).sigmoid(), 1, ["sigmoid"]),
        (lambda s, x: (lambda y: (y, y.relu()))(s.conv(x)), 2, ["", ""]),
        (lambda s, x: (lambda y: (y, s.after(y)))(s.conv(x)), 2, ["", ""]),
        (lambda s, x: (lambda y: (y, y.sigmoid()))(s.conv(x)), 2, ["", ""]),
    ],
)
def test_captured_in_order_with_what_is_left_to_the_host(
    body: Callable[[Net, torch.Tensor], object], outputs: int, host: list[str]
) -> None:
    network, graph = made(body)
    assert len(graph.outputs) == outputs
    assert [graph.host.get(name, "") for name in graph.outputs] == host
    x = torch.randn(2, *SHAPE)
    values = run_float(graph, x)
    with torch.no_grad():
        given = network(x)
    wanted = list(given.values()) if isinstance(given, dict) else given
    wanted = list(wanted) if isinstance(wanted, tuple | list) else [wanted]
    functions = {
        "": lambda y: y, "sigmoid": torch.sigmoid, "softmax": lambda y: y.softmax(1),
        "log_softmax": lambda y: y.log_softmax(1),
    }  # fmt: skip
    for name, kind, want in zip(graph.outputs, host, wanted, strict=True):
        got = functions[kind](values[name]).reshape(want.shape)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda s, x: s.conv(x).softmax(2), "softmax"),
        (lambda s, x: s.after(s.conv(x).softmax(1)), "softmax"),
        (lambda s, x: (lambda y: (y, y))(s.conv(x)), "returns a tensor twice"),
        (lambda s, x: (lambda y: (y, y.flatten(1)))(s.conv(x)), "two outputs are the same map"),
        (lambda s, x: (s.conv(x), x), "no layer"),
        (lambda s, x: s.conv(x).view(-1, 2, 3, 30, 30), "no layer"),
        (lambda s, x: (), "returns no tensor"),
    ],
)
def test_refused(body: Callable[[Net, torch.Tensor], object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        made(body)
    assert said in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


@pytest.fixture(scope="module")
def heads() -> tuple[FloatGraph, QuantizedModel, np.ndarray]:
    network = detector(32, 0.5, 4, 2)
    graph = capture(network, SHAPE, HALF, "detector")
    noise = (frames(SHAPE, 8, 3) + 1) / 2 * 255
    images = noise.round().clamp(0, 255).numpy().astype(np.uint8).transpose(0, 2, 3, 1)
    model = quantize(graph, images, Quantisation(scheme="int", rounding="nearest"))
    return graph, model, images


def test_both_heads_are_32_bits_wide_and_agree_everywhere(
    heads: tuple[FloatGraph, QuantizedModel, np.ndarray],
) -> None:
    graph, model, images = heads
    assert model.outputs == graph.outputs and len(model.outputs) == 2
    assert dict(model.host) == {model.output: "sigmoid"}
    assert [model.tensors[name].grid.bits for name in model.outputs] == [32, 32]
    assert evaluate(model, images).sqnr_db > 10
    codes = to_codes(images[:2], model.preprocess, model.tensors[model.input].grid)
    golden = run_golden(model, codes)
    for other in (run_fake_quantised(model, codes), run_onnx(model, codes)):
        for name, wanted in golden.items():
            assert np.array_equal(wanted.astype(np.int64), other[name]), name
    x = frames(SHAPE, 2)
    floats = run_float_onnx(graph, x.numpy())
    for name, wanted in floats.items():
        np.testing.assert_allclose(run_float(graph, x)[name].numpy(), wanted, rtol=1e-4, atol=1e-4)
    assert set(floats) == set(graph.outputs)


def test_the_file_holds_outputs_and_functions(
    heads: tuple[FloatGraph, QuantizedModel, np.ndarray], tmp_path: Path
) -> None:
    _, model, _ = heads
    save_model(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert (loaded.outputs, dict(loaded.host)) == (model.outputs, dict(model.host))


def test_faults_of_outputs_are_named(
    heads: tuple[FloatGraph, QuantizedModel, np.ndarray],
) -> None:
    _, model, _ = heads
    for changes, said in (
        ({"more_outputs": (model.output,)}, "is an output more than once"),
        ({"more_outputs": ("nowhere",)}, "no node produces the output tensor 'nowhere'"),
        ({"more_outputs": ()}, "is read by no node and is not the output"),
        ({"host": {"nowhere": "sigmoid"}}, "is no output"),
        ({"host": {model.output: "argmax"}}, "unknown function 'argmax'"),
    ):
        with pytest.raises(InputError, match=said):
            verify(replace(model, **changes))  # type: ignore[arg-type]


def test_the_check_tells_what_a_second_output_costs() -> None:
    chain = Chain()
    first = chain.conv(8, 3)
    chain.conv(4, 1)
    graph = replace(chain.graph(), more_outputs=(first,))
    report = check_network(graph, {})
    assert report.maps
    # The first layer's result is read as well, and so copied out.
    assert [row.detail for row in report.rows] == [
        "the 3x3 taps lie as channels, and 1 more pass", "pointwise; leaves as 32-bit integers"
    ]  # fmt: skip
