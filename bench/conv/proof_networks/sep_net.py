"""A SEP-Net of about a million parameters (arXiv:1706.03912).

Its block is the paper's: what 1x1 convolutions make is added to what 3x3 convolutions make of the
same map (the pattern residual block), between grouped 1x1 convolutions that reduce and recover the
channels. The numbers of blocks and channels are this module's own, chosen for the published size.
"""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import channel_shuffle, conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["SepNet", "sep_net"]

_GROUPS = 4
_STAGES = ((128, 2), (256, 3), (512, 3), (768, 2))
"""Outputs and number of modules of each stage."""


class _Module(nn.Module):
    """Grouped 1x1, pattern residual block, grouped 1x1, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 8
        self.reduce = conv_bn(channels, inner, 1, groups=_GROUPS)
        self.pattern = conv_bn(inner, inner, 3, activation=None)
        self.project = conv_bn(inner, inner, 1, activation=None)
        self.recover = conv_bn(inner, channels, 1, groups=_GROUPS, activation=None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = channel_shuffle(self.reduce(x), _GROUPS)
        y = self.relu(self.pattern(y) + self.project(y))
        return self.relu(x + self.recover(y))


class SepNet(nn.Module):
    """Stem, four stages that begin with a maximum and a grouped 1x1, average, linear layer."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        inputs = scaled(64, width, 32)
        layers: list[nn.Module] = [conv_bn(3, inputs, 5, 2)]
        for given, count in _STAGES:
            outputs = scaled(given, width, 32)
            layers += [nn.MaxPool2d(3, 2, 1), conv_bn(inputs, outputs, 1, groups=_GROUPS)]
            layers += [_Module(outputs) for _ in range(count)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def sep_net(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """The SEP-Net of this module."""
    return settled(SepNet(width, classes), (3, side, side))
