"""The fake-quantised network: its weights, its start, its gradients, and its conversion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.sequential import round_network
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.formats.encode import choose_exponent, encode, format_levels
from shiftforge.quant.graph.types import IntFormat, Preprocess, ShiftFormat, WeightFormat
from shiftforge.quant.models.batches import normalised
from shiftforge.quant.schemes.network import QuantNetwork, folded_network
from shiftforge.quant.schemes.ste import SteWeights, StraightThrough
from shiftforge.quant.simulate import run_fake_quantised

PREPROCESS = Preprocess(1, 12, 12, (0.5,), (0.5,))
FORMATS: list[WeightFormat] = [
    ShiftFormat(4, 2),
    ShiftFormat(4, 1, "S1"),
    ShiftFormat(3, 2),
    IntFormat(4),
]


class Tiny(nn.Module):
    """Stem, a residual depthwise block, pool and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU6())
        self.deep = nn.Sequential(
            nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.ReLU6(), nn.Conv2d(6, 6, 1, bias=False)
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.deep(x)
        x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        scores: torch.Tensor = self.head(x)
        return scores


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    torch.manual_seed(3)
    return capture(Tiny().eval(), (1, 12, 12), PREPROCESS, "tiny")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1), dtype=np.uint8)


def conv_node(weight: NDArray[np.float32]) -> FloatConv:
    bias = np.zeros(len(weight), np.float32)
    return FloatConv("c", "c", "x", "c", weight, bias, 1, (0, 0, 0, 0), 1, 1, "none")


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_weights_are_what_the_format_encodes(fmt: WeightFormat) -> None:
    weight = np.random.default_rng(1).normal(0, 0.3, (5, 4, 3, 3)).astype(np.float32)
    weight[2] *= 2.0**-9
    quantiser = SteWeights(conv_node(weight), fmt, None)
    z = choose_exponent(weight, format_levels(fmt))
    w_int, found_z = quantiser.codes()
    assert np.array_equal(found_z, z) and np.array_equal(w_int, encode(weight, z, fmt))
    real = np.ldexp(w_int.astype(np.float32), z.astype(np.int64)[:, None, None, None])
    assert np.array_equal(quantiser().detach().numpy(), real)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_training_starts_at_the_given_codes(fmt: WeightFormat) -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(0, 0.3, (4, 8, 1, 1)).astype(np.float32)
    levels = format_levels(fmt)
    start = rng.choice(levels, weight.shape).astype(np.int8)
    z = choose_exponent(weight, levels)
    quantiser = SteWeights(conv_node(weight), fmt, (start, z))
    assert np.array_equal(quantiser.codes()[0], start)


def test_the_gradient_passes_straight_through() -> None:
    weight = np.random.default_rng(4).normal(0, 0.3, (2, 3, 1, 1)).astype(np.float32)
    quantiser = SteWeights(conv_node(weight), ShiftFormat(), None)
    wanted = torch.randn(2, 3, 1, 1)
    (quantiser() * wanted).sum().backward()
    assert quantiser.v.grad is not None
    assert torch.equal(quantiser.v.grad, wanted * quantiser.scale)


def test_masters_come_back_from_beyond_the_levels() -> None:
    weight = np.random.default_rng(5).normal(0, 0.3, (2, 3, 1, 1)).astype(np.float32)
    scheme = StraightThrough()
    quantiser = scheme.quantiser(conv_node(weight), ShiftFormat(), None)
    assert isinstance(quantiser, SteWeights)
    with torch.no_grad():
        quantiser.v.fill_(1000.0)
    scheme.after_step({"c": quantiser})
    assert float(quantiser.v.detach().max()) == 96.0


def network(graph: FloatGraph, images: NDArray[np.uint8], fmt: WeightFormat) -> QuantNetwork:
    floats = normalise(images, PREPROCESS)
    grids = calibrate_grids(graph, floats)
    formats = {n.name: fmt for n in graph.nodes if isinstance(n, FloatConv)}
    start = round_network(graph, floats, formats, grids)
    return folded_network(
        StraightThrough(), graph, grids, formats, start=start.weights, biases=start.biases
    )


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_the_converted_network_computes_the_same(
    graph: FloatGraph, images: NDArray[np.uint8], fmt: WeightFormat
) -> None:
    trained = network(graph, images, fmt)
    optimiser = torch.optim.AdamW(trained.parameters(), lr=0.05, weight_decay=0.0)
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    before = trained.convert()
    for _ in range(8):
        scores = trained(normalised(pixels, PREPROCESS)).flatten(1)
        loss = nn.functional.cross_entropy(scores, torch.arange(8) % 3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = trained.convert()
    changed = [n for n in after.weights if (after.weights[n][0] != before.weights[n][0]).any()]
    assert changed, "training moved no weight to another level"
    formats = {n.name: fmt for n in graph.nodes if isinstance(n, FloatConv)}
    model = convert(graph, trained.grids, after.weights, formats, biases=after.biases)
    grid = model.tensors[model.input].grid
    codes = run_fake_quantised(model, to_codes(images, PREPROCESS, grid))[model.output]
    real = codes * 2.0 ** model.tensors[model.output].grid.exponent
    with torch.no_grad():
        wanted = trained.eval()(normalised(pixels, PREPROCESS)).numpy()
    # Not bit for bit: biases are floats in training, the pool's constant has 16 bits, and one
    # code of the pooled map then moves the scores by its step.
    assert np.abs(real - wanted).max() < 0.05 * np.abs(wanted).max()


def test_a_wrong_conversion_is_seen(graph: FloatGraph, images: NDArray[np.uint8]) -> None:
    fmt = ShiftFormat()
    trained = network(graph, images, fmt)
    found = trained.convert()
    formats = {n.name: fmt for n in graph.nodes if isinstance(n, FloatConv)}
    weights = dict(found.weights)
    name = next(iter(weights))
    weights[name] = (-weights[name][0], weights[name][1])
    model = convert(graph, trained.grids, weights, formats, biases=found.biases)
    grid = model.tensors[model.input].grid
    codes = run_fake_quantised(model, to_codes(images, PREPROCESS, grid))[model.output]
    real = codes * 2.0 ** model.tensors[model.output].grid.exponent
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        wanted = trained(normalised(pixels, PREPROCESS)).numpy()
    assert np.abs(real - wanted).max() > 0.05 * np.abs(wanted).max()
