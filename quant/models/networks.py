"""Networks to train, by name: what `shiftforge train --network` and the study take.

==================  ============================================================================
``resnet8_small``   widths 8, 16, 32, a block a stage, stem stride 2: for studies on a CPU
``resnet8``         widths 16, 32, 64, a block a stage
``resnet20``        widths 16, 32, 64, three blocks a stage: He et al. for CIFAR-10
``resnet18``        widths 64 to 512, two blocks a stage, 3x3 stem: CIFAR form of ResNet-18
``mobilenet_v2``    transformers' MobileNetV2, width 0.5; pictures of 32 pixels or more
==================  ============================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models import fashion
from shiftforge.quant.models.limits import NETWORKS, network_problems
from shiftforge.quant.models.resnet import ResNet

__all__ = ["NETWORKS", "build"]

# Their smallest pictures; and (channels, classes) -> the network.
_RESNETS: dict[str, Callable[[int, int], ResNet]] = {
    "resnet8_small": partial(ResNet, widths=(8, 16, 32), blocks=(1, 1, 1), stem_stride=2),
    "resnet8": partial(ResNet, blocks=(1, 1, 1)),
    "resnet20": ResNet,
    "resnet18": partial(ResNet, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2)),
}
_SMALLEST = {"mobilenet_v2": 32}


def build(name: str, preprocess: Preprocess, classes: int, seed: int = 0) -> nn.Module:
    """An untrained network for pictures of preprocess's size; He's rule (fan-out) under the seed.

    Raises InputError for an unknown name, and for pictures that are too small for the network.
    """
    if problems := network_problems(name):
        raise InputError(problems)
    side, smallest = min(preprocess.height, preprocess.width), _SMALLEST.get(name, 8)
    if side < smallest:
        what = f"{name} on pictures of {preprocess.height}x{preprocess.width}"
        raise InputError(Problem(what, f"give {smallest} pixels or more, or another network"))
    if name == "mobilenet_v2":
        config = {
            **fashion.network_config(resolution=preprocess.height),
            "num_channels": preprocess.channels,
            "num_labels": classes,
        }
        return fashion.build(config, seed)
    torch.manual_seed(seed)
    network = _RESNETS[name](preprocess.channels, classes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
