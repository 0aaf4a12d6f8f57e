"""VGG-11 with batch norm in torchvision's arrangement (arXiv:1409.1556, table 1, column A)."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["Vgg", "vgg11_bn"]

_COLUMN_A = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
"""Outputs of convolutions; 0 is a maximum."""


class Vgg(nn.Module):
    """Three linear layers over the 7x7 map hold nine tenths of the parameters."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for given in _COLUMN_A:
            if given == 0:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            outputs = scaled(given, width)
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        hidden = scaled(4096, width)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden),
            nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def vgg11_bn(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """VGG-11 with batch norm; the side 224, 32, or any that leaves 7x7 or a divisor of it."""
    return settled(Vgg(width, classes), (3, side, side))
