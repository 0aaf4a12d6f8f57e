"""MobileNetV2 with seeded random weights whose activations have the ranges of a trained network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    import torch

    from shiftforge.quant.capture.types import FloatGraph

__all__ = ["float_graph", "random_mobilenet_v2"]

CALIBRATION_FRAMES = 4


def random_mobilenet_v2(width: float, resolution: int, seed: int = 0) -> torch.nn.Module:
    """transformers' MobileNetV2 for 1000 classes in evaluation mode.

    Convolutions are drawn with variance 2 / fan-in. Batch-norm statistics are those of one batch of
    seeded images (smooth shapes with noise), so that every layer's activations spread over ReLU6's
    range as they do after training; weights and offsets of batch norm vary by channel.
    """
    import torch
    from torch import nn
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    config = MobileNetV2Config.from_dict(
        {"depth_multiplier": width, "image_size": resolution, "num_labels": 1000}
    )
    network: torch.nn.Module = MobileNetV2ForImageClassification(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                spread = math.sqrt(2 / module.weight[0].numel())
                module.weight.normal_(0, spread, generator=generator)
            elif isinstance(module, nn.Linear):
                spread = 3 / math.sqrt(module.in_features)
                module.weight.normal_(0, spread, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.6, 1.4, generator=generator)
                module.bias.normal_(0.2, 0.4, generator=generator)
                module.reset_running_stats()
                module.momentum = None
        size = (CALIBRATION_FRAMES, 3, resolution, resolution)
        coarse = torch.randn((CALIBRATION_FRAMES, 3, 9, 9), generator=generator)
        images = nn.functional.interpolate(coarse, size[2:], mode="bilinear", align_corners=False)
        images = (0.5 * images + 0.1 * torch.randn(size, generator=generator)).clamp(-1, 1)
        network.train()
        network(images)
    return network.eval()


def float_graph(source: str = "mobilenet_v2_random", resolution: int | None = None) -> FloatGraph:
    """The folded graph for "mobilenet_v2_random[:WIDTH[:RESOLUTION]]", by default 1.0 and 224.

    WIDTH is 0.1 to 1.4, RESOLUTION 32 to 224; the argument resolution overrides the latter. Inputs
    are normalised to [-1, 1]. Raises InputError.
    """
    from shiftforge.quant.capture.export import capture
    from shiftforge.quant.graph.types import Preprocess

    fields = source.split(":")
    try:
        width = float(fields[1]) if len(fields) > 1 and fields[1] else 1.0
        side = int(fields[2]) if len(fields) > 2 else 224
    except ValueError:
        width, side = 0.0, 0
    side = side if resolution is None else resolution
    if len(fields) > 3 or not 0.1 <= width <= 1.4 or not 32 <= side <= 224:
        raise InputError(
            Problem(
                "width must be a number from 0.1 to 1.4 and resolution a whole one from 32 to 224",
                "for example mobilenet_v2_random:0.35:96",
                source,
            )
        )
    half = (0.5, 0.5, 0.5)
    return capture(
        random_mobilenet_v2(width, side),
        (3, side, side),
        Preprocess(3, side, side, half, half),
        f"mobilenet_v2_random_{width:g}_{side}",
    )
