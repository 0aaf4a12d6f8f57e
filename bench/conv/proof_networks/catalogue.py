"""The networks by name, with what was published of each and what is counted here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bench.conv.proof_networks.detector import detector
from bench.conv.proof_networks.efficientnet_lite import efficientnet_lite0
from bench.conv.proof_networks.mobilenet_v1 import mobilenet_v1
from bench.conv.proof_networks.resnet import resnet18, resnet50
from bench.conv.proof_networks.sep_net import sep_net
from bench.conv.proof_networks.shufflenet import shufflenet_v1, shufflenet_v2
from bench.conv.proof_networks.squeezenet import squeezenet1_1
from bench.conv.proof_networks.unet import unet
from bench.conv.proof_networks.vgg import vgg11_bn

__all__ = ["NETWORKS", "Counted", "Proof", "count"]

_TORCHVISION = "torchvision's table of weights (num_params; GFLOPS, which are MACs)"


@dataclass(frozen=True)
class Proof:
    """make: the factory. side: its usual resolution. parameters, macs: published, of the source; 0
    where nothing was."""

    make: Callable[..., nn.Module]
    side: int
    parameters: float
    macs: float
    source: str


NETWORKS: dict[str, Proof] = {
    "resnet18": Proof(resnet18, 224, 11_689_512, 1.814e9, _TORCHVISION),
    "resnet50": Proof(resnet50, 224, 25_557_032, 4.089e9, _TORCHVISION),
    "vgg11_bn": Proof(vgg11_bn, 224, 132_868_840, 7.609e9, _TORCHVISION),
    "squeezenet1_1": Proof(squeezenet1_1, 224, 1_235_496, 0.349e9, _TORCHVISION),
    "mobilenet_v1": Proof(
        mobilenet_v1, 224, 4.2e6, 569e6, "arXiv:1704.04861, tables 8 and 9 (million mult-adds)"
    ),
    "shufflenet_v1": Proof(
        shufflenet_v1,
        224,
        1.87e6,
        137e6,
        "MMClassification 0.x (parameters), arXiv:1707.01083, table 1 (complexity), 3 groups",
    ),
    "shufflenet_v2": Proof(shufflenet_v2, 224, 2_278_604, 0.145e9, _TORCHVISION),
    "sep_net": Proof(
        sep_net, 224, 1e6, 0, "arXiv:1706.03912, abstract (about one million); layers are our own"
    ),
    "efficientnet_lite0": Proof(
        efficientnet_lite0, 224, 4.7e6, 407e6, "tensorflow/tpu, models/official/efficientnet/lite"
    ),
    "unet": Proof(unet, 128, 0, 0, "none: a small one of our own"),
    "detector": Proof(detector, 128, 0, 0, "none: a small one of our own"),
}


@dataclass(frozen=True)
class Counted:
    """Parameters, batch norm's included, and multiply-accumulates of a frame, padding included."""

    parameters: int
    macs: int


def count(network: nn.Module, shape: tuple[int, int, int]) -> Counted:
    """Of a network at an input (C, H, W)."""
    total = 0

    def seen(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        places = output.shape[2:].numel() if output.ndim == 4 else 1
        if isinstance(module, nn.ConvTranspose2d):
            places = inputs[0].shape[2:].numel()
        total += module.weight.numel() * places  # type: ignore[union-attr,operator]

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [m.register_forward_hook(seen) for m in network.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            network(torch.zeros(1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    return Counted(sum(p.numel() for p in network.parameters()), total)
