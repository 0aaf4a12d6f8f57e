"""The example network: transformers' MobileNetV2, width 0.5, for Fashion-MNIST at 48x48.

README.md in this folder says how the shipped checkpoint was made.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from shiftforge.quant.data.fashion_mnist import LABELS
from shiftforge.quant.graph.types import Preprocess

if TYPE_CHECKING:
    import torch

    from shiftforge.quant.capture.types import FloatGraph

__all__ = [
    "NAME",
    "PREPROCESS",
    "RESOLUTION",
    "WIDTH",
    "build",
    "float_graph",
    "load",
    "network_config",
]

NAME = "mobilenet_v2_fashion"
WIDTH = 0.5
RESOLUTION = 48
# -1..1, as MobileNetV2 is normalised elsewhere: a signed 8-bit grid holds all but the brightest.
PREPROCESS = Preprocess(1, RESOLUTION, RESOLUTION, (0.5,), (0.5,))
# torch's default. transformers sets 0.997, which makes running statistics those of the last batch.
BN_MOMENTUM = 0.1


def network_config(width: float = WIDTH, resolution: int = RESOLUTION) -> dict[str, Any]:
    """The settings of transformers' MobileNetV2Config that differ from its defaults."""
    return {
        "num_channels": 1,
        "image_size": resolution,
        "depth_multiplier": width,
        "num_labels": len(LABELS),
        "tf_padding": False,
        "finegrained_output": False,
        "classifier_dropout_prob": 0.1,
    }


def build(config: dict[str, Any], seed: int = 0) -> torch.nn.Module:
    """An untrained network, its convolutions drawn by He's rule (fan-out) under the seed."""
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(seed)
    network: torch.nn.Module = MobileNetV2ForImageClassification(MobileNetV2Config(**config))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = BN_MOMENTUM
    return network


def load() -> torch.nn.Module:
    """The shipped network, in evaluation mode."""
    from shiftforge.quant.models.checkpoint import load_checkpoint

    with as_file(files("shiftforge.quant.models") / f"{NAME}.safetensors") as path:
        tensors, header = load_checkpoint(path)
    network = build(header["config"])
    network.load_state_dict(
        {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    )
    return network.eval()


def float_graph() -> FloatGraph:
    """The shipped network, captured: batch norm folded, ten labels, 1x48x48 input."""
    from shiftforge.quant.capture.export import capture

    return capture(load(), (1, RESOLUTION, RESOLUTION), PREPROCESS, NAME, LABELS)
