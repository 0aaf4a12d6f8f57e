"""ResNet-18 and ResNet-50 in torchvision's arrangement (arXiv:1512.03385, table 1)."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["ResNet", "resnet18", "resnet50"]


class _Block(nn.Module):
    """A residual block: two 3x3 convolutions, or a bottleneck with 1x1 ones around a 3x3."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, deep: bool) -> None:
        super().__init__()
        if deep:
            self.body = nn.Sequential(
                conv_bn(inputs, inner, 1),
                conv_bn(inner, inner, 3, stride),
                conv_bn(inner, outputs, 1, activation=None),
            )
        else:
            self.body = nn.Sequential(
                conv_bn(inputs, inner, 3, stride), conv_bn(inner, outputs, 3, activation=None)
            )
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = conv_bn(inputs, outputs, 1, stride, activation=None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.downsample(x))


class ResNet(nn.Module):
    """blocks: of the four stages. deep: of bottlenecks, whose outputs are four times as wide."""

    def __init__(self, blocks: tuple[int, ...], deep: bool, width: float, classes: int) -> None:
        super().__init__()
        stem = scaled(64, width)
        self.stem = conv_bn(3, stem, 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, inputs = [], stem
        for stage, count in enumerate(blocks):
            inner = scaled(64 << stage, width)
            outputs = 4 * inner if deep else inner
            for block in range(count):
                stride = 2 if stage and not block else 1
                stages.append(_Block(inputs, inner, outputs, stride, deep))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.avgpool(self.stages(self.maxpool(self.stem(x))))
        return self.fc(torch.flatten(y, 1))


def resnet18(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """ResNet-18."""
    return settled(ResNet((2, 2, 2, 2), False, width, classes), (3, side, side))


def resnet50(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """ResNet-50, the stride of a bottleneck in its 3x3 convolution as torchvision has it."""
    return settled(ResNet((3, 4, 6, 3), True, width, classes), (3, side, side))
