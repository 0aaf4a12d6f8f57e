"""ShuffleNet V1 with groups (arXiv:1707.01083, table 1) and V2 with splits (arXiv:1807.11164,
table 5)."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import channel_shuffle, conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["ShuffleNetV1", "ShuffleNetV2", "shufflenet_v1", "shufflenet_v2"]

# Outputs of the three stages of V1, of 1.0 x, by the number of groups.
_V1 = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088),
       8: (384, 768, 1536)}  # fmt: skip
_BLOCKS = (4, 8, 4)


class _UnitV1(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; added, or joined to an average of stride 2.

    first: of the network, whose few inputs are not grouped.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, first: bool) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        inner = outputs // 4
        own = outputs if stride == 1 else outputs - inputs
        self.reduce = conv_bn(inputs, inner, 1, groups=1 if first else groups)
        self.depthwise = conv_bn(inner, inner, 3, stride, groups=inner, activation=None)
        self.expand = conv_bn(inner, own, 1, groups=groups, activation=None)
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = channel_shuffle(self.reduce(x), self.groups)
        y = self.expand(self.depthwise(y))
        if self.stride == 1:
            return self.relu(x + y)
        return self.relu(torch.cat([self.pool(x), y], 1))


class ShuffleNetV1(nn.Module):
    """Stem and maximum, three stages of units, average, linear layer."""

    def __init__(self, groups: int, width: float, classes: int) -> None:
        super().__init__()
        step = 4 * groups * (2 if groups % 2 else 1)
        inputs = scaled(24, min(width, 1.0), groups * 8)
        self.stem = nn.Sequential(conv_bn(3, inputs, 3, 2), nn.MaxPool2d(3, 2, 1))
        units = []
        for stage, (given, count) in enumerate(zip(_V1[groups], _BLOCKS, strict=True)):
            outputs = scaled(given, width, step)
            for unit in range(count):
                stride = 1 if unit else 2
                units.append(_UnitV1(inputs, outputs, stride, groups, not stage and not unit))
                inputs = outputs
        self.stages = nn.Sequential(*units)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))


class _UnitV2(nn.Module):
    """Half of the channels goes through unchanged, or both halves are made anew at stride 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.stride = stride
        own = inputs if stride > 1 else half
        self.branch = nn.Sequential(
            conv_bn(own, half, 1),
            conv_bn(half, half, 3, stride, groups=half, activation=None),
            conv_bn(half, half, 1),
        )
        self.other: nn.Module = nn.Identity()
        if stride > 1:
            self.other = nn.Sequential(
                conv_bn(inputs, inputs, 3, stride, groups=inputs, activation=None),
                conv_bn(inputs, half, 1),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            y = torch.cat((kept, self.branch(changed)), 1)
        else:
            y = torch.cat((self.other(x), self.branch(x)), 1)
        return channel_shuffle(y, 2)


class ShuffleNetV2(nn.Module):
    """outputs: of the three stages and of the last convolution."""

    def __init__(self, outputs: tuple[int, int, int, int], width: float, classes: int) -> None:
        super().__init__()
        inputs = scaled(24, width)
        self.stem = nn.Sequential(conv_bn(3, inputs, 3, 2), nn.MaxPool2d(3, 2, 1))
        units = []
        for given, count in zip(outputs, _BLOCKS, strict=False):
            own = scaled(given, width, 4)
            for unit in range(count):
                units.append(_UnitV2(inputs, own, 1 if unit else 2))
                inputs = own
        self.stages = nn.Sequential(*units)
        last = scaled(outputs[3], width)
        self.conv5 = conv_bn(inputs, last, 1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv5(self.stages(self.stem(x))).mean([2, 3]))


def shufflenet_v1(
    side: int = 224, width: float = 1.0, classes: int = 1000, groups: int = 3
) -> nn.Module:
    """ShuffleNet V1 of 1, 2, 3, 4 or 8 groups."""
    return settled(ShuffleNetV1(groups, width, classes), (3, side, side))


def shufflenet_v2(side: int = 224, width: float = 1.0, classes: int = 1000) -> nn.Module:
    """ShuffleNet V2 1.0x."""
    return settled(ShuffleNetV2((116, 232, 464, 1024), width, classes), (3, side, side))
