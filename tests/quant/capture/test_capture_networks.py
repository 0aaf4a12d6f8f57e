"""Captured graphs compute what the networks they come from compute."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatAdd, FloatConv, FloatGraph, FloatPool
from shiftforge.quant.graph.types import Preprocess


def preprocess(shape: tuple[int, int, int]) -> Preprocess:
    channels, height, width = shape
    return Preprocess(channels, height, width, (0.5,) * channels, (0.25,) * channels)


def randomise(module: nn.Module) -> nn.Module:
    """Batch norms that do something: identity statistics would hide folding faults."""
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d)):
            nn.init.normal_(m.running_mean, 0, 0.2)
            nn.init.uniform_(m.running_var, 0.5, 2)
            if m.affine:
                nn.init.uniform_(m.weight, 0.5, 1.5)
                nn.init.normal_(m.bias, 0, 0.3)
        elif isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight)
    return module.eval()


def difference(module: nn.Module, graph: FloatGraph, shape: tuple[int, int, int]) -> float:
    """Largest difference of the outputs, relative to the largest output."""
    x = torch.randn(2, *shape)
    with torch.no_grad():
        expected = module(x)
    expected = getattr(expected, "logits", expected)
    values = run_float(graph, x)
    for name, shape_ in graph.shapes.items():
        assert tuple(values[name].shape[1:]) == shape_
    got = values[graph.output].reshape(expected.shape)
    return float((got - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("width", "tf_padding", "shape", "output_stride"),
    [
        (0.35, True, (3, 33, 45), 32),
        pytest.param(0.35, False, (1, 96, 96), 32, marks=pytest.mark.slow),
        pytest.param(1.0, True, (3, 160, 160), 32, marks=pytest.mark.slow),
        (0.35, False, (1, 61, 61), 8),
    ],
)
def test_mobilenet_v2(
    width: float, tf_padding: bool, shape: tuple[int, int, int], output_stride: int
) -> None:
    torch.manual_seed(1)
    config = MobileNetV2Config(
        depth_multiplier=width,
        tf_padding=tf_padding,
        num_channels=shape[0],
        num_labels=7,
        output_stride=output_stride,
    )
    network = randomise(MobileNetV2ForImageClassification(config))
    graph = capture(network, shape, preprocess(shape), "m")
    assert difference(network, graph, shape) < 1e-4
    convs = [n for n in graph.nodes if isinstance(n, FloatConv)]
    # 52 convolutions and the classifier.
    assert len(convs) == 53
    assert sum(isinstance(n, FloatAdd) for n in graph.nodes) == 10
    assert sum(isinstance(n, FloatPool) for n in graph.nodes) == 1
    assert any(n.dilation > 1 for n in convs) == (output_stride < 32)
    assert convs[3].source == "mobilenet_v2.layer.0.expand_1x1.convolution"
    assert convs[3].name == "layer_0_expand_1x1"
    assert len({n.name for n in graph.nodes}) == len(graph.nodes)
    assert [n.activation for n in convs[:4]] == ["relu6", "relu6", "none", "relu6"]


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += skip
        return self.relu(y)


class SmallResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(True))
        self.blocks = nn.Sequential(
            BasicBlock(8, 8, 1), BasicBlock(8, 16, 2), BasicBlock(16, 16, 1)
        )
        self.fc = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.blocks(self.stem(x))
        return self.fc(y.mean([2, 3]))


def test_small_resnet() -> None:
    torch.manual_seed(2)
    network, shape = randomise(SmallResNet()), (3, 21, 18)
    graph = capture(network, shape, preprocess(shape), "resnet")
    assert difference(network, graph, shape) < 1e-4
    adds = [n for n in graph.nodes if isinstance(n, FloatAdd)]
    assert [n.activation for n in adds] == ["relu"] * 3
    assert adds[0].source == "blocks.0"
    names = [n.name for n in graph.nodes]
    assert "blocks_1_downsample" in names and "blocks_1_conv1" in names and "fc" in names


class PreActivation(nn.Module):
    """Batch norm before convolution, a map read both clipped and unclipped, and odd reshapes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding="same", groups=2)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3, bias=False)
        self.bn2 = nn.BatchNorm2d(6, affine=False)
        self.conv2 = nn.Conv2d(6, 8, (3, 1), stride=2)
        self.pad = nn.ZeroPad2d((2, 0, 1, 3))
        self.conv3 = nn.Conv2d(8, 4, 3, stride=3, padding=(1, 0), groups=2)
        self.head = nn.Linear(4 * 2, 6)
        self.bn3 = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.3, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z = self.conv1(self.bn1(y))
        y = y + torch.clamp(y, 0, 6) + z
        y = self.conv2(self.bn2(y))
        y = self.conv3(self.pad(y)).contiguous()
        y = nn.functional.relu(nn.functional.conv2d(y, self.conv3.weight[:, :1].abs(), groups=4))
        y = self.head(y.reshape(y.size(0), -1))
        return nn.functional.hardtanh(self.bn3(self.drop(y)), 0, 6)[:, :, None, None]


def test_unusual_forms() -> None:
    torch.manual_seed(3)
    network, shape = randomise(PreActivation()), (2, 15, 14)
    graph = capture(network, shape, preprocess(shape), "odd")
    assert difference(network, graph, shape) < 1e-4


class ScaleThenConv(nn.Module):
    def __init__(self, padding: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 6, 3, padding=padding, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.bn(x))


@pytest.mark.parametrize(("padding", "nodes"), [(0, 1), (1, 2)])
def test_leading_batch_norm_is_merged_only_where_exact(padding: int, nodes: int) -> None:
    torch.manual_seed(4)
    network, shape = randomise(ScaleThenConv(padding)), (4, 9, 8)
    graph = capture(network, shape, preprocess(shape), "lead")
    assert len(graph.nodes) == nodes
    assert difference(network, graph, shape) < 1e-4


def test_capture_leaves_the_module_as_it_was() -> None:
    network = SmallResNet().train()
    network.stem[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    capture(network, (3, 16, 16), preprocess((3, 16, 16)), "m")
    assert network.training and not network.stem[1].training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_equality_check_sees_swapped_padding() -> None:
    torch.manual_seed(5)
    network = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2), nn.ReLU6(), nn.Conv2d(8, 4, 1)
    )
    shape = (3, 32, 32)
    graph = capture(network, shape, preprocess(shape), "m")
    assert difference(network, graph, shape) < 1e-4
    first = graph.nodes[0]
    assert isinstance(first, FloatConv)
    assert first.padding == (0, 0, 1, 1)
    faulty = dataclasses.replace(first, padding=(1, 1, 0, 0))
    graph = dataclasses.replace(graph, nodes=(faulty, *graph.nodes[1:]))
    assert difference(network, graph, shape) > 1e-3
