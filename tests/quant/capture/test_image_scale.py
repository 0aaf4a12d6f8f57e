"""A network's own normalisation becomes the host's: same pictures, same results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.loaders.factory import load_module
from shiftforge.quant.capture.overrides import Overrides
from shiftforge.quant.capture.types import FloatConv

SHAPE = (3, 12, 10)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Net(nn.Module):
    input_shape = SHAPE

    def __init__(self, body: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.body = body
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def run(network: Net, overrides: Overrides | None = None) -> tuple[int, float, float]:
    """(nodes, largest difference of the outputs for the same pictures, first std)."""
    graph = load_module(network.eval(), "net:net", overrides=overrides or Overrides())
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3)).astype(np.uint8)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    own = overrides.mean if overrides is not None and overrides.mean else (0.5,) * 3
    std = overrides.std if overrides is not None and overrides.std else (0.5,) * 3
    with torch.no_grad():
        wanted = network(
            (pixels - torch.tensor(own).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        )
    taken = graph.preprocess
    if overrides is not None:
        graph = overrides.apply(graph)
    got = run_float(graph, torch.from_numpy(normalise(images, graph.preprocess)))[graph.output]
    error = float((got.reshape(wanted.shape) - wanted).abs().max() / wanted.abs().max())
    return len(graph.nodes), error, taken.std[0]


def test_it_joins_mean_and_std() -> None:
    torch.manual_seed(1)
    network = Net(lambda s, x: s.conv((x - s.mean) / s.std).relu())
    nodes, error, std = run(network)
    assert nodes == 1 and error < 1e-5
    assert std == pytest.approx(0.5 * STD[0])


def test_a_batch_norm_of_the_image_does_too() -> None:
    torch.manual_seed(2)
    network = Net(lambda s, x: s.conv(s.norm(x)))
    with torch.no_grad():
        network.norm.running_mean.uniform_(-1, 1)
        network.norm.running_var.uniform_(0.5, 2)
        network.norm.bias.uniform_(-1, 1)
    nodes, error, _ = run(network)
    assert nodes == 1 and error < 1e-5


@pytest.mark.parametrize(
    "body",
    [
        lambda s, x: s.conv((x - s.mean) / s.std) + s.conv(x),  # the image has another reader
        lambda s, x: s.conv((s.mean - x) / s.std),  # no std stands for a factor below 0
        lambda s, x: ((x - s.mean) / s.std) * 1.0,  # nothing is left
        lambda s, x: s.conv(((x - s.mean) / s.std).relu()),  # clipped before it is read
    ],
)
def test_it_stays_where_it_must(body: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(3)
    nodes, error, std = run(Net(body))
    assert error < 1e-5 and std == 0.5
    assert nodes >= 1


def test_a_users_own_mean_and_std_are_those_of_the_network() -> None:
    torch.manual_seed(4)
    network = Net(lambda s, x: s.conv((x - s.mean) / s.std))
    nodes, error, _ = run(network, Overrides(mean=(0.0,) * 3, std=(1.0,) * 3))
    assert nodes == 2 and error < 1e-5


def test_what_is_folded_reaches_every_reader() -> None:
    torch.manual_seed(5)

    def body(s: Net, x: torch.Tensor) -> torch.Tensor:
        y = (x - s.mean) / s.std
        return torch.cat([s.conv(y), y], 1) + torch.cat([s.conv(y), y], 1)

    network = Net(body)
    nodes, error, _ = run(network)
    assert error < 1e-5
    graph = load_module(network, "net:net")
    assert not any(isinstance(n, FloatConv) and n.groups == 3 for n in graph.nodes)
    assert "part of mean and std" in graph.notes[-1]
    assert nodes == len(graph.nodes)
