"""The proof networks: published sizes, and the whole path on small ones, integer by integer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from bench.conv.proof_networks.catalogue import NETWORKS, count
from bench.conv.proof_networks.resnet import ResNet
from bench.conv.proof_networks.settle import frames
from bench.conv.proof_networks.shufflenet import ShuffleNetV1, ShuffleNetV2
from bench.conv.proof_networks.squeezenet import SqueezeNet
from bench.conv.proof_networks.unet import unet
from bench.conv.proof_networks.vgg import Vgg
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.evaluate import evaluate
from shiftforge.quant.export.runtime import run_float_onnx, run_onnx
from shiftforge.quant.graph.file import model_bytes
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.quant.simulate import run_fake_quantised
from shiftforge.sim.golden.conv.network import run_golden

# Side, width and the least SQNR in dB with 8-bit weights of each small network: random networks of
# many thin layers amplify what 8-bit maps lose, more than trained ones.
SMALL: dict[str, tuple[int, float, float]] = {
    "resnet18": (64, 0.25, 15.0),
    "resnet50": (64, 0.25, 5.0),
    "vgg11_bn": (32, 0.125, 25.0),
    "squeezenet1_1": (64, 0.5, 28.0),
    "mobilenet_v1": (64, 0.25, 4.0),
    "shufflenet_v1": (64, 0.5, 11.0),
    "shufflenet_v2": (64, 0.5, 6.0),
    "sep_net": (64, 0.5, 4.0),
    "efficientnet_lite0": (64, 0.35, 7.0),
    "unet": (32, 0.5, 15.0),
}
FAST = ("squeezenet1_1", "unet", "vgg11_bn")


def pictures(shape: tuple[int, int, int], count_: int) -> NDArray[np.uint8]:
    noise = (frames(shape, count_, 3) + 1) / 2 * 255
    return noise.round().clamp(0, 255).numpy().astype(np.uint8).transpose(0, 2, 3, 1)


def captured(network: nn.Module, shape: tuple[int, int, int]) -> FloatGraph:
    return capture(network, shape, Preprocess(*shape, (0.5,) * 3, (0.5,) * 3), "proof")


def capture_is_exact(network: nn.Module, graph: FloatGraph, shape: tuple[int, int, int]) -> None:
    """Within 1e-6, or half of what torch itself loses in float32 (random networks amplify it)."""
    x = frames(shape, 2, 2)
    with torch.no_grad():
        single = network(x)
        wanted = network.double()(x.double())
    network.float()
    got = run_float(graph, x.double())[graph.output].reshape(wanted.shape)
    size = wanted.abs().max()
    own = float((single - wanted).abs().max() / size)
    assert float((got - wanted).abs().max() / size) <= max(1e-6, own / 2)
    onnx = torch.from_numpy(run_float_onnx(graph, x.numpy())[graph.output]).reshape(wanted.shape)
    assert float((onnx - wanted).abs().max() / size) <= max(1e-5, 3 * own)


def whole_path(name: str, network: nn.Module, side: int, least: float) -> None:
    shape = (3, side, side)
    graph = captured(network, shape)
    capture_is_exact(network, graph, shape)
    images = pictures(shape, 8)
    model = quantize(graph, images, Quantisation(scheme="int", rounding="nearest"))
    assert model_bytes(model)
    assert evaluate(model, images).sqnr_db > least, name
    codes = to_codes(images[:2], model.preprocess, model.tensors[model.input].grid)
    golden = run_golden(model, codes)
    for other in (run_fake_quantised(model, codes), run_onnx(model, codes)):
        for tensor, wanted in golden.items():
            assert np.array_equal(wanted.astype(np.int64), other[tensor]), (name, tensor)


@pytest.mark.parametrize("name", FAST)
def test_small_networks(name: str) -> None:
    side, width, least = SMALL[name]
    whole_path(name, NETWORKS[name].make(side, width, 10), side, least)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SMALL) - set(FAST)))
def test_the_other_small_networks(name: str) -> None:
    side, width, least = SMALL[name]
    whole_path(name, NETWORKS[name].make(side, width, 10), side, least)


@pytest.mark.slow
def test_a_small_unet_of_nearest_neighbours() -> None:
    whole_path("unet", unet(32, 0.5, 4, nearest=True), 32, 12.0)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_published_numbers_of_parameters() -> None:
    """To the last one where they are published so."""
    with torch.device("meta"):
        made = {
            "resnet18": ResNet((2, 2, 2, 2), False, 1.0, 1000),
            "resnet50": ResNet((3, 4, 6, 3), True, 1.0, 1000),
            "vgg11_bn": Vgg(1.0, 1000),
            "squeezenet1_1": SqueezeNet(1.0, 1000),
            "shufflenet_v2": ShuffleNetV2((116, 232, 464, 1024), 1.0, 1000),
        }
        groups = parameters(ShuffleNetV1(3, 1.0, 1000))
    for name, network in made.items():
        assert parameters(network) == NETWORKS[name].parameters, name
    assert groups == pytest.approx(NETWORKS["shufflenet_v1"].parameters, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"vgg11_bn"}))
def test_published_sizes_at_full_resolution(name: str) -> None:
    proof = NETWORKS[name]
    network = proof.make()
    side = network.input_shape[1]
    assert side == proof.side
    found = count(network, (3, side, side))
    if proof.parameters and name != "sep_net":
        assert found.parameters == pytest.approx(proof.parameters, rel=0.015)
    if proof.macs:
        assert found.macs == pytest.approx(proof.macs, rel=0.06)


def test_multiply_accumulates_are_counted() -> None:
    """By hand: a stride, groups, a transposed convolution, a linear layer."""
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1, groups=2), nn.ConvTranspose2d(8, 2, 2, 2), nn.Flatten(),
        nn.Linear(2 * 8 * 8, 5),
    )  # fmt: skip
    found = count(network, (4, 8, 8))
    assert found.macs == 16 * 8 * 2 * 9 + 16 * 8 * 2 * 4 + 128 * 5
