"""Residual networks for small pictures (He et al., "Deep Residual Learning", CVPR 2016, sec. 4.2).

Three stages of basic blocks, the second and third at half the size and twice the width, global
average pool, one linear layer: 6n + 2 layers with n blocks a stage. Shortcuts that change the shape
are option B, a strided 1x1 convolution with batch norm: option A drops pixels and pads channels,
which is no operator of the accelerator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["BasicBlock", "ResNet"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: relu(bn(conv(relu(bn(conv x)))) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        result: torch.Tensor = self.relu2(y)
        return result


class ResNet(nn.Module):
    """(N, channels, H, W) -> (N, classes).

    widths: channels of the stages; every stage but the first halves rows and columns.
    blocks: of each stage. stem_stride: of the first convolution, 2 where pictures are large or
    time is short.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (3, 3, 3),
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        stages = []
        inputs = widths[0]
        for place, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            rows = [BasicBlock(inputs, width, 2 if place else 1)]
            rows += [BasicBlock(width, width, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*rows))
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.relu(self.bn1(self.conv1(x))))
        scores: torch.Tensor = self.fc(self.pool(x).flatten(1))
        return scores
