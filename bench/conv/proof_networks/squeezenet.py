"""SqueezeNet 1.1 in torchvision's arrangement (arXiv:1602.07360; release 1.1 of its authors)."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["SqueezeNet", "squeezenet1_1"]


class _Fire(nn.Module):
    """A 1x1 convolution, then 1x1 and 3x3 ones of it side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """Maxima with ceil_mode; the classifier is a 1x1 convolution before the average."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        stem = scaled(64, width)
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, 2), nn.ReLU(inplace=True), pool()]
        inputs = stem
        for squeeze, expand, last in (
            (16, 64, False), (16, 64, True), (32, 128, False), (32, 128, True),
            (48, 192, False), (48, 192, False), (64, 256, False), (64, 256, False),
        ):  # fmt: skip
            layers.append(_Fire(inputs, scaled(squeeze, width), scaled(expand, width)))
            inputs = 2 * scaled(expand, width)
            layers += [pool()] if last else []
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(inputs, classes, 1), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


def squeezenet1_1(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """SqueezeNet 1.1."""
    return settled(SqueezeNet(width, classes), (3, side, side))
