"""A small detector with two heads on one backbone: classes and boxes of every place."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["Detector", "detector"]


class Detector(nn.Module):
    """A depthwise separable backbone of stride 16, and two heads for each anchor.

    One has class scores, which end in a sigmoid, the other four distances.
    """

    def __init__(self, width: float, classes: int, anchors: int) -> None:
        super().__init__()
        inputs = scaled(16, width)
        layers = [conv_bn(3, inputs, 3, 2, activation=nn.ReLU6)]
        for given, stride in ((32, 2), (64, 2), (64, 1), (128, 2), (128, 1)):
            outputs = scaled(given, width)
            layers.append(conv_bn(inputs, inputs, 3, stride, groups=inputs, activation=nn.ReLU6))
            layers.append(conv_bn(inputs, outputs, 1, activation=nn.ReLU6))
            inputs = outputs
        self.backbone = nn.Sequential(*layers)
        self.neck = conv_bn(inputs, inputs, 3)
        self.scores = nn.Conv2d(inputs, anchors * classes, 1)
        self.boxes = nn.Conv2d(inputs, anchors * 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.neck(self.backbone(x))
        return self.scores(y).sigmoid(), self.boxes(y)


def detector(side: int = 128, width: float = 1.0, classes: int = 20, anchors: int = 3) -> nn.Module:
    """The two-headed detector."""
    return settled(Detector(width, classes, anchors), (3, side, side))
