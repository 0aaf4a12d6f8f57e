"""MobileNetV1 (arXiv:1704.04861, table 1)."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["MobileNetV1", "mobilenet_v1"]

_LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Outputs and stride of each depthwise separable convolution."""


class MobileNetV1(nn.Module):
    """Depthwise 3x3 and pointwise convolutions in turn, each with batch norm and ReLU."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        inputs = scaled(32, width)
        layers = [conv_bn(3, inputs, 3, 2)]
        for given, stride in _LAYERS:
            outputs = scaled(given, width)
            layers.append(conv_bn(inputs, inputs, 3, stride, groups=inputs))
            layers.append(conv_bn(inputs, outputs, 1))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def mobilenet_v1(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """MobileNetV1 of a width."""
    return settled(MobileNetV1(width, classes), (3, side, side))
