"""EfficientNet-Lite0: EfficientNet-B0 (arXiv:1905.11946, table 1) without squeeze-and-excitation,
with ReLU6; models/official/efficientnet/lite of the repository tensorflow/tpu."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["EfficientNetLite0", "efficientnet_lite0"]

_STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
)  # fmt: skip
"""Expansion, kernel, stride of the first block, outputs, blocks."""


class _Block(nn.Module):
    """Inverted residual block."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [conv_bn(inputs, inner, 1, activation=nn.ReLU6)] if expansion > 1 else []
        layers.append(conv_bn(inner, inner, kernel, stride, groups=inner, activation=nn.ReLU6))
        layers.append(conv_bn(inner, outputs, 1, activation=None))
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Stem of 32 channels, seven stages, 1x1 convolution to 1,280, average, linear layer."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        inputs = scaled(32, width)
        layers: list[nn.Module] = [conv_bn(3, inputs, 3, 2, activation=nn.ReLU6)]
        for expansion, kernel, stride, given, count in _STAGES:
            outputs = scaled(given, width)
            for block in range(count):
                own = stride if block == 0 else 1
                layers.append(_Block(inputs, outputs, expansion, kernel, own))
                inputs = outputs
        last = scaled(1280, width)
        layers.append(conv_bn(inputs, last, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.dropout(self.pool(self.features(x)).flatten(1)))


def efficientnet_lite0(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """EfficientNet-Lite0."""
    return settled(EfficientNetLite0(width, classes), (3, side, side))
