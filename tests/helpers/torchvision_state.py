"""A transformers MobileNetV2's weights under torchvision's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import MobileNetV2ForImageClassification

__all__ = ["blocks", "torchvision_state"]


def blocks(made: MobileNetV2ForImageClassification) -> list[list[nn.Module]]:
    """The convolution layers of each inverted residual, the stem's first."""
    body = made.mobilenet_v2
    first = [body.conv_stem.conv_3x3, body.conv_stem.reduce_1x1]
    return [first, *([b.expand_1x1, b.conv_3x3, b.reduce_1x1] for b in body.layer)]


def torchvision_state(made: MobileNetV2ForImageClassification) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}

    def put(conv: str, norm: str, layer: Any) -> None:
        state[f"{conv}.weight"] = layer.convolution.weight.detach()
        for name, tensor in layer.normalization.state_dict().items():
            state[f"{norm}.{name}"] = tensor

    put("features.0.0", "features.0.1", made.mobilenet_v2.conv_stem.first_conv)
    for index, layers in enumerate(blocks(made), 1):
        base = f"features.{index}.conv"
        for position, layer in enumerate(layers[:-1]):
            put(f"{base}.{position}.0", f"{base}.{position}.1", layer)
        last = len(layers) - 1
        put(f"{base}.{last}", f"{base}.{last + 1}", layers[-1])
    put("features.18.0", "features.18.1", made.mobilenet_v2.conv_1x1)
    state["classifier.1.weight"] = made.classifier.weight.detach()
    state["classifier.1.bias"] = made.classifier.bias.detach()
    return state
