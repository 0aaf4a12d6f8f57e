"""Layers that several of the networks share."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["channel_shuffle", "conv_bn", "scaled"]


def scaled(channels: int, width: float, step: int = 8) -> int:
    """A number of channels at a width, a multiple of a step and at least one."""
    return max(step, round(channels * width / step) * step)


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution padded by half its kernel, batch norm, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def channel_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Channels of all groups in turn, as ShuffleNet has it (arXiv:1707.01083, section 3.1)."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).contiguous().view(batch, channels, height, width)
