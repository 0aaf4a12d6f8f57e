"""A small U-Net (arXiv:1505.04597): padded convolutions with batch norm, three levels."""

from __future__ import annotations

import torch
from torch import nn

from bench.conv.proof_networks.layers import conv_bn, scaled
from bench.conv.proof_networks.settle import settled

__all__ = ["UNet", "unet"]

_LEVELS = (16, 32, 64, 128)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inputs, outputs), conv_bn(outputs, outputs))


class UNet(nn.Module):
    """Down by maxima, up by transposed convolutions beside which the map of the way down is joined.

    nearest: up by nearest neighbours and a 1x1 convolution in their place.
    """

    def __init__(self, width: float, classes: int, nearest: bool) -> None:
        super().__init__()
        levels = [scaled(n, width) for n in _LEVELS]
        self.down = nn.ModuleList(
            _double(i, o) for i, o in zip([3, *levels[:-1]], levels, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        ups, merges = [], []
        for low, high in zip(levels[:0:-1], levels[-2::-1], strict=True):
            if nearest:
                ups.append(nn.Sequential(nn.Upsample(scale_factor=2), conv_bn(low, high, 1)))
            else:
                ups.append(nn.Sequential(nn.ConvTranspose2d(low, high, 2, 2)))
            merges.append(_double(2 * high, high))
        self.up, self.merge = nn.ModuleList(ups), nn.ModuleList(merges)
        self.head = nn.Conv2d(levels[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = []
        for k, block in enumerate(self.down):
            x = block(x if k == 0 else self.pool(x))
            held.append(x)
        for up, merge, skip in zip(self.up, self.merge, held[-2::-1], strict=True):
            x = merge(torch.cat([up(x), skip], 1))
        return self.head(x)


def unet(side: int = 128, width: float = 1.0, classes: int = 4, nearest: bool = False) -> nn.Module:
    """The small U-Net."""
    return settled(UNet(width, classes, nearest), (3, side, side))


def unet_nearest() -> nn.Module:
    """The same with nearest neighbours on the way up."""
    return unet(nearest=True)
