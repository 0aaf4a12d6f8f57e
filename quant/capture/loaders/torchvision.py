"""A MobileNetV2 state dict with torchvision's or timm's names, without either package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.mobilenet_names import FIRST_NAMES, spelling_of
from shiftforge.quant.capture.loaders.screen import check_torch_zip
from shiftforge.quant.capture.loaders.state import fill, network_tensors, require
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.resizing import describe
from shiftforge.quant.graph.types import Preprocess, Resize

__all__ = ["TorchvisionMobileNetV2", "load_torchvision"]

# torchvision's ImageNet preprocessing.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
RESOLUTION = 224
RESIZE = Resize("edge", (256,), centre="even")
# features.1 to features.17 of the published network; those that halve the map.
BLOCKS = 17
STRIDED = {2, 4, 7, 14}


def _conv_norm(weight: torch.Tensor, stride: int, depthwise: bool) -> nn.Sequential:
    outputs, inputs, kernel, _ = weight.shape
    groups = outputs if depthwise else 1
    conv = nn.Conv2d(
        inputs * groups, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Expansion (absent in the first block), depthwise and projection."""

    def __init__(self, weights: list[torch.Tensor], stride: int) -> None:
        super().__init__()
        *expand, depthwise, project = weights
        layers: list[nn.Module] = [_conv_norm(w, 1, False) for w in expand]
        layers.append(_conv_norm(depthwise, stride, True))
        layers.append(nn.Conv2d(project.shape[1], project.shape[0], 1, bias=False))
        layers.append(nn.BatchNorm2d(project.shape[0]))
        self.conv = nn.Sequential(*layers)
        entry = expand[0].shape[1] if expand else depthwise.shape[0]
        self.residual = stride == 1 and entry == project.shape[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, I, H, W) -> (N, O, ceil(H / stride), ceil(W / stride))."""
        y: torch.Tensor = self.conv(x)
        return x + y if self.residual else y


class TorchvisionMobileNetV2(nn.Module):
    """torchvision.models.mobilenet_v2 with the widths of a state dict's shapes."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], where: str) -> None:
        super().__init__()
        spelled = spelling_of(tensors)

        def weight(name: str) -> torch.Tensor:
            return require(tensors, spelled(name), 4, where)

        features: list[nn.Module] = [_conv_norm(weight("features.0.0.weight"), 2, False)]
        for index in range(1, BLOCKS + 1):
            base = f"features.{index}.conv"
            names = [f"{base}.0.0.weight", f"{base}.1.weight"]
            if index > 1:
                names = [f"{base}.0.0.weight", f"{base}.1.0.weight", f"{base}.2.weight"]
            stride = 2 if index in STRIDED else 1
            features.append(InvertedResidual([weight(n) for n in names], stride))
        features.append(_conv_norm(weight("features.18.0.weight"), 1, False))
        self.features = nn.Sequential(*features)
        classes, channels = require(tensors, spelled("classifier.1.weight"), 2, where).shape
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, classes))
        fill(self, tensors, where, spelled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, classes) logits."""
        y = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        logits: torch.Tensor = self.classifier(torch.flatten(y, 1))
        return logits


def _state_dict(path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    check_torch_zip(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's reader raises what its parts raise
        what = f"PyTorch cannot load it: {reason(error)}"
        raise InputError(Problem(what, "save it again", str(path))) from error
    return network_tensors(loaded, FIRST_NAMES, str(path))


def load_torchvision(path: Path, *, resolution: int | None = None) -> FloatGraph:
    """The folded graph of a MobileNetV2 state dict of torchvision or timm, of any width.

    The resolution is not in the file: 224 unless given; pictures are resized and cropped as
    the package does it for ImageNet (256 and 224, or in the same proportion; timm's bicubic).
    Raises InputError for a file that is no plain checkpoint of tensors or does not fit MobileNetV2.
    """
    tensors, found = _state_dict(path)
    try:
        module = TorchvisionMobileNetV2(tensors, str(path))
    except InputError:
        raise
    except Exception as error:  # sizes that no layer can have
        what = f"its layers cannot be made: {reason(error)}"
        raise InputError(Problem(what, "give an unmodified MobileNetV2", str(path))) from error
    side = RESOLUTION if resolution is None else resolution
    channels = int(module.get_parameter("features.0.0.weight").shape[1])
    mean, std = (MEAN, STD) if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    timm = spelling_of(tensors).kind == "timm"
    resize = replace(RESIZE, filter="bicubic") if timm else RESIZE
    usual = Preprocess(channels, RESOLUTION, RESOLUTION, mean, std, resize)
    preprocess = usual.at(side, side)
    graph = capture(module, (channels, side, side), preprocess, path.stem)
    whose = "timm" if timm else "torchvision"
    line = f"{describe(preprocess)} (as {whose} does; the file says nothing of it)"
    return replace(graph, notes=(*found, line))
